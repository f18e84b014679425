"""A time range whose ends are in Grafana's notation: `now`, `now-1h`, or a date and time."""

from __future__ import annotations

import datetime as dt
import math
from dataclasses import dataclass

from stackctl.errors import UsageError
from stackctl.values.durations import parse_duration

SCRAPE_INTERVAL = 15
"""The data source's timeInterval in seconds, which is the smallest useful step."""

_POINTS = 240
_AGO = "now-"


@dataclass(frozen=True, slots=True)
class TimeRange:
    """A range from `start` to `end`, both in UTC."""

    start: dt.datetime
    end: dt.datetime

    @property
    def seconds(self) -> float:
        """Its length in seconds."""
        return (self.end - self.start).total_seconds()

    @property
    def step(self) -> int:
        """Seconds between the points of a curve."""
        return max(SCRAPE_INTERVAL, math.ceil(self.seconds / _POINTS))

    def times(self) -> list[float]:
        """Return the times of a curve's points, in Unix seconds."""
        start, count = self.start.timestamp(), int(self.seconds // self.step)
        return [start + index * self.step for index in range(count + 1)]


def parse(start: str, end: str, now: dt.datetime) -> TimeRange:
    """Parse the range between two times. Raises UsageError for an invalid time or range."""
    times = TimeRange(_parse_one(start, now), _parse_one(end, now))
    if times.seconds < 1:
        raise UsageError(f"{start} is not before {end}", remedy="--from must be the earlier time")
    return times


def _parse_one(text: str, now: dt.datetime) -> dt.datetime:
    try:
        if text == "now":
            return now
        if text.startswith(_AGO):
            return now - dt.timedelta(seconds=parse_duration(text.removeprefix(_AGO)))
        time = dt.datetime.fromisoformat(text)
        return time.astimezone(dt.UTC) if time.tzinfo else time.replace(tzinfo=dt.UTC)
    except (ValueError, OverflowError):
        raise UsageError(
            f"invalid time {text!r}", remedy="use now, now-90m, now-7d, or 2026-05-01T12:00 in UTC"
        ) from None
