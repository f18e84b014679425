"""Step 7 of the plan: a test alert of every severity and component reaches exactly its channels.

Each check sends its own alert through the real Alertmanager and resolves it. For a channel that is not configured, the
demo's sink receives and shows every message; for a real channel, Alertmanager's counters are the only evidence.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import functools
import itertools
import time
import uuid
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from stackctl.chaos.timeline import Timer, route_seconds
from stackctl.clients.sink import Message
from stackctl.services.channels import CHANNELS, Channel
from stackctl.util.polling import until
from stackctl.verify.counters import grown
from stackctl.verify.model import Check, Context, Finding, skipped

SEVERITIES = ("critical", "warning", "info")
COMPONENTS = ("infrastructure", "trading", "ai", "database")

TEST_ALERT = "StackctlVerify"
_SUMMARY = "A test alert of stackctl verify: nothing is wrong"
_RUNBOOK = "SERVICE_DOWN_RUNBOOK.md"
_LIFETIME = dt.timedelta(minutes=5)
"""After this time an alert ends by itself, in case stackctl cannot end it."""
_PAUSE = 0.5
_MARGIN = 5.0
"""Seconds after the longest wait of a route within which every message arrives, including wrong ones."""
_LATE = 30.0
"""Additional seconds to wait for a missing message."""
_REFUSED_SECONDS = 300.0

Key = tuple[str, str]
"""A channel's key, and how a message counts there (`services.channels.Channel.counted_as`)."""

_CHANNELS: Mapping[str, Channel] = {channel.key: channel for channel in CHANNELS}
_BUSINESS_HOURS = "business-hours"
_BY_SEVERITY: Mapping[str, tuple[str, ...]] = {
    "critical": ("critical-alerts", "default"),
    "warning": ("warning-alerts", _BUSINESS_HOURS),
    "info": ("log-only",),
}
_BY_COMPONENT = {"trading": "trading-team", "ai": "ai-team", "database": "dba-team"}

RECEIVERS = frozenset(
    (*itertools.chain.from_iterable(_BY_SEVERITY.values()), *_BY_COMPONENT.values())
)
"""Every receiver that the plan's routing uses."""


def receivers(severity: str, component: str) -> set[str]:
    """Return the receivers of an alert (the plan's section 5.1, as corrected in docs/MONITORING_GUIDE.md)."""
    team = _BY_COMPONENT.get(component) if severity != "info" else None
    return {*_BY_SEVERITY[severity], *([team] if team else [])}


def expected(severity: str, component: str, at: dt.datetime) -> Counter[Key]:
    """Return how many messages an alert at this time must send, by channel."""
    return deliveries(receivers(severity, component), at)


def deliveries(names: Iterable[str], at: dt.datetime) -> Counter[Key]:
    """Return how many messages receivers send for an alert at this time, by channel; business hours are in UTC."""
    closed = at.weekday() >= 5 or not 9 <= at.hour < 17
    return Counter(
        (channel.key, channel.delivers[receiver])
        for receiver in names
        if not (receiver == _BUSINESS_HOURS and closed)
        for channel in CHANNELS
        if receiver in channel.delivers
    )


def in_sink(key: Key, context: Context) -> bool:
    """Return whether the demo's sink receives the messages of a channel because it is not configured."""
    channel, _ = key
    return (
        context.sink is not None
        and channel not in context.real_channels
        and _CHANNELS[channel].stand_in is not None
    )


def key_of(message: Message) -> Key:
    """Return how a message counts; in an unknown channel it counts by its target, which nothing expects."""
    channel = _CHANNELS.get(message.channel)
    counted_as = "{target}" if channel is None else channel.counted_as
    mark = f"{message.title.partition(']')[0]}]"
    return message.channel, counted_as.format(target=message.target, mark=mark)


