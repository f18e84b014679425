"""A drill: inject a fault, wait for its alert, recover the service, wait for the resolution, and time each stage."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, ParamSpec, TypeVar

from stackctl.chaos.faults import Fault, heal, provided
from stackctl.chaos.journal import Journal, NotSteady
from stackctl.chaos.timeline import Pace, Stage, Timeline, route_seconds
from stackctl.clients.alertmanager import Alert as Notified
from stackctl.clients.alertmanager import AlertmanagerClient
from stackctl.clients.prometheus import Alert, PrometheusClient, Rule, RuleGroup, Target
from stackctl.clients.sink import SinkClient
from stackctl.docker.engine import Engine
from stackctl.errors import ServiceError, StackctlError, UsageError
from stackctl.util.suggest import nearest
from stackctl.util.tasks import finish

P = ParamSpec("P")
T = TypeVar("T")

_PAUSE = 0.5
_SLACK = 90.0
"""Seconds that scrapes, evaluation, grouping and a slow machine may add to a rule's `for`."""


class DrillError(StackctlError):
    """The alert did not fire or was not resolved in time. The fault was undone nevertheless."""


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
    begun: Callable[[Timeline], None],
    reached: Callable[[Stage, float], None],
    waiting: Callable[[str], None],
    force: bool = False,
) -> Timeline:
    """Inject the fault, wait until the alert is delivered, undo the fault, and wait until the resolution is delivered.

    Delivery can be observed if the demo's `sink` replaces the channels. `timeout` is the limit for each of the two
    waits, in seconds; by default it follows from the rule's `for` and `keep_firing_for`. `begun` receives the timeline,
    which shows the stages reached even if the drill fails; `reached` is called at every stage, `waiting` with the
    alert's current state in between. Raises UsageError for an unknown alert, NotSteady if the alert is active before
    the fault and `force` is not set, DrillError if the alert does not fire or is not resolved in time.
    """
    group, rule = await _rule(prometheus, alert)
    targets = await prometheus.targets()
    names = _names(targets, service)
    watch = _Watch(prometheus, alertmanager, alert, names)
    before = await watch.observe()
    if (before.state, before.notified) != ("inactive", False) and not force:
        raise NotSteady(
            f"{before.describe(alert)} for {service} before the fault, so the drill would prove nothing",
            remedy=f"stackctl logs {service}; to continue anyway, add --force",
        )
    limit = timeout if timeout is not None else rule.duration + _SLACK
    pace = await _pace(targets, alertmanager, group, rule, names)
    timeline = Timeline(alert, service, pace)
    # Info alerts are only listed and notify nobody.
    visible_sink = sink if rule.labels.get("severity") != "info" else None
    inbox = _Inbox(visible_sink, alert, names, await visible_sink.last() if visible_sink else 0)
    lasting = fault.lasting(limit)
    plan = await _in_thread(provided, engine, journal, lasting, service)
    begun(timeline)
    record = journal.begin(lasting.name, service, plan.container.id, plan.details)
    began = time.monotonic()

    def reach(stage: Stage) -> None:
        if stage not in timeline.seconds:
            timeline.seconds[stage] = time.monotonic() - began
            reached(stage, timeline.seconds[stage])

    def check(since: float, limit: float, what: str, remedy: str) -> None:
        if time.monotonic() - since > limit:
            raise DrillError(f"{alert} of {service} {what}", remedy=remedy)

    try:
        await _in_thread(lasting.inject, engine, record)
        reach("fault")
        while True:
            observed = await watch.observe()
            if observed.state in {"pending", "firing"}:
                reach("pending")
            if observed.state == "firing":
                reach("firing")
            if observed.notified:
                reach("alertmanager")
                if await inbox.has("firing"):
                    if visible_sink:
                        reach("channel")
                    break
            waiting(observed.describe(alert))
            goal = "its channel" if observed.notified else "Alertmanager"
            check(
                began,
                limit,
                f"did not reach {goal} within {limit:.0f} s of the fault: {observed.describe(alert)}",
                f"check the rule's expression and `for`: {prometheus.base_url}/alerts",
            )
            await asyncio.sleep(_PAUSE)
    finally:
        heal(engine, journal, record)
    reach("healed")
    healed = time.monotonic()
    until_resolved = limit if timeout is not None else limit + pace.keep
    while True:
        observed = await watch.observe()
        ended = observed.state == "inactive" and observed.notified is False
        if ended:
            reach("resolved")
            if await inbox.has("resolved"):
                if visible_sink:
                    reach("channel-resolved")
                return timeline
        waiting(observed.describe(alert))
        what = "was resolved, but its channel was not notified" if ended else "was not resolved"
        check(
            healed,
            until_resolved,
            f"{what} within {until_resolved:.0f} s of the recovery: {observed.describe(alert)}",
            "stackctl logs alertmanager" if ended else f"stackctl logs {service}",
        )
        await asyncio.sleep(_PAUSE)


