"""Snapshots of dashboards against a server with answers of our own: every kind of panel, and hostile data."""

from __future__ import annotations

import asyncio
import datetime as dt
import html
import json
import math
import re
import shutil
import zlib
from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest
from click.testing import CliRunner
from stackctl.commands.common import Session

from stackctl import __version__
from stackctl.clients.loki import LokiClient
from stackctl.clients.prometheus import PrometheusClient
from stackctl.commands.snapshot import snapshot as command
from stackctl.errors import ServiceError, StackctlError, UsageError
from stackctl.snapshot import charts, colors, dashboard, page, queries, timerange
from stackctl.snapshot.dashboard import Dashboard, Panel
from stackctl.snapshot.queries import Answer, Line, Series
from stackctl.snapshot.take import Snapshot
from stackctl.snapshot.timerange import TimeRange
from stackctl.snapshot.units import format_value
from stackctl.snapshot.views import View, view
from stackctl.util import paths
from tests.support.http import Answer as Route
from tests.support.http import Reply, Request, Server, as_json, serving

NOW = dt.datetime(2026, 1, 2, 12, 0, tzinfo=dt.UTC)
HOUR = TimeRange(NOW - dt.timedelta(hours=1), NOW)
SHIPPED = paths.monitoring() / "grafana" / "dashboards"
EVIL = "<script>alert(1)</script>\"'&"


# The range of time


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("now", NOW),
        ("now-90s", NOW - dt.timedelta(seconds=90)),
        ("now-15m", NOW - dt.timedelta(minutes=15)),
        ("now-2d", NOW - dt.timedelta(days=2)),
        ("now-1w", NOW - dt.timedelta(weeks=1)),
        ("now-1y", NOW - dt.timedelta(days=365)),
        ("2026-01-01T10:30", dt.datetime(2026, 1, 1, 10, 30, tzinfo=dt.UTC)),
        ("2026-01-01T10:30:00+02:00", dt.datetime(2026, 1, 1, 8, 30, tzinfo=dt.UTC)),
        ("2026-01-01", dt.datetime(2026, 1, 1, tzinfo=dt.UTC)),
    ],
)
def test_a_time_as_a_user_writes_it(text: str, time: dt.datetime) -> None:
    later = (NOW + dt.timedelta(days=1)).isoformat()
    assert timerange.parse(text, later, NOW).start == time


@pytest.mark.parametrize(
    "text", ["", "yesterday", "now-", "now-1h1d", "now+1h", "now-999999w", "2026-13-01"]
)
def test_what_is_no_time(text: str) -> None:
    with pytest.raises(UsageError, match="is no time"):
        timerange.parse(text, "now", NOW)


@pytest.mark.parametrize(("start", "end"), [("now", "now"), ("now-1h", "now-2h")])
def test_a_range_has_its_start_before_its_end(start: str, end: str) -> None:
    with pytest.raises(UsageError, match="is not before"):
        timerange.parse(start, end, NOW)


@pytest.mark.parametrize(("hours", "step"), [(1, 15), (6, 90), (24 * 30, 10800)])
def test_a_curve_has_some_hundred_points_at_most(hours: int, step: int) -> None:
    times = TimeRange(NOW - dt.timedelta(hours=hours), NOW)
    assert times.step == step
    assert times.times()[0] == times.start.timestamp()
    assert len(times.times()) <= 241


# Units


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (0.5, "percentunit", "50%"),
        (99.96, "percent", "99.96%"),
        (12.345, "percent", "12.35%"),
        (166.26, "percent", "166.3%"),
        (0.0042, "s", "4.2 ms"),
        (0, "s", "0 s"),
        (90, "s", "1.5 min"),
        (7200, "s", "2 hours"),
        (-90, "s", "-1.5 min"),
        (1536, "bytes", "1.5 KiB"),
        (3 * 2**30, "bytes", "3 GiB"),
        (2048, "binBps", "2 KiB/s"),
        (1234, "short", "1.23 K"),
        (12, "short", "12"),
        (2_500_000, "short", "2.5 Mil"),
        (1234, "none", "1,234"),
        (99_991.4, "currencyUSD", "$99,991"),
        (-8.93, "currencyUSD", "-$8.93"),
        (1_500_000, "currencyUSD", "$1.5 Mil"),
        (-2.5, "currencyBTC", "-2.5 BTC"),
        (0.2, "reqps", "0.2 req/s"),
        (1500, "ops", "1.5 k ops/s"),
        (0.00088, "ops", "0.00088 ops/s"),
        (3, "furlongs", "3 furlongs"),
        (math.nan, "s", "NaN"),
        (math.inf, "s", "∞"),
        (-math.inf, "s", "-∞"),
    ],
)
def test_a_value_in_its_unit(value: float, unit: str, text: str) -> None:
    assert format_value(value, unit) == text


