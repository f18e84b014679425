"""Panels in a few lines: every kind that the dashboards use, with its query mode, legend, axis and colors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
from grafana_foundation_sdk.builders.dashboard import DashboardLink
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.cog.variants import Dataquery
from grafana_foundation_sdk.models import common as options
from grafana_foundation_sdk.models import dashboard as model
from grafana_foundation_sdk.models import units
from grafana_foundation_sdk.models.dashboard import (
    DashboardRegexMapOptions,
    DataSourceRef,
    DataTransformerConfig,
    DynamicConfigValue,
    FieldColorModeId,
    RegexMap,
    ValueMappingResult,
)
from grafana_foundation_sdk.models.heatmap import HeatmapColorMode, HeatmapColorScale
from grafana_foundation_sdk.models.piechart import PieChartLegendValues, PieChartType
from grafana_foundation_sdk.models.prometheus import PromQueryFormat, QueryEditorMode

from dashboards.fields import (
    NO_DATA,
    NO_SAMPLES,
    Column,
    Field,
    Query,
    Texts,
    absent,
    colored,
    decimals,
    described,
    labels_of,
    legend_pattern,
    series_colors,
    texts_of,
)
from dashboards.limits import NEUTRAL, Limit
from dashboards.links import LOGGED, to_dashboard, to_logs_of, to_rule
from dashboards.palette import BY_LABEL, behind_text

PROMETHEUS = DataSourceRef("prometheus", "prometheus")
LOKI = DataSourceRef("loki", "loki")

SERVICE = "${__field.labels.service}"
"""Grafana's variable for the service that a series is about."""

LOGS_LABEL = "logs"
"""The label that `with_logs` adds."""

_WIDE = 7
"""Minimum width, in columns of the grid, at which a legend has room for two numbers."""

_WORDS = 6
"""Number of letters at which a unit is too long for Grafana's own width of an axis."""

_HEADROOM = 1.1
"""The axis of an idle panel ends this far above its lowest limit."""

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


def _panel(
    panel: P,
    title: str,
    shows: str,
    matters: str,
    queries: Sequence[Query],
    *,
    unit: str,
    width: int,
    limit: Limit = NEUTRAL,
    fields: Sequence[Field] = (),
    places: int | None = None,
    more: str | None = None,
) -> P:
    reasons = dict.fromkeys(query.empty for query in queries if query.empty)
    empty = ". ".join(reasons) + "." if reasons else NO_SAMPLES
    panel.title(title).description(described(shows, matters, empty))
    panel.datasource(PROMETHEUS).unit(unit).span(width).thresholds(limit.thresholds())
    shown = decimals(unit) if places is None else places
    if shown is not None:
        panel.decimals(shown)
    for field in fields:
        panel.override_by_name(field.name, field.properties())
    if more:
        panel.links([to_dashboard(more)])
    for ref_id, query in zip(ascii_uppercase, queries, strict=False):
        if query.empty:
            panel.override_by_query(ref_id, [DynamicConfigValue("noValue", query.empty)])
    if queries and all(query.empty for query in queries):
        panel.no_value(queries[0].empty)
    return panel


def _nothing(queries: Sequence[Query]) -> str:
    """Return the text for a value that none of the queries has."""
    return queries[0].empty if queries and all(query.empty for query in queries) else NO_DATA


def _colored_series(panel: P, queries: Sequence[Query], fields: Sequence[Field] = ()) -> None:
    own = {legend_pattern(field.name) for field in fields if field.color}
    panel.color_scheme(_color(FieldColorModeId.PALETTE_CLASSIC))
    for pattern, properties in series_colors(queries):
        if pattern not in own:
            panel.override_by_regexp(pattern, properties)


def _linked(
    panel: P, queries: Sequence[Query], *, by_service: bool, details: DashboardLink | None = None
) -> None:
    """Link each series to its details, and to the log of its service if that service writes one."""
    others: list[Builder[model.DashboardLink]] = [details] if details else []
    links = [*others, to_logs_of(SERVICE)] if by_service else others
    named = [query for query in queries if {"service", "job"} & set(labels_of(query.legend))]
    if links and not (by_service and named):
        panel.data_links(links)
        return
    if others:
        panel.data_links(others)
    logged = "|".join(LOGGED)
    for query in named if by_service else ():
        pattern = legend_pattern(query.legend, service=logged, job=logged)
        value = [link.build() for link in links]
        panel.override_by_regexp(pattern, [DynamicConfigValue("links", value)])


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