async def _in_thread(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run a blocking call in a thread, so that it does not delay the measurements of another drill.

    The call has finished when this returns, even if cancelled: a half-injected fault could not be undone.
    """
    return await finish(asyncio.to_thread(function, *args, **kwargs))


@dataclass(frozen=True, slots=True)
class _Observation:
    """The alert's state in both programs; "unknown" or None if one did not respond."""

    state: Literal["inactive", "pending", "firing", "unknown"]
    notified: bool | None

    def describe(self, alert: str) -> str:
        in_alertmanager = {
            True: "in Alertmanager",
            False: "not in Alertmanager",
            None: "Alertmanager does not respond",
        }
        return f"{alert} is {self.state} in Prometheus, {in_alertmanager[self.notified]}"


@dataclass(frozen=True, slots=True)
class _Watch:
    prometheus: PrometheusClient
    alertmanager: AlertmanagerClient
    alert: str
    names: frozenset[str]

    async def observe(self) -> _Observation:
        """Query both programs. A failed query does not mean an inactive alert: the next one decides."""
        alerts, notified = await asyncio.gather(
            self.prometheus.alerts(), self.alertmanager.alerts(), return_exceptions=True
        )
        return _Observation(self._state(alerts), self._is_active(notified))

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
        return labels.get("alertname") == self.alert and not self.names.isdisjoint(
            {labels.get("service"), labels.get("job")}
        )


@dataclass(frozen=True, slots=True)
class _Inbox:
    sink: SinkClient | None
    alert: str
    names: frozenset[str]
    after: int

    async def has(self, status: Literal["firing", "resolved"]) -> bool:
        """Return whether a notification was delivered since the drill began; True if that cannot be observed."""
        if self.sink is None:
            return True
        try:
            messages = await self.sink.messages(after=self.after)
        except ServiceError:
            return False
        return any(
            one.status == status
            and self.alert in one.title
            and any(name in one.title for name in self.names)
            for one in messages
        )


def _names(targets: list[Target], service: str) -> frozenset[str]:
    """Return the names that alerts may use for a service: those of an exporter name what it exports."""
    own = [one for one in targets if one.instance.rpartition(":")[0] == service]
    return frozenset({service, *(one.labels["service"] for one in own if "service" in one.labels)})


async def _pace(
    targets: list[Target],
    alertmanager: AlertmanagerClient,
    group: RuleGroup,
    rule: Rule,
    names: frozenset[str],
) -> Pace:
    own = [one for one in targets if names & {one.labels.get("service"), one.job}]
    intervals = [target.scrape_interval for target in own or targets]
    route = await alertmanager.route()
    return Pace(
        scrape_interval=max(intervals, default=0.0),
        evaluation_interval=group.interval,
        hold=rule.duration,
        keep=rule.keep_firing_for,
        group_wait=min(route_seconds(route, "group_wait", rule.labels)),
        group_interval=max(route_seconds(route, "group_interval", rule.labels)),
    )


async def _rule(prometheus: PrometheusClient, alert: str) -> tuple[RuleGroup, Rule]:
    rules = {
        rule.name: (group, rule)
        for group in await prometheus.rule_groups()
        for rule in group.rules
        if rule.type == "alerting"
    }
    if alert not in rules:
        raise UsageError(f"unknown alert {alert!r}", remedy=nearest(alert, list(rules)))
    return rules[alert]
