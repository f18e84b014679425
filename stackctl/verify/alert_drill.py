"""A drill of the alerts themselves: each is sent through the running Alertmanager, firing and then resolved.

A drill's alerts have the labels and texts of the real ones, except two labels: `drill` marks them, and each has a
`cluster` of its own. Inhibition and grouping compare the cluster, so a drill's alerts affect neither real alerts nor
each other.
"""

from __future__ import annotations

import datetime as dt
import re
import time
import uuid
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from stackctl.alerts.examples import Example
from stackctl.chaos.timeline import Timer, route_seconds
from stackctl.clients.sink import Message
from stackctl.errors import ServiceError
from stackctl.util.polling import until
from stackctl.util.tasks import finish
from stackctl.verify.model import Context
from stackctl.verify.notifications import Key, deliveries, in_sink, key_of

T = TypeVar("T")

_LIFETIME = dt.timedelta(minutes=5)
"""After this time the alerts end by themselves, in case the drill is killed."""
_PAUSE = 0.5
_MARGIN = 5.0
"""Seconds after a group's longest wait within which its messages arrive, including unexpected ones."""
_LATE = 30.0
"""Additional seconds to wait for missing messages."""
_MARK = re.compile(r"\[drill (\w+)-(\d+)\]")

Stage = Callable[[str], None]
"""Called with what the drill is waiting for."""


@dataclass(slots=True)
class Drilled:
    """How one alert was delivered."""

    alert: str
    labels: Mapping[str, str]
    receivers: tuple[str, ...] = ()
    """The receivers that Alertmanager chose."""
    expected: Counter[Key] = field(default_factory=Counter)
    """The messages that these receivers deliver at this time."""
    silenced_by: tuple[str, ...] = ()
    problems: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class DrillReport:
    """The drilled alerts, and the problems of real channels, whose messages only people can see."""

    alerts: list[Drilled]
    problems: list[str]
    seconds: float

    @property
    def passed(self) -> bool:
        """Whether every alert was delivered as routed, and resolved."""
        return not self.problems and not any(one.problems for one in self.alerts)


async def drill(context: Context, examples: Mapping[str, Example], stage: Stage) -> DrillReport:
    """Send these alerts, wait for their notifications, resolve them, and wait for the resolutions.

    Silenced alerts are reported as such, and no message is expected. Raises ServiceError if Alertmanager or the sink
    does not respond.
    """
    return await _Drill(context, examples, stage).run()


