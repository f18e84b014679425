"""Converts a panel and its answer to what it shows: each kind of panel is a row of `_CHARTS` or `_TEXTS`."""

from __future__ import annotations

import datetime as dt
import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from markupsafe import Markup

from stackctl.snapshot import charts, colors
from stackctl.snapshot.charts import Curve, Slice
from stackctl.snapshot.dashboard import Appearance, Panel
from stackctl.snapshot.queries import Answer, Series
from stackctl.snapshot.timerange import TimeRange
from stackctl.snapshot.units import format_value

COLUMN = 51
"""The width of one of the grid's 24 columns in pixels."""

_BINS = 10
_COLUMNS = 60
_CALCS: Mapping[str, tuple[str, Callable[[Sequence[float]], float]]] = {
    "lastNotNull": ("last", lambda values: values[-1]),
    "last": ("last", lambda values: values[-1]),
    "mean": ("mean", statistics.fmean),
    "max": ("max", max),
    "min": ("min", min),
    "sum": ("sum", math.fsum),
}


@dataclass(frozen=True, slots=True)
class Cell:
    """A coloured text; with `filled`, the colour is its background."""

    text: str
    color: str = colors.NEUTRAL
    filled: bool = False


@dataclass(frozen=True, slots=True)
class Tile:
    """A named value."""

    name: str
    value: Cell


@dataclass(frozen=True, slots=True)
class Picture:
    """A chart with the value and the caption below it."""

    svg: Markup
    value: Cell | None = None
    caption: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    """A row of a table; `mark` is the colour of its curve or slice."""

    cells: Sequence[Cell]
    mark: str = ""


@dataclass(frozen=True, slots=True)
class Table:
    """A table with headings."""

    headings: Sequence[str]
    rows: Sequence[Row]


@dataclass(frozen=True, slots=True)
class LogLine:
    """A log line with its time in UTC and the job that wrote it."""

    time: str
    job: str
    text: str


@dataclass(frozen=True, slots=True)
class Content:
    """The content of a panel, in this order; most kinds have one or two of these."""

    tiles: Sequence[Tile] = ()
    pictures: Sequence[Picture] = ()
    table: Table | None = None
    lines: Sequence[LogLine] = ()


@dataclass(frozen=True, slots=True)
class View:
    """A panel on the page. `message` is shown if there is no content; `failed` is whether a query failed."""

    panel: Panel
    answer: Answer
    content: Content = field(default_factory=Content)
    message: str = ""
    failed: bool = False
    thresholds: str = ""


def view(panel: Panel, answer: Answer, times: TimeRange) -> View:
    """Return the view of a panel. Unknown kinds are shown as a table of the newest values."""
    if panel.type == "row":
        return View(panel, answer)
    if answer.failure is not None:
        return View(panel, answer, message=f"The query failed: {answer.failure}", failed=True)
    drawn = _CHARTS.get(panel.type)
    if drawn:
        answer = _finite(answer)
    if answer.empty:
        return View(panel, answer, message=panel.appearance().no_value)
    content = (drawn or _TEXTS.get(panel.type, _table))(panel, answer, times)
    return View(panel, answer, content, thresholds=_thresholds(panel.appearance()))


def _stat(panel: Panel, answer: Answer, _: TimeRange) -> Content:
    filled = panel.options.color_mode.startswith("background")
    tiles = []
    for series in answer.series:
        looks = panel.appearance(series.name)
        color = colors.of_value(looks, series.last)
        tiles.append(Tile(series.name, Cell(_text(looks, series.last), color, filled)))
    return Content(tiles=tiles)


