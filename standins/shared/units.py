"""Durations and sizes as Go programs write them. Times are in nanoseconds, as Loki and Promtail count them."""

from __future__ import annotations

import re
from datetime import UTC, datetime

NANOSECONDS = 1_000_000_000

_UNITS = {
    "ns": 1,
    "us": 1_000,
    "µs": 1_000,
    "ms": 1_000_000,
    "s": NANOSECONDS,
    "m": 60 * NANOSECONDS,
    "h": 3600 * NANOSECONDS,
    "d": 86400 * NANOSECONDS,
    "w": 7 * 86400 * NANOSECONDS,
    "y": 365 * 86400 * NANOSECONDS,
}
_PART = re.compile(r"(\d+(?:\.\d+)?|\.\d+)(ns|us|µs|ms|s|m|h|d|w|y)")
_DURATION = re.compile(rf"-?(?:{_PART.pattern})+")

_SIZES = {"": 1, "B": 1}
_SIZES |= {f"{unit}B": 1000 ** (power + 1) for power, unit in enumerate("KMGTP")}
_SIZES |= {f"{unit}IB": 1024 ** (power + 1) for power, unit in enumerate("KMGTP")}
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kKMGTP]?i?B|)", re.IGNORECASE)

_RFC3339 = re.compile(
    r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d:\d\d)(?:[.,](\d{1,9})\d*)?(Z|z|[+-]\d\d:\d\d)"
)


def duration(text: str) -> int:
    """Return the nanoseconds of a duration such as `1h30m`, `250ms`, `30d` or `0`; ValueError if it is invalid."""
    text = text.strip()
    if text in {"0", "-0"}:
        return 0
    if not _DURATION.fullmatch(text):
        raise ValueError(f'not a valid duration string: "{text}"')
    total = sum(round(float(number) * _UNITS[unit]) for number, unit in _PART.findall(text))
    return -total if text.startswith("-") else total


def show_duration(nanoseconds: int) -> str:
    """Format nanoseconds as Go does for whole seconds: `1h0m0s`."""
    seconds, rest = divmod(abs(nanoseconds), NANOSECONDS)
    hours, minutes = divmod(seconds // 60, 60)
    fraction = f".{rest:09d}".rstrip("0").rstrip(".")
    text = f"{seconds % 60}{fraction}s"
    if hours or minutes:
        text = f"{minutes}m{text}"
    if hours:
        text = f"{hours}h{text}"
    return f"-{text}" if nanoseconds < 0 else text


def size(text: str) -> int:
    """Return the bytes of a size such as `256KB` (thousands), `1MiB` (1024s) or `4096`; ValueError if it is invalid."""
    match = _SIZE.fullmatch(text.strip())
    if not match:
        raise ValueError(f'not a valid size: "{text}"')
    return round(float(match[1]) * _SIZES[match[2].upper()])


def limit_size(text: str) -> int:
    """Return the bytes of a size in a limit of Loki or Promtail, where `256KB` is 256 times 1024.

    They parse it with github.com/c2h5oh/datasize (`flagext.ByteSize`), unlike the sizes of LogQL. Raises ValueError for
    an invalid size.
    """
    match = _SIZE.fullmatch(text.strip())
    if not match or "." in match[1] or "I" in match[2].upper():
        raise ValueError(f'not a valid size: "{text}"')
    unit = match[2].upper().removesuffix("B")
    power = "KMGTP".index(unit) + 1 if unit else 0
    return int(match[1]) << 10 * power


def rfc3339(text: str) -> int:
    """Return the nanoseconds since 1970 of an RFC 3339 time with up to nine digits; ValueError if it is invalid."""
    match = _RFC3339.fullmatch(text.strip())
    if not match:
        raise ValueError(f'cannot parse "{text}" as RFC 3339')
    zone = "+00:00" if match[4] in "Zz" else match[4]
    whole = datetime.fromisoformat(f"{match[1]}T{match[2]}{zone}")
    return int(whole.timestamp()) * NANOSECONDS + int((match[3] or "").ljust(9, "0"))


def show_time(nanoseconds: int) -> str:
    """Format nanoseconds since 1970 as an RFC 3339 time in UTC, with as many digits as needed."""
    seconds, rest = divmod(nanoseconds, NANOSECONDS)
    whole = datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return whole + f".{rest:09d}".rstrip("0").rstrip(".") + "Z"
