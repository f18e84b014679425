"""Time ranges, steps, and the variables that depend on them. Times are in milliseconds since 1970."""

from __future__ import annotations

import re
from dataclasses import dataclass

_UNITS = {
    "ms": 1,
    "s": 1000,
    "m": 60_000,
    "h": 3_600_000,
    "d": 86_400_000,
    "w": 7 * 86_400_000,
    "M": 30 * 86_400_000,
    "y": 365 * 86_400_000,
}
_RELATIVE = re.compile(r"now(?:([+-])(\d+)(ms|[smhdwMy]))?(?:/([smhdwMy]))?")
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|[smhdwMy])")

# An interval below the first number is rounded to the second: the table of Grafana's interval calculator.
_ROUNDING = (
    (10, 1),
    (15, 10),
    (35, 20),
    (75, 50),
    (150, 100),
    (350, 200),
    (750, 500),
    (1_500, 1_000),
    (3_500, 2_000),
    (7_500, 5_000),
    (12_500, 10_000),
    (17_500, 15_000),
    (25_000, 20_000),
    (45_000, 30_000),
    (90_000, 60_000),
    (210_000, 120_000),
    (450_000, 300_000),
    (750_000, 600_000),
    (1_050_000, 900_000),
    (1_500_000, 1_200_000),
    (2_700_000, 1_800_000),
    (5_400_000, 3_600_000),
    (9_000_000, 7_200_000),
    (16_200_000, 10_800_000),
    (32_400_000, 21_600_000),
    (86_400_000, 43_200_000),
    (604_800_000, 86_400_000),
    (1_814_400_000, 604_800_000),
    (3_628_800_000, 2_592_000_000),
)
_SAFE_POINTS = 11_000
_DEFAULT_POINTS = 1500


@dataclass(frozen=True)
class TimeRange:
    """From `start` to `end`. Raises ValueError if the end is before the start."""

    start: int
    end: int

    def __post_init__(self) -> None:
        if self.end < self.start:
            raise ValueError("the time range ends before it begins")

    @property
    def length(self) -> int:
        """Its length in milliseconds."""
        return self.end - self.start


def moment(value: object, now: int) -> int:
    """Return the time of `now`, `now-1h`, `now/d` or a number of milliseconds. Raises ValueError.

    `/d` rounds down to the beginning of the unit in UTC.
    """
    text = str(value).strip()
    if text.isdecimal():
        return int(text)
    match = _RELATIVE.fullmatch(text)
    if not match:
        raise ValueError(f"cannot read the time {text!r}")
    when = now
    if match[1]:
        when += (1 if match[1] == "+" else -1) * int(match[2]) * _UNITS[match[3]]
    if match[4]:
        when -= when % _UNITS[match[4]]
    return when


def duration(text: str) -> int:
    """Return the milliseconds of `15s`, `1m` or `>10s`. Raises ValueError."""
    match = _DURATION.fullmatch(text.strip().lstrip(">"))
    if not match:
        raise ValueError(f"cannot read the duration {text!r}")
    return round(float(match[1]) * _UNITS[match[2]])


def show(milliseconds: int) -> str:
    """Write a duration as PromQL reads it: `15s`, `1h`, `250ms`."""
    for unit in ("d", "h", "m", "s"):
        if milliseconds and milliseconds % _UNITS[unit] == 0:
            return f"{milliseconds // _UNITS[unit]}{unit}"
    return f"{milliseconds}ms"


def step(
    when: TimeRange, *, interval: str, scrape_interval: str, interval_ms: int, points: int
) -> int:
    """Return the milliseconds between two points, as Grafana calculates them for Prometheus.

    `interval` is the query's own minimum step, `scrape_interval` that of the data source; either may be empty.
    Raises ValueError for an invalid duration.
    """
    text = "" if "$" in interval else interval
    text = text or scrape_interval
    least = duration(text) if text else interval_ms or 15_000
    wanted = max(_rounded(when.length // (points or _DEFAULT_POINTS)), least)
    return max(wanted, _rounded(when.length // _SAFE_POINTS))


def interpolate(
    expression: str, when: TimeRange, *, interval: int, scrape_interval: str = ""
) -> str:
    """Replace the built-in variables such as $__range and ${__rate_interval}. `interval` is in milliseconds.

    Raises ValueError for an invalid scrape interval.
    """
    scrape = duration(scrape_interval or "15s")
    rate = max(interval + scrape, 4 * scrape)
    seconds = round(when.length / 1000)
    values = {
        "__interval": show(interval),
        "__interval_ms": str(interval),
        "__range": f"{seconds}s",
        "__range_s": str(seconds),
        "__range_ms": str(when.length),
        "__rate_interval": show(rate),
        "__rate_interval_ms": str(rate),
        "__auto": show(interval),
        "__from": str(when.start),
        "__to": str(when.end),
    }

    def replace(match: re.Match[str]) -> str:
        return values.get(match[1] or match[2], match[0])

    return re.sub(r"\$(?:\{(\w+)\}|(\w+))", replace, expression)


def _rounded(milliseconds: int) -> int:
    for limit, value in _ROUNDING:
        if milliseconds < limit:
            return value
    return _UNITS["y"]