@dataclass(frozen=True, slots=True)
class _Told:
    """What was observed after an alert fired or was resolved: the sink's messages, and missing real deliveries."""

    messages: list[Message] = field(default_factory=list)
    missing: Mapping[str, tuple[int, int]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Exercise:
    """A test alert: its labels, and the messages it must cause."""

    context: Context
    labels: Mapping[str, str]
    began: dt.datetime
    after: int
    wanted: Counter[Key]
    """The messages expected in the sink."""
    real: list[str]
    """The real channels, once for each expected delivery."""

    async def post(self, ends: dt.datetime) -> None:
        """Send the alert to Alertmanager, to end at `ends`."""
        alert = {
            "labels": self.labels,
            "annotations": {
                "summary": _SUMMARY,
                "description": f"Sent for {self.labels['service']}",
                "runbook_url": f"{self.context.runbooks}/{_RUNBOOK}",
            },
            "startsAt": self.began.isoformat(),
            "endsAt": ends.isoformat(),
        }
        await self.context.alertmanager.post_alerts([alert])

    async def told(self, status: str, timer: Timer) -> _Told:
        """Wait until all possible messages have arrived and the expected ones have or are late; return the observation.

        It always waits for the slowest route, because a wrong message may arrive that late.
        """
        route = await self.context.alertmanager.route()
        settling = max(route_seconds(route, timer)) + _MARGIN
        settled = time.monotonic() + settling

        async def ask() -> _Told:
            tally, alertmanager = self.context.tally, self.context.alertmanager
            return _Told(
                await self._messages(status),
                await tally.missing(alertmanager, self.real) if self.real else {},
            )

        return await until(
            ask,
            lambda seen: (
                time.monotonic() >= settled
                and not seen.missing
                and Counter(map(key_of, seen.messages)) >= self.wanted
            ),
            seconds=settling + _LATE,
            pause=_PAUSE,
        )

    async def _messages(self, status: str) -> list[Message]:
        """Return its messages in the sink, except those of real channels."""
        service, sink = self.labels["service"], self.context.sink
        return [
            one
            for one in (await sink.messages(after=self.after) if sink else [])
            if one.status == status
            and one.channel not in self.context.real_channels
            and (service in one.title or service in one.text)
        ]

    async def routed_to(self) -> set[str]:
        """Return the receivers to which Alertmanager routes it."""
        return {
            one.name
            for alert in await self.context.alertmanager.alerts()
            if alert.labels.get("service") == self.labels["service"]
            for one in alert.receivers
        }


async def _exercise(severity: str, component: str, context: Context) -> Finding:
    sink = context.sink
    if sink is None and not context.real_channels:
        return skipped(
            "a channel to notify", "no channel is configured, and the demo's sink is not running"
        )
    service = f"stackctl-verify-{uuid.uuid4().hex[:8]}"
    began = dt.datetime.now(dt.UTC)
    keys = expected(severity, component, began)
    exercise = _Exercise(
        context,
        {
            "alertname": TEST_ALERT,
            "severity": severity,
            "component": component,
            "service": service,
        },
        began,
        after=await sink.last() if sink else 0,
        wanted=Counter({key: n for key, n in keys.items() if in_sink(key, context)}),
        real=[channel for channel, _ in keys.elements() if channel in context.real_channels],
    )
    await context.tally.begin(context.alertmanager)
    context.tally.expect(exercise.real)
    try:
        await exercise.post(began + _LIFETIME)
        fired = await exercise.told("firing", "group_wait")
        routed = await exercise.routed_to()
        context.tally.expect(exercise.real)
    finally:
        await exercise.post(dt.datetime.now(dt.UTC))
    resolved = await exercise.told("resolved", "group_interval")
    routes = _routed(routed, receivers(severity, component))
    problems = [
        *routes,
        *_compared("when it fired", fired, exercise),
        *_compared("when it was resolved", resolved, exercise),
        *itertools.chain.from_iterable(
            _rendering(one, service, context.runbooks)
            for one in (*fired.messages, *resolved.messages)
        ),
    ]
    told = sorted(" ".join(key) for key in exercise.wanted) + [
        f"the real {channel} ({number})" for channel, number in Counter(exercise.real).items()
    ]
    counted = ", and the real channels received theirs" if exercise.real else ""
    return Finding(
        not problems,
        f"notified when it fires and when it is resolved: {', '.join(told) or 'nobody'}",
        "; ".join(problems)
        or f"{len(fired.messages)} messages when it fired, {len(resolved.messages)} when resolved{counted}",
        f"stackctl alerts route severity={severity} component={component}"
        if routes
        else "stackctl logs alertmanager",
    )


def _routed(seen: set[str], wanted: set[str]) -> list[str]:
    if seen == wanted:
        return []
    return [f"routed to {_listed(seen)} instead of {_listed(wanted)}"]


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names)) or "nobody"


