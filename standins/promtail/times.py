"""Times in the formats of the timestamp stage: named ones, Unix ones, and layouts as Go writes them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from standins.shared import units
from standins.shared.units import NANOSECONDS

Parse = Callable[[str], int]
"""Returns the nanoseconds since 1970 of a text; raises ValueError."""

_UNIX = {
    "Unix": NANOSECONDS,
    "UnixMs": NANOSECONDS // 10**3,
    "UnixUs": NANOSECONDS // 10**6,
    "UnixNs": 1,
}
_NAMED = {
    "ANSIC": "Mon Jan _2 15:04:05 2006",
    "UnixDate": "Mon Jan _2 15:04:05 MST 2006",
    "RubyDate": "Mon Jan 02 15:04:05 -0700 2006",
    "RFC822": "02 Jan 06 15:04 MST",
    "RFC822Z": "02 Jan 06 15:04 -0700",
    "RFC850": "Monday, 02-Jan-06 15:04:05 MST",
    "RFC1123": "Mon, 02 Jan 2006 15:04:05 MST",
    "RFC1123Z": "Mon, 02 Jan 2006 15:04:05 -0700",
}
_RFC3339 = {"RFC3339", "RFC3339Nano", "2006-01-02T15:04:05Z07:00"}
_LAYOUT: Mapping[str, str] = {
    "2006": "%Y",
    "January": "%B",
    "Monday": "%A",
    "-07:00": "%z",
    "Z07:00": "%z",
    "Z0700": "%z",
    "-0700": "%z",
    "MST": "%Z",
    "Jan": "%b",
    "Mon": "%a",
    "_2": "%d",
    "01": "%m",
    "02": "%d",
    "15": "%H",
    "03": "%I",
    "04": "%M",
    "05": "%S",
    "06": "%y",
    "PM": "%p",
}
_TOKEN = re.compile("|".join([r"[.,](?:0+|9+)", *map(re.escape, _LAYOUT), "%"]))
_FRACTION = re.compile(r"[.,](\d+)")


def parser(layout: str, location: str | None = None) -> Parse:
    """Return the function that reads this format. `location` is the zone of times without one, by default UTC.

    Raises ValueError for a zone that does not exist.
    """
    if layout in _UNIX:
        factor = _UNIX[layout]
        return lambda text: (
            int(text) * factor if text.strip("-").isdigit() else _float(text, factor)
        )
    if layout in _RFC3339:
        return units.rfc3339
    try:
        zone = ZoneInfo(location) if location else UTC
    except (ZoneInfoNotFoundError, ValueError):
        raise ValueError(f"invalid location specified: unknown time zone {location}") from None
    layout = _NAMED.get(layout, layout)
    form = _TOKEN.sub(_directive, layout)
    fractional = _FRACTION_IN_LAYOUT.search(layout) is not None

    def parse(text: str) -> int:
        nanoseconds = 0
        if fractional and (match := _FRACTION.search(text)):
            nanoseconds = int(match[1][:9].ljust(9, "0"))
            text = text[: match.start()] + text[match.end() :]
        when = datetime.strptime(text.strip(), form)  # noqa: DTZ007 the zone follows
        if when.tzinfo is None:
            when = when.replace(tzinfo=zone)
        return int(when.timestamp()) * NANOSECONDS + nanoseconds

    return parse


_FRACTION_IN_LAYOUT = re.compile(r"[.,](?:0+|9+)")


def _directive(match: re.Match[str]) -> str:
    part = match[0]
    return "%%" if part == "%" else _LAYOUT.get(part, "")


def _float(text: str, factor: int) -> int:
    whole, _, fraction = text.partition(".")
    return int(whole) * factor + int(float(f"0.{fraction or '0'}") * factor)