def _color(mode: FieldColorModeId) -> dashboard.FieldColor:
    return dashboard.FieldColor().mode(mode)


def _legend(placement: options.LegendPlacement) -> common.VizLegendOptions:
    return (
        common.VizLegendOptions()
        .display_mode(options.LegendDisplayMode.LIST)
        .placement(placement)
        .show_legend(True)
        .calcs([])
    )


def _series_legend(queries: Sequence[Query], width: int) -> common.VizLegendOptions:
    """Return one line with the latest values, or a table if labels determine the number of series.

    The table begins with the highest series: the others need scrolling. In a narrow panel it has one column of numbers.
    """
    if not any(labels_of(query.legend) for query in queries):
        return _legend(options.LegendPlacement.BOTTOM).calcs(["lastNotNull"])
    return (
        common.VizLegendOptions()
        .display_mode(options.LegendDisplayMode.TABLE)
        .placement(options.LegendPlacement.BOTTOM)
        .show_legend(True)
        .calcs(["lastNotNull", "max"] if width >= _WIDE else ["max"])
        .sort_by("Max")
        .sort_desc(True)
    )


def _tooltip() -> common.VizTooltipOptions:
    return (
        common.VizTooltipOptions()
        .mode(options.TooltipDisplayMode.MULTI)
        .sort(options.SortOrder.DESCENDING)
    )


def _several(queries: Sequence[Query]) -> bool:
    """Return whether there may be more than one series, each with its name."""
    return len(queries) > 1 or any(labels_of(query.legend) for query in queries)


def _axis_width(unit: str) -> int | None:
    """Return the pixels of an axis whose unit is words, which Grafana would cut off; None for other units."""
    words = unit.removeprefix("suffix:")
    # A short unit, such as a currency, may follow a large number, and is not cut off.
    return None if words == unit or len(words) < _WORDS else 10 + 13 * (len(words) + 6) // 2


def _top(unit: str, limit: Limit) -> float:
    """Return where the axis ends while all values are small: just above the lowest limit, so that both are in sight."""
    bounds = [abs(bound) for bound in (limit.warning, limit.critical) if bound]
    if limit.below or not bounds:
        return {units.Percent: 100.0, units.PercentUnit: 1.0, units.Seconds: 0.1}.get(unit, 1.0)
    return round(min(bounds) * _HEADROOM, 6)


def lines(
    title: str,
    shows: str,
    matters: str,
    *queries: Query,
    unit: str,
    width: int = 12,
    limit: Limit = NEUTRAL,
    fields: Sequence[Field] = (),
    by_service: bool = False,
    stacked: bool = False,
    from_zero: bool = True,
    top: float | None = None,
    maximum: float | None = None,
    places: int | None = None,
    more: str | None = None,
) -> timeseries.Panel:
    """Return a time series panel, its limits as dashed lines.

    `shows` and `matters` make the description. Series of `by_service` carry the label `service`: each links to that
    service's logs. The axis reaches at least to `top`, by default just above the lowest limit, and never beyond
    `maximum`. Without `from_zero` it follows the data, for a value with comparatively small changes. `places` are
    decimals; `more` is the uid of the dashboard with the details.
    """
    panel = _panel(
        timeseries.Panel(),
        *(title, shows, matters, queries),
        unit=unit,
        width=width,
        limit=limit,
        fields=fields,
        places=places,
        more=more,
    )
    panel.legend(_series_legend(queries, width)).tooltip(_tooltip())
    _colored_series(panel, queries, fields)
    panel.line_width(1).fill_opacity(0).show_points(options.VisibilityMode.NEVER)
    across = _axis_width(unit)
    if across is not None:
        panel.axis_width(across)
    panel.thresholds_style(
        common.GraphThresholdsStyleConfig().mode(options.GraphTresholdsStyleMode.DASHED)
    )
    if from_zero or limit.either_way:
        reach = _top(unit, limit) if top is None else top
        panel.axis_soft_min(-reach if limit.either_way else 0)
        if maximum is None:
            panel.axis_soft_max(reach)
    if maximum is not None:
        panel.min(0).max(maximum)
    if stacked:
        panel.fill_opacity(30)
        panel.stacking(common.StackingConfig().mode(options.StackingMode.NORMAL))
    _linked(panel, queries, by_service=by_service)
    return panel.targets(_over_range(queries))


