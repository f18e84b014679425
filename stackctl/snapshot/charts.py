"""Charts as static SVG, without scripts and external references. The only module that uses pygal."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree as ET

import pygal  # type: ignore[import-untyped]
from markupsafe import Markup
from pygal.style import Style  # type: ignore[import-untyped]

from stackctl.snapshot.timerange import TimeRange

_SVG = "http://www.w3.org/2000/svg"
_TICKS, _TICK_WIDTH = 6, 75
"""The maximum number of labels on the time axis, and the pixels that each needs."""
_LEFT, _BELOW = 64, 24
"""The space for the axis labels, in pixels."""
_LETTER = 8
"""Pixels per character of a label, including the space between labels."""

Format = Callable[[float], str]


@dataclass(frozen=True, slots=True)
class Curve:
    """Values at times (Unix seconds); None interrupts the line."""

    name: str
    color: str
    points: Sequence[tuple[float, float | None]]
    dashed: bool = False


@dataclass(frozen=True, slots=True)
class Slice:
    """A part of a pie, or a gauge's value."""

    name: str
    color: str
    value: float


def lines(
    curves: Sequence[Curve],
    times: TimeRange,
    *,
    size: tuple[int, int],
    text: Format,
    fill: bool,
    zero: bool,
) -> Markup:
    """Draw curves over time. `fill` fills the area below them, `zero` starts the axis at zero."""
    chart = _chart(
        pygal.XY,
        curves,
        size,
        opacity=".85" if fill else "0",
        margin_right=20,
        value_formatter=text,
        x_value_formatter=_clock(times),
        xrange=(times.start.timestamp(), times.end.timestamp()),
        include_x_axis=zero,
        show_dots=False,
        allow_interruptions=True,
        stroke_style={"width": 1.5},
        x_labels=_ticks(times, size[0] - _LEFT),
        max_scale=8,
    )
    for curve in curves:
        style = {"stroke_style": {"width": 1, "dasharray": "5, 4"}} if curve.dashed else {}
        points = _visible(curve.points, times.step)
        chart.add(curve.name, points, fill=fill and not curve.dashed, **style)
    return _svg(chart.render_tree())


def pie(slices: Sequence[Slice], *, size: tuple[int, int], text: Format) -> Markup:
    """Draw a pie chart."""
    chart = _chart(pygal.Pie, slices, size, value_formatter=text, inner_radius=0.5)
    for one in slices:
        chart.add(one.name, one.value)
    return _svg(chart.render_tree())


def gauge(one: Slice, *, size: tuple[int, int], text: Format, least: float, most: float) -> Markup:
    """Draw a gauge: a value as part of the arc from the minimum to the maximum. The caller writes the value below."""
    chart = _chart(pygal.SolidGauge, [one], size, half_pie=True, inner_radius=0.7)
    # pygal's arc starts at zero, so the minimum is subtracted, and its labels are not used.
    over = min(max(one.value, least), most) - least
    chart.add(one.name, [{"value": over, "max_value": most - least}])
    root = chart.render_tree()
    for written in root.iter("text"):
        kind = written.get("class", "").partition(" ")[0]
        written.text = {"y-0": text(least), "y-1": text(most)}.get(kind, "")
    return _svg(root)


def bars(
    groups: Sequence[tuple[str, str, Sequence[float]]],
    labels: Sequence[str],
    *,
    size: tuple[int, int],
    text: Format,
) -> Markup:
    """Draw bars side by side: groups of (name, colour, a value for each label)."""
    colors = [Slice(name, color, 0.0) for name, color, _ in groups]
    crowded = sum(map(len, labels)) * _LETTER > size[0] - _LEFT
    chart = _chart(
        pygal.Bar,
        colors,
        size,
        value_formatter=text,
        x_labels=list(labels),
        x_label_rotation=30 if crowded else 0,
        truncate_label=-1,
        max_scale=6,
    )
    for name, _, values in groups:
        chart.add(name, list(values))
    return _svg(chart.render_tree())


