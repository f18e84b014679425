"""The range of time of a snapshot."""

from __future__ import annotations

import datetime as dt

import pytest

from stackctl.errors import UsageError
from stackctl.snapshot import timerange
from stackctl.snapshot.timerange import TimeRange
from tests.support.boards import NOW


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("now", NOW),
        ("now-90s", NOW - dt.timedelta(seconds=90)),
        ("now-15m", NOW - dt.timedelta(minutes=15)),
        ("now-2d", NOW - dt.timedelta(days=2)),
        ("now-1w", NOW - dt.timedelta(weeks=1)),
        ("now-1y", NOW - dt.timedelta(days=365)),
        ("2026-01-01T10:30", dt.datetime(2026, 1, 1, 10, 30, tzinfo=dt.UTC)),
        ("2026-01-01T10:30:00+02:00", dt.datetime(2026, 1, 1, 8, 30, tzinfo=dt.UTC)),
        ("2026-01-01", dt.datetime(2026, 1, 1, tzinfo=dt.UTC)),
    ],
)
def test_a_time_as_a_user_writes_it(text: str, time: dt.datetime) -> None:
    later = (NOW + dt.timedelta(days=1)).isoformat()
    assert timerange.parse(text, later, NOW).start == time


@pytest.mark.parametrize(
    "text", ["", "yesterday", "now-", "now-1h1d", "now+1h", "now-999999w", "2026-13-01"]
)
def test_what_is_no_time(text: str) -> None:
    with pytest.raises(UsageError, match="invalid time"):
        timerange.parse(text, "now", NOW)


@pytest.mark.parametrize(("start", "end"), [("now", "now"), ("now-1h", "now-2h")])
def test_a_range_has_its_start_before_its_end(start: str, end: str) -> None:
    with pytest.raises(UsageError, match="is not before"):
        timerange.parse(start, end, NOW)


@pytest.mark.parametrize(("hours", "step"), [(1, 15), (6, 90), (24 * 30, 10800)])
def test_a_curve_has_some_hundred_points_at_most(hours: int, step: int) -> None:
    times = TimeRange(NOW - dt.timedelta(hours=hours), NOW)
    assert times.step == step
    assert times.times()[0] == times.start.timestamp()
    assert len(times.times()) <= 241
