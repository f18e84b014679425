"""Panels in two or three lines: every kind that the dashboards use, with its query mode, legend and thresholds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from string import ascii_uppercase
from typing import TypeVar

from grafana_foundation_sdk.builders import (
    barchart,
    common,
    dashboard,
    gauge,
    heatmap,
    histogram,
    logs,
    loki,
    piechart,
    prometheus,
    stat,
    table,
    timeseries,
)
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.cog.variants import Dataquery
from grafana_foundation_sdk.models import common as options
from grafana_foundation_sdk.models import units
from grafana_foundation_sdk.models.dashboard import (
    DataSourceRef,
    DataTransformerConfig,
    DynamicConfigValue,
    FieldColorModeId,
    ValueMap,
    ValueMapping,
    ValueMappingResult,
)
from grafana_foundation_sdk.models.heatmap import HeatmapColorMode, HeatmapColorScale
from grafana_foundation_sdk.models.piechart import PieChartLegendValues, PieChartType
from grafana_foundation_sdk.models.prometheus import PromQueryFormat, QueryEditorMode

from dashboards.limits import BAD, GOOD, NEUTRAL, Limit
from dashboards.links import to_logs_of

PROMETHEUS = DataSourceRef("prometheus", "prometheus")
LOKI = DataSourceRef("loki", "loki")

SERVICE = "${__field.labels.service}"
"""Grafana's variable for the service that a series tells about."""

Texts = Mapping[int, tuple[str, str]]
"""What stands for a value: a text and its colour."""

UP_DOWN: Texts = {0: ("Down", BAD), 1: ("Up", GOOD)}
YES_NO: Texts = {0: ("No", "text"), 1: ("Yes", GOOD)}

P = TypeVar(
    "P",
    barchart.Panel,
    gauge.Panel,
    heatmap.Panel,
    histogram.Panel,
    piechart.Panel,
    stat.Panel,
    table.Panel,
    timeseries.Panel,
)

AnyPanel = (
    barchart.Panel
    | gauge.Panel
    | heatmap.Panel
    | histogram.Panel
    | logs.Panel
    | piechart.Panel
    | stat.Panel
    | table.Panel
    | timeseries.Panel
)


@dataclass(frozen=True)
class Query:
    """PromQL, and what its series are called: text in which {{label}} stands for a label's value.

    `empty` says why it is no fault where nothing is found; `stackctl verify dashboards` takes no other excuse.
    """

    expr: str
    legend: str = ""
    empty: str = ""


@dataclass(frozen=True)
class Field:
    """How a series or column differs from its panel: in unit (Grafana's id), limit, colour, width (pixels)."""

    name: str
    unit: str | None = None
    limit: Limit | None = None
    colour: str | None = None
    width: int | None = None

    def properties(self) -> list[DynamicConfigValue]:
        """Give the overrides in Grafana's terms."""
        values: dict[str, object] = {}
        if self.unit:
            values["unit"] = self.unit
        if self.limit:
            values["thresholds"] = self.limit.thresholds().build()
            values["color"] = {"mode": FieldColorModeId.THRESHOLDS}
        if self.colour:
            values["color"] = {"mode": FieldColorModeId.FIXED, "fixedColor": self.colour}
        if self.width:
            values["custom.width"] = self.width
        return [DynamicConfigValue(name, value) for name, value in values.items()]


@dataclass(frozen=True)
class Column:
    """A column of numbers in a table: an instant query, and how its values look."""

    expr: str
    unit: str
    limit: Limit = NEUTRAL
    texts: Texts | None = None


def _panel(
    panel: P,
    title: str,
    description: str,
    *,
    unit: str,
    width: int,
    limit: Limit = NEUTRAL,
    fields: Sequence[Field] = (),
) -> P:
    panel.title(title).description(description).datasource(PROMETHEUS).unit(unit).span(width)
    panel.thresholds(limit.thresholds())
    for field in fields:
        panel.override_by_name(field.name, field.properties())
    return panel


def _with_excuses(panel: P, queries: Sequence[Query]) -> P:
    """Have the panel say what its queries may be without; a panel of which all may says so in place of a value."""
    for ref_id, query in zip(ascii_uppercase, queries, strict=False):
        if query.empty:
            panel.override_by_query(ref_id, [DynamicConfigValue("noValue", query.empty)])
    if all(query.empty for query in queries):
        panel.no_value(queries[0].empty)
    return panel


def _targets(queries: Sequence[Query]) -> list[prometheus.Dataquery]:
    return [
        prometheus.Dataquery()
        .ref_id(ref_id)
        .expr(query.expr)
        .legend_format(query.legend)
        .datasource(PROMETHEUS)
        .editor_mode(QueryEditorMode.CODE)
        for ref_id, query in zip(ascii_uppercase, queries, strict=False)
    ]


def _over_range(queries: Sequence[Query]) -> list[Builder[Dataquery]]:
    return [target.range() for target in _targets(queries)]


