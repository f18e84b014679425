"""A drill: a fault, the alert that must come of it, the healing, and the alert's end, each with its time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from stackctl import yaml_text
from stackctl.chaos.faults import Fault, NotSteady, injected
from stackctl.chaos.journal import Journal
from stackctl.chaos.timeline import Pace, Stage, Timeline, group_wait, seconds
from stackctl.clients.alertmanager import Alert as Notified
from stackctl.clients.alertmanager import AlertmanagerClient
from stackctl.clients.prometheus import Alert, PrometheusClient, Rule, RuleGroup
from stackctl.clients.sink import SinkClient
from stackctl.errors import ServiceError, StackctlError, UsageError
from stackctl.settings import nearest
from stackctl.stack.engine import Engine

_PAUSE = 0.5
_SLACK = 90.0
"""Seconds that scraping, evaluation, grouping and a slow machine may add to a rule's `for`."""


class DrillError(StackctlError):
    """The alert did not do what was expected of it in time. The fault is healed nevertheless."""


async def run(
    fault: Fault,
    service: str,
    alert: str,
    *,
    engine: Engine,
    journal: Journal,
    prometheus: PrometheusClient,
    alertmanager: AlertmanagerClient,
    sink: SinkClient | None,
    timeout: float | None,
    reached: Callable[[Stage, float], None],
    waiting: Callable[[str], None],
    force: bool = False,
) -> Timeline:
    """Do the fault, wait until the alert is in Alertmanager and its channel, heal, and wait until it is resolved.

    The channel can be seen where the demo's `sink` stands in its place. `timeout` is in seconds for each of the two
    waits; without one it follows from the rule's `for`. `reached` is called at every stage, `waiting` with the alert's
    present state while nothing changes. Raises UsageError for an alert that no rule has, NotSteady for one that is
    active before the fault unless `force` is given, DrillError where the alert does not come or does not go.
    """
    watch = _Watch(prometheus, alertmanager, alert, service)
    group, rule = await _rule(prometheus, alert)
    before = await watch.look()
    if (before.state, before.notified) != ("inactive", False) and not force:
        raise NotSteady(
            f"{before.describe(alert)} of {service} before the fault: the drill would prove nothing",
            remedy=f"stackctl logs {service}, or go on with --force",
        )
    limit = timeout if timeout is not None else rule.duration + _SLACK
    pace = await _pace(prometheus, alertmanager, group, rule, service)
    timeline = Timeline(alert, service, pace)
    told = _Inbox(sink, alert, service, await sink.last() if sink else 0)
    # What is only for the list tells nobody.
    notifies = sink is not None and rule.labels.get("severity") != "info"
    began = time.monotonic()

    def reach(stage: Stage) -> None:
        if stage not in timeline.seconds:
            timeline.seconds[stage] = time.monotonic() - began
            reached(stage, timeline.seconds[stage])

    with injected(engine, journal, fault.lasting(limit), service):
        reach("fault")
        while True:
            seen = await watch.look()
            if seen.state in {"pending", "firing"}:
                reach("pending")
            if seen.state == "firing":
                reach("firing")
            if seen.notified:
                reach("alertmanager")
            if seen.notified and (not notifies or await told.has_message()):
                if notifies:
                    reach("channel")
                break
            waiting(seen.describe(alert))
            if time.monotonic() - began > limit:
                goal = "its channel" if seen.notified else "Alertmanager"
                raise DrillError(
                    f"{alert} of {service} did not reach {goal} within {limit:.0f} s of the fault:"
                    f" {seen.describe(alert)}",
                    remedy=f"read the rule's expression and `for`: {prometheus.base_url}/alerts",
                )
            await asyncio.sleep(_PAUSE)
    reach("healed")
    healed = time.monotonic()
    while True:
        seen = await watch.look()
        if seen.state == "inactive" and seen.notified is False:
            reach("resolved")
            return timeline
        waiting(seen.describe(alert))
        if time.monotonic() - healed > limit:
            raise DrillError(
                f"{alert} of {service} is not resolved {limit:.0f} s after the healing: {seen.describe(alert)}",
                remedy=f"stackctl logs {service}",
            )
        await asyncio.sleep(_PAUSE)


@dataclass(frozen=True, slots=True)
class _Seen:
    """The alert as both programs have it; "unknown" and None where one did not answer."""

    state: Literal["inactive", "pending", "firing", "unknown"]
    notified: bool | None

    def describe(self, alert: str) -> str:
        there = {
            True: "in Alertmanager",
            False: "not in Alertmanager",
            None: "Alertmanager does not answer",
        }
        return f"{alert} is {self.state} in Prometheus, {there[self.notified]}"


@dataclass(frozen=True, slots=True)
class _Watch:
    prometheus: PrometheusClient
    alertmanager: AlertmanagerClient
    alert: str
    service: str

    async def look(self) -> _Seen:
        """Look at both at once. An answer that fails is told from one that says no: the next look decides."""
        alerts, notified = await asyncio.gather(
            self.prometheus.alerts(), self.alertmanager.alerts(), return_exceptions=True
        )
        return _Seen(self._state(alerts), self._is_active(notified))

    def _state(
        self, alerts: list[Alert] | BaseException
    ) -> Literal["inactive", "pending", "firing", "unknown"]:
        if isinstance(alerts, ServiceError):
            return "unknown"
        if isinstance(alerts, BaseException):
            raise alerts
        states = {alert.state for alert in alerts if self._matches(alert.labels)}
        return "firing" if "firing" in states else "pending" if "pending" in states else "inactive"

    def _is_active(self, alerts: list[Notified] | BaseException) -> bool | None:
        if isinstance(alerts, ServiceError):
            return None
        if isinstance(alerts, BaseException):
            raise alerts
        return any(self._matches(alert.labels) for alert in alerts)

    def _matches(self, labels: Mapping[str, str]) -> bool:
        return labels.get("alertname") == self.alert and self.service in {
            labels.get("service"),
            labels.get("job"),
        }


@dataclass(frozen=True, slots=True)
class _Inbox:
    sink: SinkClient | None
    alert: str
    service: str
    after: int

    async def has_message(self) -> bool:
        """Tell whether any channel was told since the drill began."""
        if self.sink is None:
            return False
        try:
            messages = await self.sink.messages(after=self.after)
        except ServiceError:
            return False
        return any(
            one.status == "firing" and self.alert in one.title and self.service in one.title
            for one in messages
        )


async def _pace(
    prometheus: PrometheusClient,
    alertmanager: AlertmanagerClient,
    group: RuleGroup,
    rule: Rule,
    service: str,
) -> Pace:
    targets = await prometheus.targets()
    own = [one for one in targets if service in {one.labels.get("service"), one.job}]
    intervals = [seconds(target.scrape_interval) for target in own or targets]
    config = yaml_text.load((await alertmanager.status()).config.original)
    return Pace(
        scrape_interval=max(intervals, default=0.0),
        evaluation_interval=group.interval,
        hold=rule.duration,
        group_wait=group_wait(config, rule.labels),
    )


async def _rule(prometheus: PrometheusClient, alert: str) -> tuple[RuleGroup, Rule]:
    rules = {
        rule.name: (group, rule)
        for group in await prometheus.rule_groups()
        for rule in group.rules
        if rule.type == "alerting"
    }
    if alert not in rules:
        raise UsageError(f"no rule has the alert {alert!r}", remedy=nearest(alert, list(rules)))
    return rules[alert]
