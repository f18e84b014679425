"""The guide's table: who is notified of each incident, when, how often, and when of its end."""

from __future__ import annotations

import tempfile
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.incidents import rules
from tests.incidents.alertmanager import Notification, notifications
from tests.incidents.incidents import INCIDENTS, WARM_UP, Incident
from tests.incidents.rules import Firing, Labels

GUIDE = Path(__file__).resolve().parents[2] / "docs" / "MONITORING_GUIDE.md"
BEGIN = "<!-- Written by `make incidents`. -->\n"
END = "<!-- The end of what `make incidents` writes. -->\n"

SILENT = {"log-only", "dead-mans-switch"}
"""Receivers that reach no person."""
PAGES = "critical-alerts"
_BUSINESS_HOURS = {"business_hours": True}
_AT_ONCE = 2


@dataclass(frozen=True)
class Outcome:
    """What came of an incident."""

    incident: Incident
    firing: Firing
    sent: Sequence[Notification]
    """Only what reaches people."""


@dataclass(frozen=True)
class Told:
    """One alert of a service and the receivers that are notified of it, with their notifications in order."""

    alerts: tuple[str, ...]
    service: str
    by_receiver: Mapping[str, Sequence[Notification]]


def configuration() -> dict[str, Any]:
    """Return alertmanager.yml."""
    path = rules.MONITORING / "alertmanager" / "alertmanager.yml"
    config: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return config


def outcomes(incidents: Sequence[Incident] = INCIDENTS) -> list[Outcome]:
    """Return what comes of each incident, during business hours."""

    def evaluated(incident: Incident) -> Firing:
        with tempfile.TemporaryDirectory() as folder:
            return rules.evaluate(incident, Path(folder))

    config = configuration()
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        found = list(pool.map(evaluated, incidents))
    return [
        Outcome(
            incident,
            firing,
            [
                one
                for one in notifications(config, firing, active=_BUSINESS_HOURS)
                if one.receiver not in SILENT
            ],
        )
        for incident, firing in zip(incidents, found, strict=True)
    ]


def told(outcome: Outcome) -> list[Told]:
    """Return who is notified of what, in the order of the first notifications."""
    groups: dict[tuple[Labels, str], list[Notification]] = defaultdict(list)
    for one in outcome.sent:
        groups[one.group[1], one.receiver].append(one)
    by_labels: dict[Labels, dict[str, list[Notification]]] = defaultdict(dict)
    for (labels, receiver), sent in groups.items():
        by_labels[labels][receiver] = sent
    return [
        Told(_names(sent), dict(labels).get("service", ""), sent)
        for labels, sent in by_labels.items()
    ]


def _names(sent: Mapping[str, Iterable[Notification]]) -> tuple[str, ...]:
    alerts = (one for many in sent.values() for message in many for one in message.firing)
    return tuple(sorted({dict(one)["alertname"] for one in alerts}))


def table(found: Iterable[Outcome]) -> str:
    """Return the table in Markdown, between the guide's two marks."""
    head = (
        "| incident | notified of | receiver, after minutes | resolved | inhibited |\n"
        "|---|---|---|---|---|\n"
    )
    return BEGIN + "\n" + head + "".join(row for one in found for row in _rows(one)) + "\n" + END


def _rows(outcome: Outcome) -> Iterator[str]:
    incident = outcome.incident
    title = f"{incident.title} ({incident.minutes:g} min)"
    quiet = ", ".join(f"`{name}`" for name in inhibited(outcome))
    rows = told(outcome)
    if not rows:
        yield f"| {title} | nothing | nobody | | {quiet} |\n"
    for number, one in enumerate(rows):
        cells = [
            title if number == 0 else "",
            f"{', '.join(f'`{name}`' for name in one.alerts)} of {one.service}",
            ", ".join(_receiver(name, sent) for name, sent in one.by_receiver.items()),
            _resolved(incident, one),
            quiet if number == 0 else "",
        ]
        yield f"| {' | '.join(cells)} |\n"


def _receiver(name: str, sent: Sequence[Notification]) -> str:
    times = sum(bool(one.firing) for one in sent)
    often = f" ×{times}" if times > 1 else ""  # noqa: RUF001 - the sign of multiplication is meant
    return f"{name} {_minutes(sent[0].at - WARM_UP)}{often}"


def _resolved(incident: Incident, one: Told) -> str:
    ends = [sent[-1] for sent in one.by_receiver.values()]
    if any(end.firing for end in ends):
        return "later"
    return _minutes(max(end.at for end in ends) - WARM_UP - incident.minutes * 60, sign=True)


def _minutes(seconds: float, *, sign: bool = False) -> str:
    whole = round(seconds)
    mark = ("-" if whole < 0 else "+") if sign else ""
    return f"{mark}{abs(whole) // 60}:{abs(whole) % 60:02}"


def inhibited(outcome: Outcome) -> list[str]:
    """Return the alerts for people that fired, and of which nobody was notified."""
    fired = {labels for now in outcome.firing for labels in now}
    heard = {labels for one in outcome.sent for labels in one.firing}
    return sorted(
        {
            dict(labels)["alertname"]
            for labels in fired - heard
            if dict(labels)["severity"] in {"critical", "warning"}
        }
    )


def in_guide() -> str:
    """Return the table that the guide has. Raises ValueError where its marks are missing."""
    text = GUIDE.read_text(encoding="utf-8")
    return text[text.index(BEGIN) : text.index(END) + len(END)]


def write(text: str) -> None:
    """Put the table into the guide."""
    guide = GUIDE.read_text(encoding="utf-8")
    GUIDE.write_text(guide.replace(in_guide(), text), encoding="utf-8")
