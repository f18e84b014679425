"""Formats numbers in Grafana's units (grafana/packages/grafana-data/src/valueFormats)."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

_SUFFIX = "suffix:"
"""The prefix of a custom unit, whose text follows the number."""

_SHORT = (("", 1.0), ("K", 1e3), ("Mil", 1e6), ("Bil", 1e9), ("Tri", 1e12))
_SI = (("", 1.0), ("k", 1e3), ("M", 1e6), ("G", 1e9), ("T", 1e12))
_IEC = (("B", 1.0), ("KiB", 2.0**10), ("MiB", 2.0**20), ("GiB", 2.0**30), ("TiB", 2.0**40))
_TIME = (
    ("ns", 1e-9),
    ("µs", 1e-6),
    ("ms", 1e-3),
    ("s", 1.0),
    ("min", 60.0),
    ("hours", 3600.0),
    ("days", 86400.0),
)


def number(value: float, decimals: int | None = None) -> str:
    """Return a number with this many decimals or, by default, up to two depending on its size, as Grafana does."""
    if decimals is not None:
        return f"{value:,.{decimals}f}"
    size = abs(value)
    decimals = 0 if size >= 1000 or size == int(size) else 1 if size >= 100 else 2
    if 0 < size < 0.01:
        return f"{value:.2g}"
    text = f"{value:,.{decimals}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def format_value(value: float, unit: str, decimals: int | None = None) -> str:
    """Return a value in a Grafana unit; an unknown unit is appended to the number."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "∞" if value > 0 else "-∞"
    if unit.startswith(_SUFFIX):
        return f"{number(value, decimals)} {unit.removeprefix(_SUFFIX)}"
    style = _UNITS.get(unit)
    return style(value, decimals) if style else f"{number(value, decimals)} {unit}"


Style = Callable[[float, int | None], str]


def _scaled(scale: Sequence[tuple[str, float]], behind: str = "") -> Style:
    def style(value: float, decimals: int | None) -> str:
        if scale is _TIME and value == 0:
            return "0 s"
        # Numbers below the smallest unit use the smallest unit.
        fitting = [step for step in scale if abs(value) >= step[1]]
        name, size = fitting[-1] if fitting else scale[0]
        unit = f"{name}{behind}".strip()
        return f"{number(value / size, decimals)} {unit}".strip()

    return style


def _suffixed(suffix: str, factor: float = 1.0) -> Style:
    return lambda value, decimals: f"{number(value * factor, decimals)}{suffix}"


def _money(value: float, decimals: int | None) -> str:
    """Return dollars, unabbreviated up to a million, because a portfolio's changes are much smaller than its value."""
    sign, size = "-" if value < 0 else "", abs(value)
    text = number(size, decimals) if size < 1e6 else _scaled(_SHORT)(size, decimals)
    return f"{sign}${text}"


_UNITS: Mapping[str, Style] = {
    "none": _suffixed(""),
    "short": _scaled(_SHORT),
    "percent": _suffixed("%"),
    "percentunit": _suffixed("%", 100.0),
    "s": _scaled(_TIME),
    "bytes": _scaled(_IEC),
    "binBps": _scaled(_IEC, "/s"),
    "currencyUSD": _money,
    "currencyBTC": _suffixed(" BTC"),
    "ops": _scaled(_SI, " ops/s"),
    "reqps": _scaled(_SI, " req/s"),
    "mps": _scaled(_SI, " msg/s"),
    "cps": _scaled(_SI, " c/s"),
    "opm": _scaled(_SI, " ops/min"),
}
