"""Section 9.4 of the plan, to its end: a test alert of every severity and component reaches exactly its channels.

Each check sends an alert of its own through the real Alertmanager, and ends it. Where a channel is not set up, the
demo's sink stands in its place and shows every message; of a real channel only Alertmanager's counters can be seen.
"""

from __future__ import annotations

import datetime as dt
import functools
import itertools
import uuid
from collections.abc import Iterable

from stackctl.clients.sink import Message, SinkClient
from stackctl.errors import ServiceError
from stackctl.polling import until
from stackctl.verify.model import Check, Context, Finding

SEVERITIES = ("critical", "warning", "info")
COMPONENTS = ("infrastructure", "trading", "ai", "database")

_ALERT = "StackctlVerify"
_SUMMARY = "A test alert of stackctl verify: nothing is wrong"
_RUNBOOK = "https://github.com/bot-core/bot-core/blob/main/docs/runbooks/SERVICE_DOWN_RUNBOOK.md"
_LIFETIME = dt.timedelta(minutes=5)
"""After this an alert ends by itself, should nobody be left to end it."""
_PAUSE = 0.5
_WAIT = 60.0
"""Seconds for a message to come: the longest group_wait is 30 s, the group_interval 10 s."""
_SILENCE = 35.0
"""Seconds without a message after which none comes any more."""

Key = tuple[str, str]
"""Channel, and which of it: Slack's channel, PagerDuty's severity, the beginning of a mail's subject."""

_BY_SEVERITY: dict[str, frozenset[Key]] = {
    "critical": frozenset(
        {
            ("pagerduty", "critical"),
            ("email", "[CRITICAL]"),
            ("slack", "#critical-alerts"),
            ("slack", "#bot-core-alerts"),
        }
    ),
    "warning": frozenset({("slack", "#bot-core-alerts")}),
    "info": frozenset(),
}
_BUSINESS_HOURS: Key = ("email", "[BOT-CORE]")
_BY_COMPONENT: dict[str, Key] = {
    "trading": ("slack", "#trading-alerts"),
    "ai": ("slack", "#ai-alerts"),
    "database": ("slack", "#database-alerts"),
}


def expected(severity: str, component: str, at: dt.datetime) -> set[Key]:
    """Give who must be told of an alert at this time (the plan's section 3: routes and business hours in UTC)."""
    keys = set(_BY_SEVERITY[severity])
    if severity == "warning" and at.weekday() < 5 and 9 <= at.hour < 17:
        keys.add(_BUSINESS_HOURS)
    if severity != "info" and component in _BY_COMPONENT:
        keys.add(_BY_COMPONENT[component])
    return keys


def key_of(message: Message) -> Key:
    """Give what a message counts as."""
    if message.channel == "email":
        return "email", message.title.partition("]")[0] + "]"
    return message.channel, message.target


async def _exercise(severity: str, component: str, context: Context) -> Finding:
    sink = context.sink
    if sink is None:
        return Finding(
            True, "the demo's sink shows what is sent", "not asked: the stack runs without the demo"
        )
    service = f"stackctl-verify-{uuid.uuid4().hex[:8]}"
    labels = {
        "alertname": _ALERT,
        "severity": severity,
        "component": component,
        "service": service,
    }
    began = dt.datetime.now(dt.UTC)
    after = await sink.last()
    wanted = {
        key for key in expected(severity, component, began) if key[0] not in context.real_channels
    }
    counts = await context.alertmanager.notification_counts()
    try:
        await _post(context, labels, began, began + _LIFETIME)
        fired = await _collect(sink, service, "firing", wanted, after)
    finally:
        await _post(context, labels, began, dt.datetime.now(dt.UTC))
    resolved = await _collect(sink, service, "resolved", wanted, after)
    problems = [
        *_compared("when it fired", fired, wanted),
        *_compared("when it was resolved", resolved, wanted),
        *itertools.chain.from_iterable(_rendering(one, service) for one in (*fired, *resolved)),
        *await _real_failures(context, counts),
    ]
    told = ", ".join(sorted(f"{channel} {which}" for channel, which in wanted)) or "nobody"
    return Finding(
        not problems,
        f"told when it fires and when it is resolved: {told}",
        "; ".join(problems) or f"{len(fired)} messages when it fired, {len(resolved)} resolved",
        "stackctl logs alertmanager; stackctl alerts route"
        f" severity={severity} component={component}",
    )