def _gauge(panel: Panel, answer: Answer, _: TimeRange) -> Content:
    width, height = _size(panel)
    across = min(len(answer.series), max(1, width // 140))
    pictures = []
    for series in answer.series:
        looks = panel.appearance(series.name)
        least = looks.min if looks.min is not None else 0.0
        most = looks.max if looks.max is not None else max(series.last, least + 1)
        value = Cell(_text(looks, series.last), colors.of_value(looks, series.last))
        drawn = charts.gauge(
            Slice(series.name, value.color, series.last),
            size=(width // across, height),
            text=_formatter(looks),
            least=least,
            most=most,
        )
        pictures.append(Picture(drawn, value, series.name))
    return Content(pictures=pictures)


def _timeseries(panel: Panel, answer: Answer, times: TimeRange) -> Content:
    looks = panel.appearance()
    stacked = looks.custom.stacking.mode == "normal"
    named = _colored(panel, answer.series)
    curves = [Curve(series.name, color, _on_grid(series, times)) for series, color in named]
    if stacked:
        curves = _stack(curves)
    drawn = charts.lines(
        [*curves, *_limits(looks, curves, times)],
        times,
        size=_size(panel),
        text=_axis(looks, [value for curve in curves for _, value in curve.points if value]),
        fill=stacked,
        zero=looks.custom.axis_soft_min == 0,
    )
    return Content(pictures=[Picture(drawn)], table=_legend(panel, named))


def _piechart(panel: Panel, answer: Answer, _: TimeRange) -> Content:
    looks = panel.appearance()
    named = _colored(panel, answer.series)
    whole = math.fsum(series.last for series in answer.series)
    parts = [Slice(series.name, color, series.last) for series, color in named]
    rows = [
        Row(
            [
                Cell(part.name),
                Cell(_text(looks, part.value)),
                Cell(
                    format_value(part.value / whole, "percentunit", looks.decimals or 0)
                    if whole
                    else ""
                ),
            ],
            part.color,
        )
        for part in parts
    ]
    width, height = _size(panel)
    drawn = charts.pie(parts, size=(min(width, 2 * height), height), text=_formatter(looks))
    table = Table(["", "value", "share"], rows)
    return Content(pictures=[Picture(drawn)] if whole else [], table=table)


def _histogram(panel: Panel, answer: Answer, _: TimeRange) -> Content:
    named = _colored(panel, answer.series)
    groups = [
        (series.name, color, [value for _, value in series.points]) for series, color in named
    ]
    if panel.options.combine:
        groups = [("values", colors.PALETTE[0], [one for _, _, some in groups for one in some])]
    everything = [value for _, _, values in groups for value in values]
    least, most = min(everything), max(everything)
    width = (most - least) / _BINS or 1.0
    looks = panel.appearance()
    counted = []
    for name, color, values in groups:
        counts = [0.0] * _BINS
        for value in values:
            counts[min(int((value - least) / width), _BINS - 1)] += 1
        counted.append((name, color, counts))
    labels = [_text(looks, least + index * width) for index in range(_BINS)]
    drawn = charts.bars(counted, labels, size=_size(panel), text=lambda count: f"{count:g}")
    rows = [Row([Cell(name), Cell(f"{len(values)}")], color) for name, color, values in groups]
    return Content(pictures=[Picture(drawn)], table=Table(["", "points"], rows))


def _barchart(panel: Panel, answer: Answer, _: TimeRange) -> Content:
    looks = panel.appearance()
    bars = {
        series.labels.get(panel.options.x_field, series.name): series.last
        for series in answer.series
    }
    name = panel.organize.rename_by_name.get("Value", panel.title)
    group = (name, colors.of_series(looks, 0), list(bars.values()))
    drawn = charts.bars([group], list(bars), size=_size(panel), text=_formatter(looks))
    return Content(pictures=[Picture(drawn)])


def _heatmap(panel: Panel, answer: Answer, times: TimeRange) -> Content:
    """Return rows from buckets: Prometheus' buckets are cumulative, so a row is a bucket minus the previous one."""
    looks = panel.appearance()
    found = [(_bound(series), series) for series in answer.series]
    buckets = sorted(found, key=lambda pair: pair[0])
    rows, below = [], [0.0] * _COLUMNS
    for bound, series in buckets:
        values = _averages(series, times)
        cells = [max(0.0, value - less) for value, less in zip(values, below, strict=True)]
        rows.append((_text(looks, bound), cells))
        below = values

    def rate(value: float) -> str:
        return format_value(value, "ops")

    drawn = charts.heatmap(rows, times, size=_size(panel), text=rate)
    most = max(value for _, values in rows for value in values)
    return Content(pictures=[Picture(drawn, caption=f"the darkest: {rate(most)}")])


def _table(panel: Panel, answer: Answer, _: TimeRange) -> Content:
    """Return a row for each set of labels, with the values of all queries."""
    several = len(panel.targets) > 1
    merged: dict[tuple[tuple[str, str], ...], dict[str, float]] = {}
    for series in answer.series:
        column = f"Value #{series.ref_id}" if several else "Value"
        labels = sorted((name, text) for name, text in series.labels.items() if name != "__name__")
        merged.setdefault(tuple(labels), {})[column] = series.last
    organize = panel.organize
    found = {name for key, values in merged.items() for name in (*dict(key), *values)}
    columns = sorted(
        (
            name
            for name in found
            if not organize.exclude_by_name.get(name)
            and (panel.columns is None or name in panel.columns)
        ),
        key=lambda name: (organize.index_by_name.get(name, len(found)), name),
    )
    names = {name: organize.rename_by_name.get(name, name) for name in columns}
    table: list[dict[str, str | float]] = [
        {**dict(key), **values} for key, values in merged.items()
    ]
    for order in reversed(panel.options.sort_by):
        by = [name for name in columns if names[name] == order.display_name]
        if by:
            table.sort(key=lambda row: _order(row.get(by[0])), reverse=order.desc)
    rows = [
        Row([_cell(panel.appearance(names[name]), row.get(name)) for name in columns])
        for row in table
    ]
    return Content(table=Table([names[name] for name in columns], rows))


def _logs(_: Panel, answer: Answer, __: TimeRange) -> Content:
    lines = []
    for line in answer.lines:
        time = dt.datetime.fromtimestamp(line.timestamp / 1e9, dt.UTC)
        job = line.labels.get("job", "")
        # The queries prefix the text with the job, which has no column of its own in Grafana.
        lines.append(
            LogLine(time.strftime("%m-%d %H:%M:%S"), job, line.text.removeprefix(f"{job} "))
        )
    return Content(lines=lines)


Draw = Callable[[Panel, Answer, TimeRange], Content]

_CHARTS: Mapping[str, Draw] = {
    "gauge": _gauge,
    "timeseries": _timeseries,
    "piechart": _piechart,
    "histogram": _histogram,
    "barchart": _barchart,
    "heatmap": _heatmap,
}
_TEXTS: Mapping[str, Draw] = {"stat": _stat, "table": _table, "logs": _logs}


def _finite(answer: Answer) -> Answer:
    """Remove what cannot be drawn: NaN, infinities, and series without other values."""
    series = [
        replace(one, points=[(at, value) for at, value in one.points if math.isfinite(value)])
        for one in answer.series
    ]
    return replace(answer, series=[one for one in series if one.points])


def _text(looks: Appearance, value: float) -> str:
    mapped = looks.mapped(value)
    return (
        mapped.text if mapped and mapped.text else format_value(value, looks.unit, looks.decimals)
    )


def _formatter(looks: Appearance) -> charts.Format:
    return lambda value: _text(looks, value)


def _axis(looks: Appearance, values: Sequence[float]) -> charts.Format:
    """Return a format with as many decimals as an axis over these values needs for distinct labels."""
    least, most = min(values, default=0.0), max(values, default=0.0)
    some = [least + part / 6 * (most - least) for part in range(7)]
    for decimals in (0, 1, 2, 3):
        exact = looks.model_copy(update={"decimals": decimals})
        if least < most and len({_text(exact, value) for value in some}) == len(some):
            return _formatter(exact)
    return _formatter(looks)


def _size(panel: Panel) -> tuple[int, int]:
    return panel.grid_pos.w * COLUMN - 30, max(150, panel.grid_pos.h * 30 - 60)


def _colored(panel: Panel, found: Sequence[Series]) -> list[tuple[Series, str]]:
    return [
        (series, colors.of_series(panel.appearance(series.name), index))
        for index, series in enumerate(found)
    ]


def _on_grid(series: Series, times: TimeRange) -> list[tuple[float, float | None]]:
    """Return a value for each step; None if the series has no point there."""
    start = times.start.timestamp()
    values = {round((at - start) / times.step): value for at, value in series.points}
    return [(at, values.get(index)) for index, at in enumerate(times.times())]


def _bound(series: Series) -> float:
    """Return the upper bound of a bucket; NaN for a series that is not a bucket."""
    try:
        return float(series.labels["le"])
    except (KeyError, ValueError):
        return math.nan


def _averages(series: Series, times: TimeRange) -> list[float]:
    """Return the mean of a series for each column of a heatmap; zero if it has no points there."""
    columns: list[list[float]] = [[] for _ in range(_COLUMNS)]
    for at, value in series.points:
        place = int((at - times.start.timestamp()) / times.seconds * _COLUMNS)
        columns[min(place, _COLUMNS - 1)].append(value)
    return [statistics.fmean(values) if values else 0.0 for values in columns]


def _stack(curves: Sequence[Curve]) -> list[Curve]:
    """Stack each curve on the previous ones; the highest comes first, so that the others are drawn over it."""
    stacked: list[Curve] = []
    below = [0.0] * len(curves[0].points)
    for curve in curves:
        below = [
            under + (value or 0.0) for under, (_, value) in zip(below, curve.points, strict=True)
        ]
        points = [(at, top) for (at, _), top in zip(curve.points, below, strict=True)]
        stacked.append(Curve(curve.name, curve.color, points))
    return stacked[::-1]


def _limits(looks: Appearance, curves: Sequence[Curve], times: TimeRange) -> list[Curve]:
    """Return thresholds near the curves as dashed lines; a distant one would flatten the curves."""
    if looks.custom.thresholds_style.mode == "off":
        return []
    highest = max(
        (abs(value) for curve in curves for _, value in curve.points if value), default=0.0
    )
    ends = (times.start.timestamp(), times.end.timestamp())
    return [
        Curve("threshold", colors.color(step.color), [(at, step.value) for at in ends], dashed=True)
        for step in looks.thresholds.steps
        if step.value is not None and abs(step.value) <= 1.5 * highest
    ]


def _legend(panel: Panel, named: Sequence[tuple[Series, str]]) -> Table:
    legend = panel.options.legend
    calcs = [_CALCS[name] for name in legend.calcs if name in _CALCS]
    by = next((calc for name, calc in calcs if name == legend.sort_by.lower()), None)
    if by is not None:
        named = sorted(named, key=lambda one: by(_values(one[0])), reverse=legend.sort_desc)
    rows = []
    for series, color in named:
        looks, values = panel.appearance(series.name), _values(series)
        results = [Cell(_text(looks, calc(values))) for _, calc in calcs]
        rows.append(Row([Cell(series.name), *results], color))
    return Table(["", *(name for name, _ in calcs)], rows)


def _values(series: Series) -> list[float]:
    return [value for _, value in series.points]


def _thresholds(looks: Appearance) -> str:
    if any(one.type == "value" for one in looks.mappings):
        return ""
    steps = [step for step in looks.thresholds.steps if step.value is not None]
    return ", ".join(
        f"{_named(step.color)}from {_text(looks, step.value or 0.0)}" for step in steps
    )


def _named(color: str) -> str:
    """Return a color's name with a trailing space; empty for a color without a name."""
    return "" if color.startswith("#") else f"{color} "


def _cell(looks: Appearance, value: str | float | None) -> Cell:
    if value is None:
        return Cell("")
    colored = looks.custom.cell_options.type.startswith("color")
    if isinstance(value, str):
        mapped = looks.mapped(value)
        color = colors.color(mapped.color) if mapped and mapped.color and colored else None
        return Cell(mapped.text if mapped and mapped.text else value, color or colors.NEUTRAL)
    return Cell(_text(looks, value), colors.of_value(looks, value) if colored else colors.NEUTRAL)


def _order(value: str | float | None) -> tuple[float, str]:
    """Sort numbers as numbers, texts as texts, and missing values before both."""
    number = value if isinstance(value, int | float) and not math.isnan(value) else -math.inf
    return number, value if isinstance(value, str) else ""
