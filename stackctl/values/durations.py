"""Durations in the notation that Prometheus and Alertmanager share: 90s, 1h30m, 15d.

The grammar is that of `ParseDuration` in prometheus/common, model/time.go: units from the largest to the smallest, each
at most once, whole numbers only, and a bare 0. A year has 365 days and a week 7.
"""

from __future__ import annotations

import re

_MILLISECONDS = {
    "y": 365 * 86_400_000,
    "w": 7 * 86_400_000,
    "d": 86_400_000,
    "h": 3_600_000,
    "m": 60_000,
    "s": 1_000,
    "ms": 1,
}
_NOTATION = re.compile("".join(rf"(?:([0-9]++){unit})?" for unit in _MILLISECONDS))
_LONGEST = (2**63 - 1) // 1_000_000
"""The longest duration in milliseconds: Go's time.Duration has 64 bits of nanoseconds."""
_MOST_DIGITS = len(str(_LONGEST))


def parse_duration(text: str) -> float:
    """Return the seconds of a duration such as 1h30m. Raises ValueError with the reason."""
    if text == "0":
        return 0.0
    found = _NOTATION.fullmatch(text) if text else None
    if found is None:
        raise ValueError(
            "expected a duration such as 90s or 1h30m,"
            f" with units in the order {', '.join(_MILLISECONDS)}"
        )
    numbers = [(number or "").lstrip("0") or "0" for number in found.groups()]
    # Python only converts a few thousand digits, and 64 bits hold far fewer.
    if all(len(number) <= _MOST_DIGITS for number in numbers):
        sizes = _MILLISECONDS.values()
        milliseconds = sum(int(number) * size for number, size in zip(numbers, sizes, strict=True))
        if milliseconds <= _LONGEST:
            return milliseconds / 1000
    raise ValueError("expected a duration of at most 292 years")


def format_duration(seconds: float) -> str:
    """Return a duration as Prometheus prints it, to the millisecond: 90 seconds are 1m30s.

    Years and weeks are only used without a remainder, because 90d is easier to read than 12w6d. `seconds` is 0 or more.
    """
    rest = round(seconds * 1000)
    parts = []
    for unit, size in _MILLISECONDS.items():
        if unit in {"y", "w"} and rest % size:
            continue
        number, rest = divmod(rest, size)
        if number:
            parts.append(f"{number}{unit}")
    return "".join(parts) or "0s"
