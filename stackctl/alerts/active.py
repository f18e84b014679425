"""Active alerts, merged from Prometheus and Alertmanager."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from stackctl.clients.alertmanager import Alert as Received
from stackctl.clients.prometheus import Alert as Held
from stackctl.clients.prometheus import RuleGroup

NOBODY = "none"
"""The severity of alerts that notify nobody: Watchdog, which always fires, and inhibitors."""

_ORDER = {"firing": 0, "pending": 1, "silenced": 2, "inhibited": 3}


@dataclass(frozen=True, slots=True)
class ActiveAlert:
    """An active alert. `state` is pending, firing, silenced or inhibited."""

    name: str
    state: str
    severity: str
    service: str
    since: dt.datetime | None
    receivers: tuple[str, ...]
    """Who is notified; empty until Alertmanager receives the alert."""
    summary: str


@dataclass(frozen=True, slots=True)
class RuleCount:
    """The number of a group's alerting rules, by severity and by state."""

    group: str
    severities: Counter[str] = field(default_factory=Counter)
    states: Counter[str] = field(default_factory=Counter)


def active(held: Iterable[Held], received: Sequence[Received]) -> list[ActiveAlert]:
    """Merge the alerts of both programs, most urgent first, without those that notify nobody.

    Prometheus adds external labels when it sends alerts, so alerts match if Alertmanager's has all labels of
    Prometheus'. Alerts that only Alertmanager has come from elsewhere, such as Loki's ruler.
    """
    others = list(received)
    rows = []
    for alert in held:
        if alert.state == "inactive":
            continue
        match = next((one for one in received if alert.labels.items() <= one.labels.items()), None)
        if match in others:
            others.remove(match)
        state = _state(match) if match and alert.state == "firing" else alert.state
        rows.append(_row(alert, state, alert.active_at, match))
    rows += [_row(alert, _state(alert), alert.starts_at, alert) for alert in others]
    shown = (row for row in rows if row.severity != NOBODY)
    return sorted(shown, key=lambda row: (_ORDER[row.state], row.severity, row.name, row.service))


def count(groups: Iterable[RuleGroup]) -> list[RuleCount]:
    """Count the alerting rules of each group that has any, without those that notify nobody."""
    rows = []
    for group in groups:
        rules = [
            rule
            for rule in group.rules
            if rule.type == "alerting" and rule.labels.get("severity") != NOBODY
        ]
        if rules:
            severities = Counter(rule.labels.get("severity", "none") for rule in rules)
            rows.append(RuleCount(group.name, severities, Counter(rule.state for rule in rules)))
    return rows


def _row(
    alert: Held | Received, state: str, since: dt.datetime | None, received: Received | None
) -> ActiveAlert:
    return ActiveAlert(
        name=alert.labels.get("alertname", ""),
        state=state,
        severity=alert.labels.get("severity", ""),
        service=alert.labels.get("service", ""),
        since=since,
        receivers=tuple(one.name for one in received.receivers) if received else (),
        summary=alert.annotations.get("summary", ""),
    )


def _state(received: Received) -> str:
    if received.status.silenced_by:
        return "silenced"
    if received.status.inhibited_by:
        return "inhibited"
    return "firing"