def counted_bars(
    title: str, shows: str, matters: str, query: Query, *, unit: str, width: int = 8
) -> timeseries.Panel:
    """Return one bar for each interval of five minutes or more; `query` counts what happened within `$__interval`."""
    panel = lines(title, shows, matters, query, unit=unit, width=width)
    panel.draw_style(options.GraphDrawStyle.BARS).fill_opacity(60)
    return panel.interval("5m").max_data_points(48)


def number(
    title: str,
    shows: str,
    matters: str,
    *queries: Query,
    unit: str,
    width: int = 4,
    limit: Limit = NEUTRAL,
    fields: Sequence[Field] = (),
    texts: Texts | None = None,
    by_service: bool = False,
    details: DashboardLink | None = None,
    places: int | None = None,
    more: str | None = None,
) -> stat.Panel:
    """Return a stat panel of the latest values; `texts` shows a value as a text on a color.

    Series of `by_service` carry the label `service`: each links to that service's logs. `details` is a link of each
    series, `more` the uid of the dashboard to which the panel leads. `places` are decimals.
    """
    panel = _panel(
        stat.Panel(),
        *(title, shows, matters, queries),
        unit=unit,
        width=width,
        limit=limit,
        fields=fields,
        places=places,
        more=more,
    )
    panel.reduce_options(_last()).graph_mode(options.BigValueGraphMode.NONE)
    panel.color_scheme(_color(FieldColorModeId.THRESHOLDS))
    tiles = {value: (text, behind_text(color)) for value, (text, color) in (texts or {}).items()}
    mappings = texts_of(tiles) if tiles else []
    panel.mappings([*mappings, absent(_nothing(queries), len(tiles))])
    if tiles:
        # Not the solid variant: Grafana before 9.5 does not know it and shows no color at all.
        panel.color_mode(options.BigValueColorMode.BACKGROUND)
    else:
        panel.color_mode(options.BigValueColorMode.VALUE)
    several = _several(queries)
    # By default Grafana makes a number as large as its panel, and the numbers of a row have different sizes.
    size = 20 if texts or several else 32
    panel.text(common.VizTextDisplayOptions().title_size(13).value_size(size))
    if several:
        # One line for each, with its whole name followed by its value: side by side, long names break or overlap.
        panel.orientation(options.VizOrientation.HORIZONTAL)
    else:
        panel.justify_mode(options.BigValueJustifyMode.CENTER)
    _linked(panel, queries, by_service=by_service, details=details)
    return panel.targets(_now(queries, PromQueryFormat.TIME_SERIES))


def dial(
    title: str,
    shows: str,
    matters: str,
    *queries: Query,
    unit: str,
    maximum: float,
    minimum: float = 0,
    width: int = 6,
    limit: Limit = NEUTRAL,
    fields: Sequence[Field] = (),
    places: int | None = None,
    more: str | None = None,
) -> gauge.Panel:
    """Return a gauge panel of the latest values between `minimum` and `maximum`."""
    panel = _panel(
        gauge.Panel(),
        *(title, shows, matters, queries),
        unit=unit,
        width=width,
        limit=limit,
        fields=fields,
        places=places,
        more=more,
    )
    panel.min(minimum).max(maximum).reduce_options(_last()).show_threshold_markers(True)
    panel.color_scheme(_color(FieldColorModeId.THRESHOLDS)).mappings([absent(_nothing(queries))])
    # Seven characters, such as 100.00%, would overlap the arc.
    size = 13 if places is not None and places > 1 else 16
    panel.text(common.VizTextDisplayOptions().title_size(13).value_size(size))
    return panel.targets(_now(queries, PromQueryFormat.TIME_SERIES))


def pie(
    title: str, shows: str, matters: str, query: Query, *, unit: str, width: int = 8
) -> piechart.Panel:
    """Return a pie chart of an instant query's series. Its legend needs a width of eight columns."""
    panel = _panel(piechart.Panel(), title, shows, matters, [query], unit=unit, width=width)
    panel.pie_type(PieChartType.DONUT).reduce_options(_last()).tooltip(_tooltip())
    _colored_series(panel, [query])
    legend = (
        piechart.PieChartLegendOptions()
        .display_mode(options.LegendDisplayMode.TABLE)
        .show_legend(True)
    )
    values = [PieChartLegendValues.VALUE, PieChartLegendValues.PERCENT]
    panel.legend(legend.placement(options.LegendPlacement.RIGHT).values(values))
    return panel.targets(_now([query], PromQueryFormat.TIME_SERIES))