def _compared(when: str, told: _Told, exercise: _Exercise) -> list[str]:
    seen, wanted = Counter(map(key_of, told.messages)), exercise.wanted
    problems = [
        f"{channel} received {number} of {due} notifications of this run's test alerts {when}"
        for channel, (number, due) in told.missing.items()
    ]
    for key in sorted({*seen, *wanted}):
        name = " ".join(key)
        if not seen[key]:
            problems.append(f"{name} was not notified {when}")
        elif not wanted[key]:
            problems.append(f"{name} was notified {when} but should not have been")
        elif seen[key] != wanted[key]:
            problems.append(f"{name} was notified {seen[key]} times {when}")
    return problems


def _rendering(message: Message, service: str, runbooks: str) -> list[str]:
    """Return what is wrong with a message's text; a failed template leaves these marks."""
    text = f"{message.title}\n{message.text}"
    name = " ".join(key_of(message))
    problems = [f"{name} shows {mark!r}" for mark in ("<no value>", "{{") if mark in text]
    if TEST_ALERT not in message.title or service not in message.title:
        problems.append(f"the title for {name} lacks the alert or the service: {message.title!r}")
    channel = _CHANNELS.get(message.channel)
    if (channel is None or channel.shows_summary) and _SUMMARY not in text:
        problems.append(f"{name} does not show the summary")
    if f"{runbooks}/{_RUNBOOK}" not in text:
        problems.append(f"{name} does not link the runbook")
    return problems


async def _refused_nothing(context: Context) -> Finding:
    window = grown("alertmanager_notifications_failed_total", _REFUSED_SECONDS)
    sent, counted = await asyncio.gather(
        context.prometheus.query("sum(alertmanager_notifications_total)"),
        context.prometheus.query("sum(alertmanager_notifications_failed_total)"),
    )
    samples = await context.prometheus.query(f"sum by (integration) ({window})")
    failed = [
        f"{one.metric.get('integration')}: {one.value[1]:.0f} failed"
        for one in samples
        if one.value[1] > 0
    ]
    if not (sent and counted):
        failed.append("Prometheus has no counters from Alertmanager")
    return Finding(
        not failed,
        f"no channel has rejected a notification in the last {_REFUSED_SECONDS / 60:.0f} minutes",
        ", ".join(failed) or f"{sent[0].value[1]:.0f} sent since it started, no recent failures",
        "stackctl logs alertmanager"
        if sent and counted
        else "stackctl verify prometheus.other-targets",
    )


CHECKS = (
    *(
        Check(
            f"notifications.{severity}-{component}",
            f"An alert reaches exactly its channels: {severity}, {component}",
            "Step 7: Verify notification delivery",
            "alertmanager",
            functools.partial(_exercise, severity, component),
            slow=True,
            once=True,
        )
        for severity in SEVERITIES
        for component in COMPONENTS
    ),
    Check(
        "notifications.failures",
        "No channel has rejected a notification",
        "beyond the plan",
        "alertmanager",
        _refused_nothing,
    ),
)