def test_decimals_that_the_panel_asks_for() -> None:
    assert format_value(66.666, "percent", 2) == "66.67%"


@pytest.mark.parametrize(
    ("name", "css"),
    [
        ("red", "#d1323c"),
        ("dark-orange", "#d9730d"),
        ("#12aBef", "#12aBef"),
        ("red;background:url(//x)", colors.NEUTRAL),
        ("#123456;}", colors.NEUTRAL),
    ],
)
def test_a_colour_is_one_that_is_known_or_a_number(name: str, css: str) -> None:
    assert colors.color(name) == css


# Dashboards and queries


def board(*panels: dict[str, Any], **changes: Any) -> Dashboard:
    """A dashboard with these panels, from JSON as Grafana has it."""
    return Dashboard.model_validate({"uid": "test", "title": "Test", "panels": panels, **changes})


def panel(kind: str, *expressions: str, unit: str = "short", **changes: Any) -> dict[str, Any]:
    return {
        "type": kind,
        "title": f"A {kind}",
        "gridPos": {"x": 0, "y": 0, "w": 8, "h": 8},
        "datasource": {"type": "loki" if kind == "logs" else "prometheus"},
        "targets": [
            {"refId": ref, "expr": expr, "legendFormat": "{{name}}", "instant": kind in INSTANT}
            for ref, expr in zip("ABC", expressions or ("up",), strict=False)
        ],
        "fieldConfig": {"defaults": {"unit": unit}, "overrides": []},
        **changes,
    }


INSTANT = {"stat", "gauge", "piechart", "barchart", "table"}
JOB = {
    "name": "job",
    "allValue": "..*",
    "current": {"text": ["All"], "value": ["$__all"]},
}


def test_an_unknown_dashboard_names_the_nearest() -> None:
    with pytest.raises(UsageError) as caught:
        dashboard.load("system-overvue", SHIPPED)
    assert caught.value.remedy == "did you mean system-overview?"


def test_a_dashboard_that_was_not_rendered_is_told(tmp_path: Path) -> None:
    with pytest.raises(StackctlError, match="ai-analysis is not rendered") as caught:
        dashboard.load("ai-analysis", tmp_path)
    assert caught.value.remedy == "stackctl up renders all whose services are there"


@pytest.mark.parametrize("name", paths.dashboards())
def test_every_dashboard_is_read_with_all_its_panels(name: str) -> None:
    found = dashboard.load(name, SHIPPED)
    raw = json.loads((SHIPPED / f"{name}.json").read_text())
    assert found.uid == name
    assert sorted(one.title for one in found.panels) == sorted(
        one["title"] for one in raw["panels"]
    )
    places = [(one.grid_pos.y, one.grid_pos.x) for one in found.panels]
    assert places == sorted(places)


@pytest.mark.parametrize(
    ("expression", "expanded"),
    [
        ('up{job=~"$job"}', 'up{job=~"..*"}'),
        ('up{job=~"${job}"}', 'up{job=~"..*"}'),
        ('up{job=~"${job:regex}"}', 'up{job=~"..*"}'),
        ("rate(x[$__rate_interval])", "rate(x[60s])"),
        ("rate(x[$__interval])", "rate(x[15s])"),
        ("increase(x[$__range])", "increase(x[3600s])"),
        ("x * $__range_s", "x * 3600"),
        ('label_replace(x, "a", "$1", "b", "(.+)")', 'label_replace(x, "a", "$1", "b", "(.+)")'),
        ('x{y="$unknown"}', 'x{y="$unknown"}'),
    ],
)
def test_a_query_with_its_variables_filled_in(expression: str, expanded: str) -> None:
    found = board(templating={"list": [JOB]})
    assert queries.expand(expression, found, HOUR) == expanded


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ({"name": "v", "current": {"value": "one"}}, "one"),
        ({"name": "v", "current": {"value": ["one"]}}, "one"),
        ({"name": "v", "current": {"value": ["a.b", "c"]}}, r"(a\.b|c)"),
        ({"name": "v", "current": {"value": ["$__all"]}}, ".*"),
        (JOB | {"name": "v"}, "..*"),
    ],
)
def test_a_variable_has_its_default(variable: dict[str, Any], value: str) -> None:
    assert queries.expand("$v", board(templating={"list": [variable]}), HOUR) == value