def _now(queries: Sequence[Query], form: PromQueryFormat) -> list[Builder[Dataquery]]:
    return [target.instant().format(form) for target in _targets(queries)]


def _last() -> common.ReduceDataOptions:
    return common.ReduceDataOptions().calcs(["lastNotNull"]).values(False).fields("")


def _colour(mode: FieldColorModeId) -> dashboard.FieldColor:
    return dashboard.FieldColor().mode(mode)


def _legend(placement: options.LegendPlacement, *calcs: str) -> common.VizLegendOptions:
    mode = options.LegendDisplayMode.TABLE if calcs else options.LegendDisplayMode.LIST
    return (
        common.VizLegendOptions()
        .display_mode(mode)
        .placement(placement)
        .show_legend(True)
        .calcs(list(calcs))
    )


def _tooltip() -> common.VizTooltipOptions:
    return (
        common.VizTooltipOptions()
        .mode(options.TooltipDisplayMode.MULTI)
        .sort(options.SortOrder.DESCENDING)
    )


def _texts(texts: Texts) -> list[ValueMapping]:
    results = {
        str(value): ValueMappingResult(text=text, color=colour, index=index)
        for index, (value, (text, colour)) in enumerate(texts.items())
    }
    return [ValueMap(results)]


def lines(
    title: str,
    description: str,
    *queries: Query,
    unit: str,
    width: int = 12,
    limit: Limit = NEUTRAL,
    fields: Sequence[Field] = (),
    by_service: bool = False,
    stacked: bool = False,
    from_zero: bool = True,
) -> timeseries.Panel:
    """Give a time series panel, its limits as dashed lines.

    Series of `by_service` carry the label `service`: each links to that service's logs. Without `from_zero` the axis
    follows the data, for a value whose changes are small beside it.
    """
    panel = _panel(
        timeseries.Panel(), title, description, unit=unit, width=width, limit=limit, fields=fields
    )
    panel.legend(_legend(options.LegendPlacement.BOTTOM, "lastNotNull", "mean", "max")).tooltip(
        _tooltip()
    )
    panel.color_scheme(_colour(FieldColorModeId.PALETTE_CLASSIC_BY_NAME))
    panel.line_width(1).fill_opacity(10).show_points(options.VisibilityMode.NEVER)
    panel.thresholds_style(
        common.GraphThresholdsStyleConfig().mode(options.GraphTresholdsStyleMode.DASHED)
    )
    if from_zero:
        panel.axis_soft_min(0)
    if stacked:
        panel.stacking(common.StackingConfig().mode(options.StackingMode.NORMAL))
    if by_service:
        panel.data_links([to_logs_of(SERVICE)])
    return _with_excuses(panel, queries).targets(_over_range(queries))


def number(
    title: str,
    description: str,
    *queries: Query,
    unit: str,
    width: int = 4,
    limit: Limit = NEUTRAL,
    fields: Sequence[Field] = (),
    texts: Texts | None = None,
    by_service: bool = False,
) -> stat.Panel:
    """Give a stat panel of the latest values; `texts` shows a value as a text on a colour.

    Series of `by_service` carry the label `service`: each links to that service's logs.
    """
    panel = _panel(
        stat.Panel(), title, description, unit=unit, width=width, limit=limit, fields=fields
    )
    panel.reduce_options(_last()).graph_mode(options.BigValueGraphMode.NONE)
    if texts:
        panel.mappings(_texts(texts)).color_mode(options.BigValueColorMode.BACKGROUND)
    if by_service:
        panel.data_links([to_logs_of(SERVICE)])
    return _with_excuses(panel, queries).targets(_now(queries, PromQueryFormat.TIME_SERIES))


def dial(
    title: str,
    description: str,
    *queries: Query,
    unit: str,
    maximum: float,
    minimum: float = 0,
    width: int = 6,
    limit: Limit = NEUTRAL,
    fields: Sequence[Field] = (),
) -> gauge.Panel:
    """Give a gauge panel of the latest values between `minimum` and `maximum`."""
    panel = _panel(
        gauge.Panel(), title, description, unit=unit, width=width, limit=limit, fields=fields
    )
    panel.min(minimum).max(maximum).reduce_options(_last()).show_threshold_markers(True)
    return _with_excuses(panel, queries).targets(_now(queries, PromQueryFormat.TIME_SERIES))


def pie(
    title: str,
    description: str,
    query: Query,
    *,
    unit: str,
    width: int = 6,
    fields: Sequence[Field] = (),
) -> piechart.Panel:
    """Give a pie chart of an instant query's series."""
    panel = _panel(piechart.Panel(), title, description, unit=unit, width=width, fields=fields)
    panel.pie_type(PieChartType.DONUT).reduce_options(_last()).tooltip(_tooltip())
    panel.color_scheme(_colour(FieldColorModeId.PALETTE_CLASSIC_BY_NAME))
    legend = (
        piechart.PieChartLegendOptions()
        .display_mode(options.LegendDisplayMode.TABLE)
        .show_legend(True)
    )
    values = [PieChartLegendValues.VALUE, PieChartLegendValues.PERCENT]
    panel.legend(legend.placement(options.LegendPlacement.RIGHT).values(values))
    return panel.targets(_now([query], PromQueryFormat.TIME_SERIES))