def bars(
    title: str,
    shows: str,
    matters: str,
    query: Query,
    *,
    category: str,
    unit: str,
    width: int = 8,
) -> barchart.Panel:
    """Return a bar chart with one bar for each value of the label `category`."""
    panel = _panel(barchart.Panel(), title, shows, matters, [query], unit=unit, width=width)
    panel.x_field(category).legend(_legend(options.LegendPlacement.BOTTOM).show_legend(False))
    panel.tooltip(_tooltip()).min(0)
    _colored_series(panel, [query])
    panel.transformations([_organized({category: category, "Value": query.legend})])
    return panel.targets(_now([query], PromQueryFormat.TABLE))


def distribution(
    title: str,
    shows: str,
    matters: str,
    *queries: Query,
    unit: str,
    width: int = 8,
    limit: Limit = NEUTRAL,
) -> histogram.Panel:
    """Return a histogram panel: how often the series had each value within the time range."""
    panel = _panel(
        histogram.Panel(), title, shows, matters, queries, unit=unit, width=width, limit=limit
    )
    panel.combine(len(queries) > 1).fill_opacity(60).tooltip(_tooltip())
    _colored_series(panel, [query for query in queries if labels_of(query.legend)])
    # Several queries are combined into one series, which has the name of the first.
    panel.legend(_legend(options.LegendPlacement.BOTTOM).show_legend(len(queries) == 1))
    return panel.targets(_over_range(queries))


def heat(
    title: str, shows: str, matters: str, buckets: str, *, unit: str, width: int = 12
) -> heatmap.Panel:
    """Return a heatmap of a Prometheus histogram: `buckets` has one series for each value of the label `le`."""
    query = Query(buckets, "{{le}}")
    panel = _panel(heatmap.Panel(), title, shows, matters, [query], unit=unit, width=width)
    palette = (
        heatmap.HeatmapColorOptions().mode(HeatmapColorMode.SCHEME).scheme("Oranges").steps(64)
    )
    panel.color(palette.scale(HeatmapColorScale.EXPONENTIAL).exponent(0.5).fill("dark-orange"))
    panel.y_axis(heatmap.YAxisConfig().unit(unit)).show_tooltip().show_legend().calculate(False)
    (target,) = _targets([query])
    return panel.targets([target.range().format(PromQueryFormat.HEATMAP)])


def rows(
    title: str,
    shows: str,
    matters: str,
    columns: Mapping[str, Column],
    *,
    labels: Mapping[str, str],
    width: int = 12,
    empty: str = "",
    ranked: bool = True,
    more: str | None = None,
) -> table.Panel:
    """Return a table; `ranked` sorts it by its first column of numbers, largest first.

    `columns` are the numbers by heading, `labels` the headings of the queries' labels, left to right; other labels are
    left out, and make rows of their own all the same. The label of `with_logs` becomes a link to the service's log.
    `empty` is what the panel says where an empty result is not a fault.
    """
    queries = [Query(column.expr, empty=empty) for column in columns.values()]
    panel = _panel(
        table.Panel(), title, shows, matters, queries, unit=units.Short, width=width, more=more
    )
    sources = [f"Value #{ref_id}" for ref_id in ascii_uppercase] if len(columns) > 1 else ["Value"]
    names = dict(labels) | dict(zip(sources, columns, strict=False))
    shown = DataTransformerConfig("filterFieldsByName", options={"include": {"names": list(names)}})
    panel.transformations(
        [DataTransformerConfig("merge", options={}), shown, _organized(names)]
    ).min_width(50)
    for name, column in columns.items():
        field = Field(name, column.unit, column.limit, width=_number_width(name, column.unit))
        properties = field.properties()
        if column.limit is not NEUTRAL or column.texts:
            properties += _text_color()
        if column.texts:
            properties.append(DynamicConfigValue("mappings", texts_of(column.texts)))
        panel.override_by_name(name, properties)
    for label, heading in labels.items():
        if special := _label_properties(label):
            panel.override_by_name(heading, special)
    if ranked:
        first = next(iter(columns))
        panel.sort_by([common.TableSortByFieldState().display_name(first).desc(True)])
    return panel.targets(_now(queries, PromQueryFormat.TABLE))


def _label_properties(label: str) -> list[DynamicConfigValue]:
    if label == LOGS_LABEL:
        link = to_logs_of("${__value.raw}").build()
        text = RegexMap(
            DashboardRegexMapOptions(
                pattern="/^.+$/", result=ValueMappingResult(text="Logs", index=0)
            )
        )
        return [
            DynamicConfigValue("mappings", [text]),
            DynamicConfigValue("links", [link]),
            DynamicConfigValue("custom.width", 54),
        ]
    if label == "alertname":
        return [
            DynamicConfigValue("links", [to_rule("${__value.raw}").build()]),
            DynamicConfigValue("custom.width", 200),
        ]
    if label == "method":  # seven letters at most; the service and the endpoint need the room
        return [DynamicConfigValue("custom.width", 84)]
    if label in BY_LABEL and label not in {"service", "job"}:
        return [
            DynamicConfigValue("mappings", colored(label)),
            *_text_color(),
            DynamicConfigValue("custom.width", 80),
        ]
    return []