def matrix(*series: tuple[dict[str, str], list[tuple[float, str]]]) -> Reply:
    result = [{"metric": labels, "values": values} for labels, values in series]
    return as_json({"status": "success", "data": {"resultType": "matrix", "result": result}})


def streams(*lines: str, **labels: str) -> Reply:
    values = [[str(int(NOW.timestamp()) * 10**9 - index), line] for index, line in enumerate(lines)]
    result = [{"stream": labels, "values": values}] if lines else []
    return as_json({"status": "success", "data": {"resultType": "streams", "result": result}})


def routes(prometheus: Route, loki: Route) -> dict[str, Route]:
    """Both programs on one server: their paths are different."""
    return {
        "/-/ready": Reply(b"ready"),
        "/api/v1/query_range": prometheus,
        "/loki/api/v1/query_range": loki,
    }


ONE = matrix(({"__name__": "up", "name": "one"}, [(NOW.timestamp(), "1")]))


def ask(found: Dashboard, server: Server, times: TimeRange = HOUR) -> list[Answer]:
    async def both() -> list[Answer]:
        async with PrometheusClient(server.url) as prometheus, LokiClient(server.url) as loki:
            return await queries.ask(found, times, prometheus, loki)

    return asyncio.run(both())


def test_a_curve_is_asked_over_the_range_and_a_value_at_its_end() -> None:
    found = board(panel("timeseries"), panel("stat"))
    with serving(routes(ONE, streams())) as server:
        ask(found, server)
    forms = [
        {name: values[0] for name, values in parse_qs(request.body.decode()).items()}
        for request in server.requests
    ]
    end, start = NOW.timestamp(), (NOW - dt.timedelta(hours=1)).timestamp()
    asked = {(float(form["start"]), float(form["end"]), float(form["step"])) for form in forms}
    assert asked == {(start, end, 15.0), (end, end, 1.0)}


@pytest.mark.parametrize(
    ("legend", "labels", "name"),
    [
        ("{{name}} of {{ job }}", {"name": "cpu", "job": "node"}, "cpu of node"),
        ("{{missing}} p95", {"name": "cpu"}, "p95"),
        ("p95", {}, "p95"),
        ("", {"__name__": "up", "job": "node"}, 'up{job="node"}'),
        ("__auto", {"__name__": "up"}, "up"),
        ("", {}, "sum(up)"),
    ],
)
def test_a_series_is_called_by_its_legend(legend: str, labels: dict[str, str], name: str) -> None:
    target = {"refId": "A", "expr": "sum(up)", "legendFormat": legend}
    found = board(panel("stat", targets=[target]))
    with serving(routes(matrix((labels, [(NOW.timestamp(), "1")])), streams())) as server:
        (answer,) = ask(found, server)
    assert [series.name for series in answer.series] == [name]


def test_the_log_has_its_newest_lines_first_from_all_streams() -> None:
    stamp = int(NOW.timestamp()) * 10**9
    result = [
        {"stream": {"job": "a"}, "values": [[str(stamp - 1), "third"], [str(stamp + 5), "first"]]},
        {"stream": {"job": "b"}, "values": [[str(stamp), "second"]]},
    ]
    body = {"status": "success", "data": {"resultType": "streams", "result": result}}
    found = board(panel("logs", '{job=~"$job"}'), templating={"list": [JOB]})
    with serving(routes(ONE, as_json(body))) as server:
        (answer,) = ask(found, server)
    assert [line.text for line in answer.lines] == ["first", "second", "third"]
    assert answer.expressions == {"A": '{job=~"..*"}'}
    assert parse_qs(server.requests[0].query)["query"] == ['{job=~"..*"}']


def test_a_query_that_fails_is_told_in_its_own_panel() -> None:
    def answer(request: Request) -> Reply:
        if b"broken" in request.body:
            return as_json({"status": "error", "error": "parse error: unexpected <eof>"}, 400)
        return ONE

    found = board(panel("stat", "broken("), panel("stat", "up"))
    with serving(routes(answer, streams())) as server:
        broken, good = ask(found, server)
    assert broken.failure is not None
    assert "parse error" in broken.failure
    assert (good.failure, len(good.series)) == (None, 1)