def bars(
    title: str, description: str, query: Query, *, category: str, unit: str, width: int = 8
) -> barchart.Panel:
    """Give a bar chart with one bar a value of the label `category`."""
    panel = _panel(barchart.Panel(), title, description, unit=unit, width=width)
    panel.x_field(category).legend(_legend(options.LegendPlacement.BOTTOM).show_legend(False))
    panel.color_scheme(_colour(FieldColorModeId.PALETTE_CLASSIC)).tooltip(_tooltip())
    panel.transformations([_without_time({"Value": query.legend})])
    return panel.targets(_now([query], PromQueryFormat.TABLE))


def distribution(
    title: str, description: str, *queries: Query, unit: str, width: int = 8, limit: Limit = NEUTRAL
) -> histogram.Panel:
    """Give a histogram panel: how often the series had which value within the time range."""
    panel = _panel(histogram.Panel(), title, description, unit=unit, width=width, limit=limit)
    panel.combine(len(queries) > 1).fill_opacity(60)
    panel.color_scheme(_colour(FieldColorModeId.PALETTE_CLASSIC_BY_NAME)).tooltip(_tooltip())
    panel.legend(_legend(options.LegendPlacement.BOTTOM))
    return panel.targets(_over_range(queries))


def heat(
    title: str, description: str, buckets: str, *, unit: str, width: int = 12
) -> heatmap.Panel:
    """Give a heatmap of a Prometheus histogram: `buckets` gives one series a label `le`."""
    panel = _panel(heatmap.Panel(), title, description, unit=unit, width=width)
    palette = (
        heatmap.HeatmapColorOptions().mode(HeatmapColorMode.SCHEME).scheme("Oranges").steps(64)
    )
    panel.color(palette.scale(HeatmapColorScale.EXPONENTIAL).exponent(0.5).fill("dark-orange"))
    panel.y_axis(heatmap.YAxisConfig().unit(unit)).show_tooltip().show_legend().calculate(False)
    (target,) = _targets([Query(buckets, "{{le}}")])
    return panel.targets([target.range().format(PromQueryFormat.HEATMAP)])


def rows(
    title: str,
    description: str,
    columns: Mapping[str, Column],
    *,
    labels: Mapping[str, str],
    width: int = 12,
    empty: str | None = None,
) -> table.Panel:
    """Give a table, largest first by its first column.

    `columns` names the numbers, `labels` the labels that the queries give and their headings; a service's name links
    to its logs. `empty` is what the panel says where it is no fault that nothing is found.
    """
    panel = _panel(table.Panel(), title, description, unit=units.Short, width=width)
    sources = [f"Value #{ref_id}" for ref_id in ascii_uppercase] if len(columns) > 1 else ["Value"]
    names = dict(labels) | dict(zip(sources, columns, strict=False))
    panel.transformations([DataTransformerConfig("merge", options={}), _without_time(names)])
    for name, column in columns.items():
        properties = Field(name, column.unit, column.limit).properties()
        if column.limit is not NEUTRAL or column.texts:
            properties.append(DynamicConfigValue("custom.cellOptions", {"type": "color-text"}))
        if column.texts:
            properties.append(DynamicConfigValue("mappings", _texts(column.texts)))
        panel.override_by_name(name, properties)
    if "service" in labels:
        links = [to_logs_of("${__value.text}").build()]
        panel.override_by_name(labels["service"], [DynamicConfigValue("links", links)])
    panel.sort_by([common.TableSortByFieldState().display_name(next(iter(columns))).desc(True)])
    if empty:
        panel.no_value(empty)
    return panel.targets(
        _now([Query(column.expr) for column in columns.values()], PromQueryFormat.TABLE)
    )


def log_lines(title: str, description: str, selector: str, *, width: int = 24) -> logs.Panel:
    """Give a panel of the log lines, newest first, that a LogQL selector picks."""
    panel = logs.Panel().title(title).description(description).datasource(LOKI).span(width)
    panel.show_time(True).wrap_log_message(True).enable_log_details(True)
    panel.sort_order(options.LogsSortOrder.DESCENDING).dedup_strategy(
        options.LogsDedupStrategy.NONE
    )
    target = (
        loki.Dataquery()
        .ref_id("A")
        .expr(selector)
        .query_type("range")
        .max_lines(200)
        .datasource(LOKI)
    )
    return panel.targets([target])


def _without_time(names: Mapping[str, str]) -> DataTransformerConfig:
    """Give the columns in this order and under these names; the time of an instant query is the same in each row."""
    order = {name: index for index, name in enumerate(names)}
    settings = {"excludeByName": {"Time": True}, "indexByName": order, "renameByName": dict(names)}
    return DataTransformerConfig("organize", options=settings)
