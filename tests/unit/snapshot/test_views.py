"""What each kind of panel shows."""

from __future__ import annotations

import math
import re
from typing import Any

import pytest

from stackctl.snapshot import charts, colors
from stackctl.snapshot.dashboard import Panel
from stackctl.snapshot.queries import Answer, Line, Series
from stackctl.snapshot.units import format_value
from stackctl.snapshot.views import View, view
from tests.support.boards import HOUR, NOW, defaults, panel, series


def shown(described: dict[str, Any], *found: Series, lines: tuple[Line, ...] = ()) -> View:
    return view(Panel.model_validate(described), Answer({"A": "up"}, found, lines), HOUR)


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


def test_a_threshold_without_a_color_name_is_said_by_its_value() -> None:
    steps = [{"color": "#009E73", "value": None}, {"color": "#C42D1C", "value": 80}]
    absent = {"type": "special", "options": {"match": "null+nan", "result": {"text": "No data"}}}
    config = defaults(
        unit="percent", thresholds={"mode": "absolute", "steps": steps}, mappings=[absent]
    )
    found = shown(panel("gauge", fieldConfig=config), series("a", 12))
    assert found.thresholds == "from 80%"


def test_a_series_has_the_color_of_the_pattern_that_its_name_matches() -> None:
    color = {"id": "color", "value": {"mode": "fixed", "fixedColor": "#C42D1C"}}
    matcher = {"id": "byRegexp", "options": "/^p95 (engine)$/"}
    shown = Panel.model_validate(
        panel("timeseries")
        | {
            "fieldConfig": {
                "defaults": {},
                "overrides": [{"matcher": matcher, "properties": [color]}],
            }
        }
    )
    assert colors.of_series(shown.appearance("p95 engine"), 0) == "#C42D1C"
    assert colors.of_series(shown.appearance("p95 engine two"), 0) == colors.PALETTE[0]


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


@pytest.mark.parametrize("desc", [True, False])
def test_a_legend_is_in_the_order_that_the_panel_asks_for(desc: bool) -> None:
    legend = {"legend": {"calcs": ["lastNotNull", "max"], "sortBy": "Max", "sortDesc": desc}}
    found = shown(
        panel("timeseries", options=legend), series("a", 10, 2), series("b", 60, 1), series("c", 20)
    )
    table = found.content.table
    assert table is not None
    names = [row.cells[0].text for row in table.rows]
    assert names == (["b", "c", "a"] if desc else ["a", "c", "b"])


def test_a_narrow_graph_has_fewer_times_below_it() -> None:
    def times(width: int) -> int:
        curve = charts.Curve("a", "#000000", [(at, 1.0) for at in HOUR.times()])
        size = (width, 200)
        svg = charts.lines([curve], HOUR, size=size, text=str, fill=False, zero=True)
        return len(re.findall(r">1[12]:\d\d</text>", svg))

    assert times(600) == 7
    assert times(270) == 3


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
    assert texts == ["98.00%", "100.00%"]
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


def test_a_table_has_the_columns_and_the_words_that_it_is_confined_to() -> None:
    """As in Active Alerts: other labels are left out, a severity has its color, a link its word."""
    names = {"severity": "Severity", "logs": "Logs", "Value": "For"}
    word = {"pattern": "/^.+$/", "result": {"text": "Logs"}}
    critical = {"pattern": "/^(critical)$/", "result": {"text": "$1", "color": "#C42D1C"}}
    absent = {"match": "null+nan", "result": {"text": "No data", "color": "#6E7580"}}
    overrides = [
        {
            "matcher": {"id": "byName", "options": "Severity"},
            "properties": [
                {"id": "mappings", "value": [{"type": "regex", "options": critical}]},
                {"id": "custom.cellOptions", "value": {"type": "color-text"}},
            ],
        },
        {
            "matcher": {"id": "byName", "options": "Logs"},
            "properties": [{"id": "mappings", "value": [{"type": "regex", "options": word}]}],
        },
    ]
    described = panel(
        "table",
        transformations=[
            {"id": "merge"},
            {"id": "filterFieldsByName", "options": {"include": {"names": list(names)}}},
            {
                "id": "organize",
                "options": {
                    "excludeByName": {"Time": True},
                    "indexByName": {"severity": 0, "logs": 1, "Value": 2},
                    "renameByName": names,
                },
            },
        ],
        fieldConfig={
            "defaults": {"unit": "s", "mappings": [{"type": "special", "options": absent}]},
            "overrides": overrides,
        },
    )
    found = shown(
        described,
        series("x", 60, severity="critical", logs="kong", instance="kong:8001"),
        series("y", math.nan, severity="info", logs="", instance="kong:8002"),
    )
    table = found.content.table
    assert table is not None
    assert list(table.headings) == ["Severity", "Logs", "For"]
    rows = [[(cell.text, cell.color) for cell in row.cells] for row in table.rows]
    plain = colors.NEUTRAL
    assert rows == [
        [("critical", "#C42D1C"), ("Logs", plain), ("1 min", plain)],
        [("info", plain), ("", plain), ("No data", plain)],
    ]


def test_a_log_has_times_in_utc() -> None:
    at, labels = int(NOW.timestamp()) * 10**9, {"job": "kong"}
    lines = (Line("A", at, labels, "GET /"), Line("A", at, labels, "kong info GET /"))
    found = shown(panel("logs"), lines=lines)
    assert [(one.time, one.job, one.text) for one in found.content.lines] == [
        ("01-02 12:00:00", "kong", "GET /"),
        ("01-02 12:00:00", "kong", "info GET /"),
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