def test_a_query_with_nothing_or_with_nan_alone_is_without_data() -> None:
    found = [series("a", math.nan, 1, ref="A"), series("b", math.nan, ref="B")]
    answer = Answer(dict.fromkeys("ABC", "up"), found)
    assert answer.without_data == ["B", "C"]
    assert Answer({"A": "{}"}, lines=[Line("A", 1, {}, "x")]).without_data == []


def test_a_panel_and_a_query_say_where_nothing_is_no_fault() -> None:
    override = {
        "matcher": {"id": "byFrameRefID", "options": "B"},
        "properties": [{"id": "noValue", "value": "no limit is set"}],
    }
    fields = {"defaults": {}, "overrides": [override]}
    one = Panel.model_validate(panel("stat", "up", "down", fieldConfig=fields))
    assert [one.if_empty(ref) for ref in "AB"] == [None, "no limit is set"]
    every = Panel.model_validate(panel("stat", fieldConfig=defaults(noValue="No alert fires")))
    assert every.if_empty("A") == "No alert fires"


# What panels show


def series(name: str, *values: float, ref: str = "A", **labels: str) -> Series:
    """A series whose last value is at the end of the range."""
    end = NOW.timestamp()
    points = [(end - 15 * (len(values) - 1 - index), value) for index, value in enumerate(values)]
    return Series(ref, name, {"name": name, **labels}, points)


def shown(described: dict[str, Any], *found: Series, lines: tuple[Line, ...] = ()) -> View:
    return view(Panel.model_validate(described), Answer({"A": "up"}, found, lines), HOUR)


def defaults(**settings: Any) -> dict[str, Any]:
    return {"defaults": settings, "overrides": []}


STEPS = {
    "steps": [
        {"color": "green", "value": None},
        {"color": "yellow", "value": 80},
        {"color": "red", "value": 95},
    ]
}
GREEN, YELLOW, RED = map(colors.color, ("green", "yellow", "red"))


def test_a_stat_has_a_tile_a_series_coloured_by_threshold() -> None:
    config = defaults(unit="percent", thresholds=STEPS)
    found = shown(
        panel("stat", fieldConfig=config), series("a", 10), series("b", 80), series("c", 100)
    )
    tiles = [(tile.name, tile.value.text, tile.value.color) for tile in found.content.tiles]
    assert tiles == [("a", "10%", GREEN), ("b", "80%", YELLOW), ("c", "100%", RED)]
    assert found.thresholds == "yellow from 80%, red from 95%"


def test_a_value_that_has_a_name_is_shown_by_it() -> None:
    options = {"0": {"text": "Down", "color": "red"}, "1": {"text": "Up", "color": "green"}}
    config = defaults(unit="none", mappings=[{"type": "value", "options": options}])
    described = panel("stat", fieldConfig=config, options={"colorMode": "background"})
    found = shown(described, series("a", 1), series("b", 0), series("c", 0.5))
    cells = [tile.value for tile in found.content.tiles]
    assert [(cell.text, cell.color) for cell in cells][:2] == [("Up", GREEN), ("Down", RED)]
    assert cells[2].text == "0.5"
    assert all(cell.filled for cell in cells)


def test_what_is_said_of_one_series_does_not_hold_for_the_others() -> None:
    override = {
        "matcher": {"id": "byName", "options": "b"},
        "properties": [{"id": "unit", "value": "percent"}],
    }
    config = {"defaults": {"unit": "s"}, "overrides": [override]}
    found = shown(panel("stat", fieldConfig=config), series("a", 2), series("b", 2))
    assert [tile.value.text for tile in found.content.tiles] == ["2 s", "2%"]


def test_the_newest_number_counts() -> None:
    found = shown(panel("stat"), series("a", 1, 2, math.nan))
    assert found.content.tiles[0].value.text == "2"


def test_a_timeseries_has_a_curve_a_legend_and_the_thresholds_near_it() -> None:
    config = defaults(
        unit="percent", thresholds=STEPS, custom={"thresholdsStyle": {"mode": "dashed"}}
    )
    legend = {"legend": {"calcs": ["lastNotNull", "mean", "max"]}}
    described = panel("timeseries", fieldConfig=config, options=legend)
    found = shown(described, series("a", 10, 30), series("b", 60, 20))
    table = found.content.table
    assert table is not None
    assert list(table.headings) == ["", "last", "mean", "max"]
    rows = [[cell.text for cell in row.cells] for row in table.rows]
    assert rows == [["a", "30%", "20%", "30%"], ["b", "20%", "40%", "60%"]]
    (picture,) = found.content.pictures
    # 80 is near the highest value, 60; 95 is not.
    assert len(set(re.findall(r"serie-\d+ color-\d+", picture.svg))) == 3
    assert (
        picture.svg.count("stroke-dasharray:5, 4") + picture.svg.count("stroke-dasharray:5,4") == 1
    )