class _Drill:
    def __init__(self, context: Context, examples: Mapping[str, Example], stage: Stage) -> None:
        self._context = context
        self._examples = list(examples.values())
        self._stage = stage
        self._id = uuid.uuid4().hex[:8]
        self._began = dt.datetime.now(dt.UTC)
        self._last = 0
        self._received: list[Message] = []
        self._alerts = [
            Drilled(
                name,
                {
                    **example.labels,
                    "cluster": f"drill-{self._id}-{number}",
                    "drill": self._id,
                },
            )
            for number, (name, example) in enumerate(examples.items())
        ]

    async def run(self) -> DrillReport:
        context, began = self._context, time.monotonic()
        self._last = await context.sink.last() if context.sink else 0
        await context.tally.begin(context.alertmanager)
        try:
            await self._post(self._began + _LIFETIME)
            await self._route()
            problems = await self._expect("firing", "group_wait")
        finally:
            # A cancelled drill must not leave its alerts firing.
            await finish(self._post(dt.datetime.now(dt.UTC)))
        problems += await self._expect("resolved", "group_interval")
        return DrillReport(self._alerts, problems, time.monotonic() - began)

    async def _post(self, ends: dt.datetime) -> None:
        await self._context.alertmanager.post_alerts(
            [
                {
                    "labels": dict(drilled.labels),
                    "annotations": {
                        **example.annotations,
                        "summary": f"[drill {self._id}-{number}]"
                        f" {example.annotations.get('summary', drilled.alert)}",
                    },
                    "startsAt": self._began.isoformat(),
                    "endsAt": ends.isoformat(),
                }
                for number, (drilled, example) in enumerate(
                    zip(self._alerts, self._examples, strict=True)
                )
            ]
        )

    async def _route(self) -> None:
        """Record the receivers that Alertmanager chose for each alert, and what they deliver now."""
        by_cluster = {one.labels["cluster"]: one for one in self._alerts}

        async def ask() -> int:
            held = await self._context.alertmanager.alerts()
            own = [one for one in held if one.labels.get("drill") == self._id]
            for alert in own:
                drilled = by_cluster[alert.labels["cluster"]]
                drilled.receivers = tuple(one.name for one in alert.receivers)
                drilled.silenced_by = alert.status.silenced_by
                heard = () if drilled.silenced_by else drilled.receivers
                drilled.expected = deliveries(heard, self._began)
            # The API reports an alert as unprocessed until its silences are known.
            return sum(one.status.state != "unprocessed" for one in own)

        seen = await _patiently(ask, lambda count: count == len(self._alerts), seconds=_LATE)
        if seen < len(self._alerts):
            for one in self._alerts:
                if not one.receivers:
                    one.problems.append("Alertmanager does not list it")

    async def _expect(self, status: str, timer: Timer) -> list[str]:
        """Wait for messages with this status, record each alert's problems, and return those of real channels."""
        route = await self._context.alertmanager.route()
        waits = [route_seconds(route, timer, one.labels) for one in self._alerts]
        settling = max(max(one) for one in waits) + _MARGIN
        settled = time.monotonic() + settling
        real = [
            channel
            for one in self._alerts
            for channel, _ in one.expected.elements()
            if channel in self._context.real_channels
        ]
        self._context.tally.expect(real)
        wanted = [
            Counter({key: n for key, n in one.expected.items() if in_sink(key, self._context)})
            for one in self._alerts
        ]

        async def ask() -> tuple[list[Counter[Key]], Mapping[str, tuple[int, int]]]:
            seen = await self._messages(status)
            missing = await self._context.tally.missing(self._context.alertmanager, real)
            due = sum(map(Counter.total, wanted))
            came = sum(map(Counter.total, seen))
            self._stage(f"{status}: {came} of {due} messages")
            return seen, missing

        seen, missing = await _patiently(
            ask,
            lambda answer: (
                time.monotonic() >= settled
                and not answer[1]
                and all(map(Counter.__ge__, answer[0], wanted))
            ),
            seconds=settling + _LATE,
        )
        for one, got, due in zip(self._alerts, seen, wanted, strict=True):
            one.problems += _differences(status, got, due)
        return [
            f"{channel} accepted {number} of {due} notifications ({status})"
            for channel, (number, due) in missing.items()
        ]

    async def _messages(self, status: str) -> list[Counter[Key]]:
        """Return the messages that the sink received for each alert with this status."""
        found: list[Counter[Key]] = [Counter() for _ in self._alerts]
        if self._context.sink:
            # A drill of all alerts sends hundreds of messages, so only the new ones are requested.
            self._received += await self._context.sink.messages(after=self._last)
            self._last = max((one.id for one in self._received), default=self._last)
        for message in self._received:
            if message.status == status and message.channel not in self._context.real_channels:
                for number in self._numbers(message):
                    found[number][key_of(message)] += 1
        return found

    def _numbers(self, message: Message) -> set[int]:
        """Return the numbers of this drill's alerts in a message."""
        marks = _MARK.findall(f"{message.title}\n{message.text}")
        return {int(number) for drill, number in marks if drill == self._id}


async def _patiently(
    ask: Callable[[], Awaitable[T]], satisfied: Callable[[T], bool], *, seconds: float
) -> T:
    """Poll as `until` does, also after a failed request: on a busy machine one may time out.

    Raises ServiceError if the last request failed.
    """

    async def attempt() -> T | ServiceError:
        try:
            return await ask()
        except ServiceError as error:
            return error

    answer = await until(
        attempt,
        lambda found: not isinstance(found, ServiceError) and satisfied(found),
        seconds=seconds,
        pause=_PAUSE,
    )
    if isinstance(answer, ServiceError):
        raise answer
    return answer


def _differences(status: str, seen: Counter[Key], wanted: Counter[Key]) -> list[str]:
    missing, unexpected = wanted - seen, seen - wanted
    return [
        *(f"{status}: nothing delivered to {' '.join(key)}" for key in sorted(missing)),
        *(f"{status}: unexpected message to {' '.join(key)}" for key in sorted(unexpected)),
    ]