def _text_color() -> list[DynamicConfigValue]:
    """Return the option that colors the text of a cell; Grafana before 9.5 has another name for it."""
    return [
        DynamicConfigValue("custom.displayMode", "color-text"),
        DynamicConfigValue("custom.cellOptions", {"type": "color-text"}),
    ]


def _number_width(heading: str, unit: str) -> int:
    """Return the width of a column of numbers in pixels: that of its heading with the sort arrow, or of its values."""
    return max(80 if unit == units.Seconds else 62, 7 * len(heading) + 38)


def with_logs(expr: str) -> str:
    """Return an expression whose series have the label `logs`: the service, if that service writes a log."""
    return f'label_replace({expr}, "{LOGS_LABEL}", "$1", "service", "({"|".join(LOGGED)})")'


FIRING = 'alertstate="firing",severity=~"critical|warning|info"'
"""The selector of alerts that fire. A watchdog, which always does, has another severity."""

_WHERE = (
    "instance",
    "mountpoint",
    "interface",
    "method",
    "endpoint",
    "symbol",
    "model",
    "integration",
    "rule_group",
)
"""The labels that distinguish two firing alerts of one rule and service."""


def active_alerts(services: str, *, width: int = 12) -> table.Panel:
    """Return the table of alerts that fire for these services (a regular expression), critical ones first.

    Each firing alert is a row, so the table agrees with every count of `FIRING`.
    """
    by_severity = " or ".join(
        "sort_desc(time() - (ALERTS_FOR_STATE and ignoring (alertstate)"
        f' ALERTS{{alertstate="firing",severity="{severity}",service=~"{services}"}}))'
        for severity in ("critical", "warning", "info")
    )
    labels = ", ".join(f'"{label}"' for label in _WHERE)
    expr = with_logs(f'label_join({by_severity}, "where", " ", {labels})')
    headings = {
        "severity": "Severity",
        "alertname": "Alert",
        "service": "Service",
        "where": "Where",
        LOGS_LABEL: "Logs",
    }
    return rows(
        "Active Alerts",
        "Every alert that is firing, critical ones first and the longest first among equals.",
        "It says since when and where to look. The alert's name leads to its rule with summary and runbook; `stackctl "
        "runbook ALERT` prints the steps.",
        {"For": Column(expr, units.Seconds)},
        labels=headings,
        width=width,
        empty="No alert is firing",
        ranked=False,
    )


# A line that is not JSON gets the labels of a parse error; these are removed. The message is in the field that the plan
# names, in that of Rust's tracing, or in that of Go's and Node's loggers.
_MESSAGE = (
    "| json | drop __error__, __error_details__ "
    '| line_format "{{.job}} {{.level}} {{or .message .fields_message .msg __line__}}"'
)


def log_lines(
    title: str, shows: str, matters: str, selector: str, *, width: int = 24
) -> logs.Panel:
    """Return a panel of the log lines, newest first, that a LogQL selector picks, each with its service and level.

    Of a JSON line it shows the message; its fields are labels, in the line's details.
    """
    empty = "Nothing was logged in the time range, or the log collector is down."
    panel = logs.Panel().title(title).description(described(shows, matters, empty))
    panel.datasource(LOKI).span(width)
    panel.show_time(True).wrap_log_message(True).enable_log_details(True)
    panel.sort_order(options.LogsSortOrder.DESCENDING).dedup_strategy(
        options.LogsDedupStrategy.NONE
    )
    target = (
        loki.Dataquery()
        .ref_id("A")
        .expr(f"{selector} {_MESSAGE}")
        .query_type("range")
        .max_lines(200)
        .datasource(LOKI)
    )
    return panel.targets([target])


def _organized(names: Mapping[str, str]) -> DataTransformerConfig:
    """Return the transformation that puts columns in this order and renames them, without an instant query's time."""
    order = {name: index for index, name in enumerate(names)}
    settings = {"excludeByName": {"Time": True}, "indexByName": order, "renameByName": dict(names)}
    return DataTransformerConfig("organize", options=settings)