def test_a_gap_breaks_a_curve_and_a_point_that_is_alone_is_seen() -> None:
    times = HOUR.times()
    values: dict[int, float] = {0: 1.0, 1: 2.0, 5: 3.0, 8: 1.0, 9: 2.0}
    curve = charts.Curve(
        "a", "#000000", [(at, values.get(index)) for index, at in enumerate(times)]
    )
    svg = charts.lines([curve], HOUR, size=(400, 200), text=str, fill=False, zero=True)
    paths = re.findall(r'<path d="([^"]+)"[^>]*class="line reactive', svg)
    assert len(paths) == 3
    assert all(len(re.findall(r"[\d.]+ [\d.]+", path)) == 2 for path in paths)


def test_stacked_curves_are_on_top_of_each_other() -> None:
    config = defaults(custom={"stacking": {"mode": "normal"}})
    found = shown(
        panel("timeseries", fieldConfig=config), series("a", 100, 100), series("b", 300, 300)
    )
    svg = found.content.pictures[0].svg
    labels = re.findall(r">(\d+)</text>", svg)
    assert "400" in labels
    assert "fill" in svg


@pytest.mark.parametrize(("value", "arc"), [(0.98, 0.0), (0.99, 0.5), (1.0, 1.0), (0.5, 0.0)])
def test_a_gauge_is_between_its_least_and_its_most(value: float, arc: float) -> None:
    config = defaults(unit="percentunit", min=0.98, max=1, decimals=2)
    found = shown(panel("gauge", fieldConfig=config), series("a", value))
    (picture,) = found.content.pictures
    assert picture.value is not None
    assert picture.value.text == format_value(value, "percentunit", 2)
    texts = re.findall(r">([^<>]+)</text>", picture.svg)
    assert texts == ["98%", "100%"]
    # An arc of nothing is not drawn; half of the half circle ends at its top, the whole to the right.
    drawn = re.findall(r'<path d="M[^"]*"[^>]*class="slice', picture.svg)
    assert bool(drawn) is (arc > 0)


def test_a_pie_says_values_and_shares() -> None:
    found = shown(panel("piechart"), series("a", 30), series("b", 10))
    table = found.content.table
    assert table is not None
    rows = [[cell.text for cell in row.cells] for row in table.rows]
    assert rows == [["a", "30", "75%"], ["b", "10", "25%"]]
    assert len({row.mark for row in table.rows}) == 2
    assert found.content.pictures[0].svg.count('class="slice reactive') == 2


def test_a_pie_of_nothing_is_its_table() -> None:
    found = shown(panel("piechart"), series("a", 0), series("b", 0))
    assert found.content.pictures == []
    assert found.content.table is not None


def test_a_histogram_counts_every_point_once() -> None:
    spread = [float(value) for value in range(100)]
    found = shown(panel("histogram"), series("a", *spread), series("b", 0, 99))
    table = found.content.table
    assert table is not None
    assert [[cell.text for cell in row.cells] for row in table.rows] == [["a", "100"], ["b", "2"]]
    heights = re.findall(r'<desc class="value">(\d+)</desc>', found.content.pictures[0].svg)
    assert sum(map(int, heights)) == 102
    assert heights.count("10") == 10


def test_a_histogram_of_equal_values() -> None:
    found = shown(panel("histogram", options={"combine": True}), series("a", 5, 5), series("b", 5))
    heights = re.findall(r'<desc class="value">(\d+)</desc>', found.content.pictures[0].svg)
    assert sum(map(int, heights)) == 3


@pytest.mark.parametrize(
    "kind", ["gauge", "timeseries", "piechart", "histogram", "barchart", "heatmap"]
)
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_chart_leaves_out_what_is_no_number(kind: str, value: float) -> None:
    odd = series("odd", value, value, le="1")
    assert shown(panel(kind), odd).message == "No data"
    found = shown(panel(kind), odd, series("good", value, 2, le="2"))
    assert found.message == ""
    assert not re.search(r"\b(nan|inf)\b", found.content.pictures[0].svg)


@pytest.mark.parametrize("kind", ["stat", "table"])
def test_a_text_says_what_is_no_number(kind: str) -> None:
    content = shown(panel(kind), series("a", math.inf), series("b", math.nan)).content
    rows = content.table.rows if content.table else []
    texts = {tile.value.text for tile in content.tiles} | {row.cells[0].text for row in rows}
    assert texts == {"∞", "NaN"}