def heatmap(
    rows: Sequence[tuple[str, Sequence[float]]],
    times: TimeRange,
    *,
    size: tuple[int, int],
    text: Format,
) -> Markup:
    """Draw a heatmap of rows (label, values over time) from the bottom up; darker means more."""
    width, height = size[0] - _LEFT, size[1] - _BELOW
    most = max((value for _, values in rows for value in values), default=0.0)
    clock = _clock(times)
    root = ET.Element("svg", xmlns=_SVG, viewBox=f"0 0 {size[0]} {size[1]}")
    line = height / len(rows)
    for index, (label, values) in enumerate(rows):
        top = height - (index + 1) * line
        _label(root, label, _LEFT - 6, top + line / 2 + 4, "end")
        column = width / len(values)
        for place, value in enumerate(values):
            if value > 0:
                cell = ET.SubElement(
                    root,
                    "rect",
                    x=f"{_LEFT + place * column:.1f}",
                    y=f"{top:.1f}",
                    width=f"{column - 0.5:.1f}",
                    height=f"{line - 0.5:.1f}",
                    fill="#b35900",
                    # The square root keeps rare values visible next to frequent ones.
                    opacity=f"{0.08 + 0.92 * math.sqrt(value / most):.2f}",
                )
                at = times.start.timestamp() + (place + 0.5) * times.seconds / len(values)
                ET.SubElement(cell, "title").text = f"{clock(at)}, {label}: {text(value)}"
    ticks = _ticks(times, width)
    for index, at in enumerate(ticks):
        anchor = "end" if at == ticks[-1] else "middle"
        _label(root, clock(at), _LEFT + index * width / (len(ticks) - 1), size[1] - 6, anchor)
    return _svg(root)


def _label(root: ET.Element, label: str, x: float, y: float, anchor: str) -> None:
    style = {"text-anchor": anchor, "font-size": "11", "fill": "#57606a"}
    ET.SubElement(root, "text", style, x=f"{x:.1f}", y=f"{y:.1f}").text = label


def _chart(
    kind: Any,
    parts: Sequence[Curve] | Sequence[Slice],
    size: tuple[int, int],
    opacity: str = ".9",
    **options: Any,
) -> Any:
    style = Style(
        background="transparent",
        plot_background="transparent",
        foreground="#57606a",
        foreground_strong="#24292f",
        foreground_subtle="#d0d7de",
        colors=tuple(part.color for part in parts),
        font_family="system-ui, sans-serif",
        guide_stroke_color="#d0d7de",
        guide_stroke_dasharray="none",
        major_guide_stroke_color="#d0d7de",
        major_guide_stroke_dasharray="none",
        label_font_size=11,
        major_label_font_size=11,
        value_font_size=13,
        opacity=opacity,
        stroke_width=1.5,
    )
    return kind(
        style=style,
        width=size[0],
        height=size[1],
        margin=6,
        spacing=6,
        show_legend=False,
        js=(),
        **options,
    )


def _visible(
    points: Sequence[tuple[float, float | None]], step: float
) -> list[tuple[float, float | None]]:
    """Extend an isolated point to a short line, because a single point is not drawn."""
    shown: list[tuple[float, float | None]] = []
    for index, (at, value) in enumerate(points):
        shown.append((at, value))
        neighbours = [*points[max(index - 1, 0) : index], *points[index + 1 : index + 2]]
        if value is not None and all(one is None for _, one in neighbours):
            shown.append((at + step / 2, value))
    return shown


def _svg(root: ET.Element) -> Markup:
    """Return the picture without pygal's tooltip scripts and comments."""
    for parent in list(root.iter()):
        for child in list(parent):
            if child.tag in {"script", ET.Comment}:
                parent.remove(child)
    # ElementTree has escaped every text and attribute.
    return Markup(ET.tostring(root, encoding="unicode"))  # noqa: S704


def _ticks(times: TimeRange, width: float) -> list[float]:
    count = max(2, min(_TICKS, int(width / _TICK_WIDTH)))
    start, part = times.start.timestamp(), times.seconds / count
    return [start + index * part for index in range(count + 1)]


def _clock(times: TimeRange) -> Format:
    shape = "%H:%M" if times.seconds <= 2 * 86400 else "%m-%d"
    return lambda at: dt.datetime.fromtimestamp(at, dt.UTC).strftime(shape)