async def _post(
    context: Context, labels: dict[str, str], starts: dt.datetime, ends: dt.datetime
) -> None:
    alert = {
        "labels": labels,
        "annotations": {
            "summary": _SUMMARY,
            "description": f"Sent for {labels['service']}",
            "runbook_url": _RUNBOOK,
        },
        "startsAt": starts.isoformat(),
        "endsAt": ends.isoformat(),
    }
    await context.alertmanager.post_alerts([alert])


async def _collect(
    sink: SinkClient, service: str, status: str, wanted: set[Key], after: int
) -> list[Message]:
    """Give this alert's messages once all that are wanted are there, or when the time is over.

    Where nobody is to be told, that is the time in which anybody would have been.
    """

    async def ask() -> list[Message]:
        return [
            one
            for one in await sink.messages(after=after)
            if one.status == status and (service in one.title or service in one.text)
        ]

    return await until(
        ask,
        lambda found: bool(wanted) and {key_of(one) for one in found} >= wanted,
        seconds=_WAIT if wanted else _SILENCE,
        pause=_PAUSE,
    )


def _compared(when: str, found: Iterable[Message], wanted: set[Key]) -> list[str]:
    seen = {key_of(one) for one in found}
    return [
        *(f"{' '.join(key)} was not told {when}" for key in sorted(wanted - seen)),
        *(f"{' '.join(key)} was told {when} and should not be" for key in sorted(seen - wanted)),
    ]


def _rendering(message: Message, service: str) -> list[str]:
    """Say what is wrong with a message's text: a template that failed leaves these marks."""
    text = f"{message.title}\n{message.text}"
    name = " ".join(key_of(message))
    problems = [f"{name} shows {mark!r}" for mark in ("<no value>", "{{") if mark in text]
    if _ALERT not in message.title or service not in message.title:
        problems.append(f"the title for {name} names neither alert nor service: {message.title!r}")
    if message.channel != "pagerduty" and _SUMMARY not in text:
        problems.append(f"{name} does not show the summary")
    if _RUNBOOK not in text:
        problems.append(f"{name} does not link the runbook")
    return problems


async def _real_failures(context: Context, before: dict[str, tuple[float, float]]) -> list[str]:
    after = await context.alertmanager.notification_counts()
    nothing = (0.0, 0.0)
    return [
        f"Alertmanager could not deliver to {channel}"
        for channel in sorted(context.real_channels)
        if after.get(channel, nothing)[1] > before.get(channel, nothing)[1]
    ]


async def _refused_nothing(context: Context) -> Finding:
    try:
        counts = await context.alertmanager.notification_counts()
    except ServiceError as error:
        return Finding(
            False, "counters of notifications", error.message, "stackctl logs alertmanager"
        )
    failed = {channel: failures for channel, (_, failures) in counts.items() if failures}
    sent = sum(total for total, _ in counts.values())
    return Finding(
        not failed,
        "no channel has refused a notification",
        ", ".join(f"{channel}: {number:.0f} failed" for channel, number in failed.items())
        or f"{sent:.0f} sent, none failed",
        "stackctl logs alertmanager",
    )


CHECKS = (
    *(
        Check(
            f"notifications.{severity}-{component}",
            f"An alert reaches exactly its channels: {severity}, {component}",
            "9.4 Alertmanager Verification: Trigger test alert",
            "alertmanager",
            functools.partial(_exercise, severity, component),
            slow=True,
        )
        for severity in SEVERITIES
        for component in COMPONENTS
    ),
    Check(
        "notifications.failures",
        "No channel has refused a notification",
        "beyond the plan",
        "alertmanager",
        _refused_nothing,
    ),
)