def test_a_bar_chart_has_a_bar_a_label_in_full() -> None:
    described = panel("barchart", options={"xField": "type"})
    found = shown(
        described, series("x", 3, type="a-rather-long-command"), series("y", 4, type="get")
    )
    svg = found.content.pictures[0].svg
    assert "a-rather-long-command" in svg
    assert len(re.findall(r"<rect[^>]*class=\"rect", svg)) == 2


def test_a_heatmap_has_in_each_row_what_is_not_in_the_one_below() -> None:
    found = shown(
        panel("heatmap", unit="s"),
        series("+Inf", 7, le="+Inf"),
        series("1", 7, le="1"),
        series("0.1", 4, le="0.1"),
    )
    (picture,) = found.content.pictures
    titles = re.findall(r"<title>([^<]+)</title>", picture.svg)
    assert titles == ["11:59, 100 ms: 4 ops/s", "11:59, 1 s: 3 ops/s"]
    assert re.findall(r">([^<>]*s|∞)</text>", picture.svg) == ["100 ms", "1 s", "∞"]
    assert picture.caption == "the darkest: 4 ops/s"


def test_a_heatmap_of_what_is_no_bucket_is_drawn_all_the_same() -> None:
    found = shown(panel("heatmap"), series("a", 1), series("b", 1, le="much"))
    assert "NaN</text>" in found.content.pictures[0].svg


def test_a_heatmap_of_zeros_is_empty_and_no_error() -> None:
    found = shown(panel("heatmap"), series("1", 0, le="1"), series("+Inf", 0, le="+Inf"))
    assert "<rect" not in found.content.pictures[0].svg


def test_a_table_is_merged_named_ordered_and_sorted() -> None:
    organize = {
        "excludeByName": {"Time": True, "name": True},
        "indexByName": {"service": 0, "Value #A": 1, "Value #B": 2},
        "renameByName": {"service": "Service", "Value #A": "Count", "Value #B": "p95"},
    }
    override = {
        "matcher": {"id": "byName", "options": "p95"},
        "properties": [
            {"id": "unit", "value": "s"},
            {
                "id": "thresholds",
                "value": {"steps": [{"color": "green"}, {"color": "red", "value": 2}]},
            },
            {"id": "custom.cellOptions", "value": {"type": "color-text"}},
        ],
    }
    described = panel(
        "table",
        "a",
        "b",
        transformations=[{"id": "merge"}, {"id": "organize", "options": organize}],
        fieldConfig={"defaults": {"unit": "short", "thresholds": STEPS}, "overrides": [override]},
        options={"sortBy": [{"displayName": "Count", "desc": True}]},
    )
    found = shown(
        described,
        series("x", 5, service="small"),
        series("x", 90, service="large"),
        series("x", 3, ref="B", service="large"),
    )
    table = found.content.table
    assert table is not None
    assert list(table.headings) == ["Service", "Count", "p95"]
    rows = [[(cell.text, cell.color) for cell in row.cells] for row in table.rows]
    plain = colors.NEUTRAL
    assert rows == [
        [("large", plain), ("90", plain), ("3 s", RED)],
        [("small", plain), ("5", plain), ("", plain)],
    ]


def test_a_log_has_times_in_utc() -> None:
    line = Line("A", int(NOW.timestamp()) * 10**9, {"job": "kong"}, "GET /")
    found = shown(panel("logs"), lines=(line,))
    assert [(one.time, one.job, one.text) for one in found.content.lines] == [
        ("01-02 12:00:00", "kong", "GET /")
    ]


@pytest.mark.parametrize("kind", ["stat", "timeseries", "table", "logs", "heatmap"])
def test_no_data_is_said_plainly(kind: str) -> None:
    assert shown(panel(kind)).message == "No data"
    said = panel(kind, fieldConfig=defaults(noValue="No alert fires"))
    assert shown(said).message == "No alert fires"


def test_an_unknown_kind_is_a_table_of_its_values() -> None:
    table = shown(panel("flamegraph"), series("a", 7)).content.table
    assert table is not None
    assert [cell.text for cell in table.rows[0].cells] == ["7", "a"]


# The page


