"""When a drill reached each of its stages, and how much of the time the configuration explains."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from stackctl.clients.alertmanager import Route

Stage = Literal[
    "fault",
    "pending",
    "firing",
    "alertmanager",
    "channel",
    "healed",
    "resolved",
    "channel-resolved",
]

_SLACK = 5.0
"""Seconds that polling and a busy machine may add before a stage counts as slow."""


@dataclass(frozen=True, slots=True)
class Pace:
    """The times by which the configuration delays an alert, in seconds."""

    scrape_interval: float
    evaluation_interval: float
    hold: float
    """The rule's `for`."""
    keep: float
    """The rule's `keep_firing_for`."""
    group_wait: float
    group_interval: float


@dataclass(frozen=True, slots=True)
class Span:
    """The time between two stages, in seconds since the fault; the configuration explains `least` to `most` of it."""

    name: str
    start: float
    end: float
    least: float
    most: float

    @property
    def seconds(self) -> float:
        """The duration in seconds."""
        return self.end - self.start

    @property
    def slow(self) -> bool:
        """Whether it took longer than the configuration and a small margin explain."""
        return self.seconds > self.most + _SLACK

    def describe(self) -> str:
        """Return the duration, with the range that the configuration explains."""
        note = ", slow" if self.slow else ""
        return f"{self.seconds:.1f} s (configured {self.least:g} to {self.most:g} s{note})"


@dataclass(slots=True)
class Timeline:
    """When each stage was reached, in seconds since the fault."""

    alert: str
    service: str
    pace: Pace
    seconds: dict[Stage, float] = field(default_factory=dict)

    def spans(self) -> list[Span]:
        """Return the spans between the stages that were reached."""
        pace = self.pace
        seen = pace.scrape_interval + pace.evaluation_interval
        ways: tuple[tuple[str, Stage, Stage, float, float], ...] = (
            ("to pending", "fault", "pending", 0.0, seen),
            ("to firing", "pending", "firing", pace.hold, pace.hold + pace.evaluation_interval),
            ("to Alertmanager", "firing", "alertmanager", 0.0, pace.evaluation_interval),
            ("to the channel", "alertmanager", "channel", pace.group_wait, pace.group_wait),
            ("to resolved", "healed", "resolved", pace.keep, pace.keep + seen),
            ("resolution to the channel", "resolved", "channel-resolved", 0.0, pace.group_interval),
        )
        return [
            Span(name, self.seconds[start], self.seconds[end], least, most)
            for name, start, end, least, most in ways
            if start in self.seconds and end in self.seconds
        ]


Timer = Literal["group_wait", "group_interval"]

_TIMERS: Mapping[Timer, float] = {"group_wait": 30.0, "group_interval": 300.0}
"""The default waits of a route's groups, in seconds
(prometheus.io/docs/alerting/latest/configuration/#route)."""


def route_seconds(top: Route, timer: Timer, labels: Mapping[str, str] | None = None) -> list[float]:
    """Return the waits of all routes, or of those that match an alert with these labels.

    Only the forms that this project uses are supported: one level of routes, and matchers like `label = value`.
    """

    def wait(route: Route, default: float) -> float:
        seconds: float | None = getattr(route, timer)
        return default if seconds is None else seconds

    inherited = wait(top, _TIMERS[timer])
    waits = [
        wait(route, inherited)
        for route in top.routes
        if labels is None or all(_matches(one, labels) for one in route.matchers)
    ]
    return waits or [inherited]


def _matches(matcher: str, labels: Mapping[str, str]) -> bool:
    name, _, value = matcher.partition("=")
    return labels.get(name.strip(' "')) == value.strip(' "')
