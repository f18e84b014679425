"""Grafana's named colours, dark enough for a white page, and the palette for curves."""

from __future__ import annotations

import re
from collections.abc import Mapping

from stackctl.snapshot.dashboard import Appearance

_NAMED: Mapping[str, str] = {
    "red": "#d1323c",
    "orange": "#d9730d",
    "yellow": "#b58900",
    "green": "#2b8a3e",
    "blue": "#2868b8",
    "purple": "#8646b5",
    "text": "#24292f",
}
NEUTRAL = _NAMED["text"]

PALETTE = (
    "#2868b8",
    "#d9730d",
    "#2b8a3e",
    "#8646b5",
    "#d1323c",
    "#0f8b8d",
    "#b58900",
    "#c2458c",
    "#5c677d",
    "#7a5230",
    "#4f9d3a",
    "#4753c4",
)


def color(name: str) -> str:
    """Return a colour as CSS, from one of Grafana's names, with or without a shade, or six hexadecimal digits."""
    if re.fullmatch(r"#[0-9a-fA-F]{6}", name):
        return name
    return _NAMED.get(name.rpartition("-")[2], NEUTRAL)


def of_series(appearance: Appearance, index: int) -> str:
    """Return the colour of the series at this index, or its own if it has one."""
    if appearance.color.mode == "fixed":
        return color(appearance.color.fixed_color)
    return PALETTE[index % len(PALETTE)]


def of_value(appearance: Appearance, value: float) -> str:
    """Return the colour of a value, from its mapping or its thresholds."""
    mapped, step = appearance.mapped(value), appearance.step(value)
    if mapped and mapped.color:
        return color(mapped.color)
    return color(step.color) if step else NEUTRAL