class Document(HTMLParser):
    """Reads a page: its elements, its text, and whether every element is closed in its turn."""

    VOID: frozenset[str] = frozenset({"meta", "br", "img", "link", "input", "hr"})

    def __init__(self, content: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(content)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.text += data


KINDS = (*sorted(INSTANT), "timeseries", "histogram", "heatmap", "logs")


def render(found: Dashboard, answers: list[Answer]) -> str:
    views = [view(one, answer, HOUR) for one, answer in zip(found.panels, answers, strict=True)]
    return page.render(found, views, HOUR, "bot-core")


def test_the_page_opens_with_what_it_is_of() -> None:
    found = board(panel("stat"), description="What it is for.", templating={"list": [JOB]})
    text = Document(render(found, [Answer({"A": "up"}, [series("a", 1)])])).text
    head = " ".join(text.partition("A stat")[0].split())
    assert "Test 2026-01-02 11:00:00 to 2026-01-02 12:00:00 UTC" in head
    assert f"project bot-core · stackctl {__version__}" in head
    assert "What it is for. job: all" in head


@pytest.mark.parametrize("kind", KINDS)
def test_whatever_comes_from_outside_is_text(kind: str) -> None:
    described = panel(kind, title=EVIL, description=EVIL, options={"xField": "name"})
    described["fieldConfig"] = defaults(unit=EVIL, noValue=EVIL)
    found = board(described, title=EVIL, description=EVIL, uid=EVIL)
    line = Line("A", int(NOW.timestamp()) * 10**9, {"job": EVIL}, EVIL)
    full = Answer({EVIL: EVIL}, [series(EVIL, 1, 2, le="1")], [line])
    for answer in (full, Answer({EVIL: EVIL}), Answer({EVIL: EVIL}, failure=EVIL)):
        content = render(found, [answer])
        document = Document(content)
        assert "script" not in document.tags
        assert not any(name.startswith("on") for name, _ in document.attributes)
        assert EVIL in document.text
        assert "<script" not in content


@pytest.mark.parametrize("kind", KINDS)
def test_the_page_asks_nothing_of_the_network(kind: str) -> None:
    answer = Answer(
        {"A": "up"},
        [series("a", 1, 2, le="1")],
        [Line("A", 0, {"job": "x"}, "see http://example.org")],
    )
    content = render(board(panel(kind)), [answer])
    document = Document(content)
    assert {"script", "link", "img", "iframe", "object", "image", "use"}.isdisjoint(document.tags)
    assert not {"src", "href", "xlink:href"} & {name for name, _ in document.attributes}
    assert "url(" not in content
    assert "@import" not in content
    policy = "default-src 'none'; style-src 'unsafe-inline'"
    assert ("content", policy) in document.attributes


def test_a_query_is_there_to_be_copied() -> None:
    query = 'sum by (le) (rate(x_bucket{job=~"..*"}[60s])) > 0'
    content = render(board(panel("stat")), [Answer({"A": query}, [series("a", 1)])])
    inside = content.partition("<details>")[2].partition("</details>")[0]
    assert f"A: {query}" in html.unescape(inside)


@pytest.fixture
def both() -> Iterator[Callable[..., Server]]:
    """Starts a server in the place of Prometheus and Loki."""
    open_servers = []

    def start(prometheus: Route = ONE, loki: Route | None = None) -> Server:
        context = serving(routes(prometheus, loki or streams("a line", job="kong")))
        open_servers.append(context)
        return context.__enter__()

    yield start
    for context in open_servers:
        context.__exit__(None, None, None)


@pytest.fixture
def run(
    state_dir: Path, clean_environment: pytest.MonkeyPatch, tmp_path: Path
) -> Callable[..., Any]:
    """Runs the command against a server, in a folder of its own."""

    def invoke(server: Server, *arguments: str) -> Any:
        port = server.url.rpartition(":")[2]
        clean_environment.setenv("PROMETHEUS_PORT", port)
        clean_environment.setenv("LOKI_PORT", port)
        clean_environment.chdir(tmp_path)
        session = Session("bot-core", None)
        if not session.project.state.dashboards.exists():
            shutil.copytree(SHIPPED, session.project.state.dashboards)
        return CliRunner().invoke(command, arguments, obj=session)

    return invoke


@pytest.mark.thorough
@pytest.mark.parametrize("name", paths.dashboards())
def test_every_panel_of_every_dashboard_is_on_the_page(
    name: str, both: Callable[..., Server], run: Callable[..., Any], tmp_path: Path
) -> None:
    labels = {"le": "1", "name": "one", "job": "one"}
    found = both(matrix((labels, [(NOW.timestamp(), "1"), (NOW.timestamp() + 15, "2")])))
    done = run(
        found, name, "-o", "out.html", "--from", "2026-01-02T11:00", "--to", "2026-01-02T12:00"
    )
    assert done.exit_code == 0, done.output
    described = dashboard.load(name, SHIPPED)
    panels = [one for one in described.panels if one.type != "row"]
    assert done.stdout == f"out.html: {len(panels)} panels\n"
    content = (tmp_path / "out.html").read_text()
    document = Document(content)
    assert document.tags.count("section") == len(panels)
    assert document.tags.count("details") == len(panels)
    for one in described.panels:
        assert one.title in document.text
    assert (tmp_path / "out.html").stat().st_mode & 0o777 == 0o600


def value_of(expr: str) -> float:
    """Give each query a value of its own, above those that have words."""
    return 2 + zlib.crc32(expr.encode()) % 9000 / 100


def own_value(request: Request) -> Reply:
    (expr,) = parse_qs(request.body.decode())["query"]
    points = [(NOW.timestamp() - back, str(value_of(expr))) for back in (15, 0)]
    return matrix(({"le": "1", "name": "one", "job": "one", "service": "one"}, points))


@pytest.mark.thorough
@pytest.mark.parametrize("name", paths.dashboards())
def test_every_panel_shows_what_its_own_queries_found(name: str) -> None:
    described = dashboard.load(name, SHIPPED)
    with serving(routes(own_value, streams("a line", job="kong"))) as server:
        answers = ask(described, server)
    sections = render(described, answers).split("<section ")[1:]
    drawn = [pair for pair in zip(described.panels, answers, strict=True) if pair[0].type != "row"]
    for (one, answer), section in zip(drawn, sections, strict=True):
        shown = html.unescape(section.partition("<details>")[0])
        assert one.title in shown
        for found in answer.series if one.type in {"stat", "gauge", "timeseries"} else ():
            looks = one.appearance(found.name)
            assert found.last == value_of(answer.expressions[found.ref_id])
            assert format_value(found.last, looks.unit, looks.decimals) in shown, one.title


def test_without_a_name_the_file_is_called_by_dashboard_and_time(
    both: Callable[..., Server], run: Callable[..., Any], tmp_path: Path
) -> None:
    done = run(both(), "business-metrics", "--to", "2026-01-02T12:00", "--from", "2026-01-02T11:00")
    assert done.exit_code == 0, done.output
    assert [one.name for one in tmp_path.glob("*.html")] == [
        "business-metrics-20260102T120000Z.html"
    ]


def test_the_dashboard_is_the_one_that_was_rendered(
    both: Callable[..., Server], run: Callable[..., Any]
) -> None:
    found = both()
    rendered = Session("bot-core", None).project.state.dashboards
    rendered.mkdir(parents=True)
    told = run(found, "business-metrics", "-o", "out.html")
    assert "business-metrics is not rendered" in str(told.exception)
    (rendered / "business-metrics.json").write_text(
        json.dumps({"uid": "business-metrics", "title": "B", "panels": [panel("stat")]})
    )
    assert run(found, "business-metrics", "-o", "out.html").stdout == "out.html: 1 panels\n"


def test_the_command_says_which_panels_show_nothing(
    both: Callable[..., Server], run: Callable[..., Any], tmp_path: Path
) -> None:
    failing = as_json({"status": "error", "error": "too many samples"}, 422)
    done = run(both(matrix(), failing), "ai-analysis", "-o", "out.html")
    assert done.exit_code == 0, done.output
    said = " ".join(done.stdout.split())
    assert "no data for Analyses per Minute, Analysis Duration" in said
    assert said.endswith("a query failed for AI Service Log")
    text = Document((tmp_path / "out.html").read_text()).text
    panels = dashboard.load("ai-analysis", SHIPPED).panels
    assert text.count("No data") == sum(one.type not in {"row", "logs"} for one in panels)
    assert "The query failed: loki at " in text


def test_without_prometheus_there_is_no_page(run: Callable[..., Any], tmp_path: Path) -> None:
    with serving({"/-/ready": Reply(b"starting", 503)}) as server:
        done = run(server, "business-metrics", "-o", "out.html")
    assert isinstance(done.exception, ServiceError)
    assert done.exception.status == 503
    assert not (tmp_path / "out.html").exists()


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    shot = Snapshot("bot-core", board(), HOUR, [])
    with pytest.raises(Exception, match=r"cannot be written") as caught:
        shot.write(tmp_path / "file" / "out.html")
    assert getattr(caught.value, "remedy", "") == "choose another place with -o"
