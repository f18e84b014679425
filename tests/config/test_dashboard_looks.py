"""How the dashboards look, as far as their JSON decides it: first glance, colors, axes, legends, tables, texts.

Each test holds a kind of fault that was seen in a real Grafana, over every panel that can have it.
"""

from __future__ import annotations

import colorsys
import itertools
import math
import re
from collections.abc import Iterator
from typing import Any

import pytest

from dashboards import limits, palette
from tests.config.test_dashboards import DASHBOARDS, every_panel, panels

Json = dict[str, Any]

SCREEN_WIDTH, SCREEN_ROWS = 1366, 17
"""A laptop of 1366 x 768: Grafana's header takes about 100 pixels, a row of the grid 30 and the gap below it 8."""
SIDE = 57 + 2 * 16
"""Pixels beside the panels: Grafana 9's navigation and the margins; later releases take no more."""

ORDER = {
    "system-overview": {
        "traffic": ["Network Traffic"],
        "errors": ["Container Restart Count"],
        "latency": [],
        "saturation": ["CPU Usage", "Memory Usage", "Disk Usage"],
    },
    "trading-performance": {
        "traffic": ["Trades per Minute"],
        "errors": ["Trade Failures"],
        "latency": ["Trade Execution Latency"],
        "saturation": [],
    },
    "api-performance": {
        "traffic": ["Request Rate"],
        "errors": ["Error Rate"],
        "latency": ["p95/p99 Latency"],
        "saturation": ["Error Budget Burn"],
    },
    "ai-analysis": {
        "traffic": ["Analyses per Minute"],
        "errors": ["OpenAI API Requests"],
        "latency": ["Analysis Duration"],
        "saturation": [],
    },
    "database-performance": {
        "traffic": ["Query Rate"],
        "errors": [],
        "latency": ["Query Latency"],
        "saturation": ["Connection Pool Usage"],
    },
    "websocket-metrics": {
        "traffic": ["Active Connections", "Messages Sent/Received"],
        "errors": [],
        "latency": ["Message Latency"],
        "saturation": [],
    },
    "business-metrics": {
        "traffic": ["Active Users", "New Registrations", "User Engagement"],
        "errors": [],
        "latency": [],
        "saturation": [],
    },
}
"""The four golden signals (sre.google/sre-book/monitoring-distributed-systems) of what each dashboard is about; a
signal without a graph has a status tile above, or no metric."""


def glance(uid: str) -> list[Json]:
    """Return the panels that a laptop shows without scrolling, in reading order."""
    seen = [
        panel
        for panel in panels(uid)
        if panel["gridPos"]["y"] + panel["gridPos"]["h"] <= SCREEN_ROWS
    ]
    return sorted(seen, key=lambda panel: (panel["gridPos"]["y"], panel["gridPos"]["x"]))


def config(panel: Json) -> tuple[Json, list[Json]]:
    """Return the defaults and the overrides of a panel's fields."""
    found = panel.get("fieldConfig", {})
    return found.get("defaults", {}), found.get("overrides", [])


def looks(panel: Json) -> Iterator[tuple[str, Json]]:
    """Yield the properties of the panel's fields, and of each name with properties of its own."""
    defaults, overrides = config(panel)
    yield "", defaults
    for override in overrides:
        own = {one["id"]: one["value"] for one in override["properties"]}
        yield str(override["matcher"]["options"]), defaults | own


def of_type(*kinds: str) -> list[tuple[str, Json]]:
    found = [(uid, panel) for uid, panel in every_panel() if panel["type"] in kinds]
    assert found
    return found


# The first glance


@pytest.mark.parametrize("uid", DASHBOARDS)
def test_the_first_glance_fills_the_screen_with_status_signals_and_alerts(uid: str) -> None:
    seen = glance(uid)
    assert max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel in seen) == SCREEN_ROWS
    rows_below = [panel for panel in DASHBOARDS[uid]["panels"] if panel["type"] == "row"]
    assert min(row["gridPos"]["y"] for row in rows_below) == SCREEN_ROWS
    # Is it all right? Since when, and where to look?
    top = [panel["type"] for panel in seen if panel["gridPos"]["y"] == 0]
    assert set(top) <= {"stat", "gauge"}
    assert "Active Alerts" in [panel["title"] for panel in seen]
    assert sum(panel["type"] == "timeseries" for panel in seen) >= 3


@pytest.mark.parametrize("uid", DASHBOARDS)
def test_signals_come_in_one_order(uid: str) -> None:
    titles = [panel["title"] for panel in glance(uid)]
    assert list(ORDER[uid]) == ["traffic", "errors", "latency", "saturation"]
    wanted = [*itertools.chain(*ORDER[uid].values())]
    assert [title for title in titles if title in wanted] == wanted


# Colors


def linear(part: float) -> float:
    return part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4


def channels(color: str) -> tuple[float, float, float]:
    """Return the linear red, green and blue of a color, each 0..1 (IEC 61966-2-1)."""
    red, green, blue = (linear(int(color[at : at + 2], 16) / 255) for at in (1, 3, 5))
    return red, green, blue


def luminance(color: str) -> float:
    """Return the relative luminance (w3.org/TR/WCAG21/#dfn-relative-luminance)."""
    red, green, blue = channels(color)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    """Return the contrast ratio, 1..21 (w3.org/TR/WCAG21/#dfn-contrast-ratio)."""
    darker, lighter = sorted((luminance(one), luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


Matrix = tuple[tuple[float, float, float], ...]

SIGHT: dict[str, Matrix] = {
    "normal": ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
    "protanopia": (
        (0.152286, 1.052583, -0.204868),
        (0.114503, 0.786281, 0.099216),
        (-0.003882, -0.048116, 1.051998),
    ),
    "deuteranopia": (
        (0.367322, 0.860646, -0.227968),
        (0.280085, 0.672501, 0.047413),
        (-0.011820, 0.042940, 0.968881),
    ),
    "tritanopia": (
        (1.255528, -0.076749, -0.178779),
        (-0.078411, 0.930809, 0.147602),
        (0.004733, 0.691367, 0.303900),
    ),
}
"""Machado, Oliveira and Fernandes, A Physiologically-based Model for Simulation of Color Vision Deficiency (2009),
severity 1.0, on linear red, green and blue."""


def times(matrix: Matrix, values: tuple[float, ...]) -> tuple[float, ...]:
    return tuple(
        sum(factor * value for factor, value in zip(row, values, strict=True)) for row in matrix
    )


def perceived(color: str, sight: Matrix) -> tuple[float, ...]:
    """Return the color as somebody with this sight sees it, in Oklab (bottosson.github.io/posts/oklab)."""
    seen = tuple(min(1.0, max(0.0, value)) for value in times(sight, channels(color)))
    cones = times(
        (
            (0.4122214708, 0.5363325363, 0.0514459929),
            (0.2119034982, 0.6806995451, 0.1073969566),
            (0.0883024619, 0.2817188376, 0.6299787005),
        ),
        seen,
    )
    return times(
        (
            (0.2104542553, 0.7936177850, -0.0040720468),
            (1.9779984951, -2.4285922050, 0.4505937099),
            (0.0259040371, 0.7827717662, -0.8086757660),
        ),
        tuple(math.cbrt(value) for value in cones),
    )


def difference(one: str, other: str) -> float:
    """Return how different two colors are for those who see the least difference; 0.02 is just noticeable."""
    return min(
        math.dist(perceived(one, sight), perceived(other, sight)) for sight in SIGHT.values()
    )


NAMED = {
    *(palette.GOOD, palette.WARN, palette.BAD, palette.NEUTRAL, palette.ABSENT),
    *palette.CATEGORIES,
    *palette.BY_NAME.values(),
    *itertools.chain(*(colors.values() for colors in palette.BY_LABEL.values())),
}
TOGETHER = {
    "limits": [palette.GOOD, palette.WARN, palette.BAD],
    "categories": palette.CATEGORIES[:5],
    **{label: list(colors.values()) for label, colors in palette.BY_LABEL.items()},
}


def test_contrast_is_that_of_the_formula() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)


@pytest.mark.parametrize("color", sorted(NAMED))
def test_a_color_stands_out_in_both_themes(color: str) -> None:
    for background in (*palette.DARK_BACKGROUNDS, *palette.LIGHT_BACKGROUNDS):
        assert contrast(color, background) >= 3, background


def shifted(color: str, darker: float, degrees: float) -> str:
    """Return a color with less lightness (percentage points) and a turned hue, as tinycolor's darken and spin do."""
    red, green, blue = (int(color[at : at + 2], 16) / 255 for at in (1, 3, 5))
    hue, lightness, saturation = colorsys.rgb_to_hls(red, green, blue)
    lightness = min(1.0, max(0.0, lightness - darker / 100))
    found = colorsys.hls_to_rgb((hue + degrees / 360) % 1, lightness, saturation)
    return "#" + "".join(f"{round(255 * part):02x}" for part in found)


def tile(color: str, *, dark: bool) -> list[str]:
    """Return what Grafana fills a tile with: the ends of the gradient, and the color itself where it is solid."""
    factor = 1 if dark else -0.7
    return [shifted(color, 15 * factor, 8), shifted(color, 5 * factor, -8), color]


def text_on(color: str) -> str:
    """Return the color of Grafana's text on a tile (packages/grafana-ui/src/utils/colors.ts)."""
    red, green, blue = (int(color[at : at + 2], 16) for at in (1, 3, 5))
    return "#202226" if (299 * red + 587 * green + 114 * blue) / 1000 > 180 else "#f7f8fa"


def colors_of(value: object) -> Iterator[str]:
    """Yield every color in a piece of JSON."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if key in {"color", "fixedColor", "iconColor"} and isinstance(inner, str):
                yield inner
            else:
                yield from colors_of(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from colors_of(inner)


TILES = {
    (uid, panel["title"]): sorted({*colors_of(panel["fieldConfig"]["defaults"]["mappings"])})
    for uid, panel in of_type("stat")
    if panel["options"]["colorMode"] == "background"
}
"""Panel → the colors that its tiles can have."""


def test_the_gradient_is_that_of_the_formula() -> None:
    # What tinycolor2 1.4.2 gives; it rounds between its steps.
    for found, wanted in [
        (shifted("#009E73", 15, 8), "#005146"),
        (shifted("#009E73", -10.5, 8), "#00d4b6"),
        (shifted("#C42D1C", 5, -8), "#ae191e"),
        (shifted("#C42D1C", -3.5, -8), "#d41e24"),
    ]:
        assert math.dist(channels(found), channels(wanted)) < 0.01, (found, wanted)


@pytest.mark.parametrize("dark", [True, False], ids=["dark", "light"])
def test_text_stands_out_on_every_tile(dark: bool) -> None:
    colors = {*itertools.chain(*TILES.values())}
    assert colors > {palette.BAD, palette.ABSENT}
    for color in colors:
        for part in tile(color, dark=dark):
            assert contrast(text_on(color), part) >= 3, (color, part)


def test_a_tile_in_the_color_of_a_line_would_be_found() -> None:
    assert min(contrast(text_on(palette.GOOD), part) for part in tile(palette.GOOD, dark=False)) < 2


@pytest.mark.parametrize("colors", TILES.values(), ids=["/".join(name) for name in TILES])
def test_tiles_that_are_seen_together_differ_for_everybody(colors: list[str]) -> None:
    for one, other in itertools.combinations(colors, 2):
        for dark in (True, False):
            # One end alone may be alike; the tile shows both.
            pairs = zip(tile(one, dark=dark), tile(other, dark=dark), strict=True)
            assert max(itertools.starmap(difference, pairs)) >= 0.04, (one, other, dark)


@pytest.mark.parametrize("group", TOGETHER)
def test_colors_that_are_seen_together_differ_for_everybody(group: str) -> None:
    for one, other in itertools.combinations(TOGETHER[group], 2):
        assert difference(one, other) >= 0.04, (one, other)


def test_grafanas_own_green_and_red_would_be_found() -> None:
    assert difference("#73BF69", "#F2CC0C") < 0.2
    assert contrast("#F2CC0C", "#ffffff") < 3
    assert difference("#8A8A1F", "#B8860B") < 0.04


def test_no_color_comes_from_a_hash_of_a_name() -> None:
    # Grafana hashes the field's name, which is "Value" for every series of an instant query.
    for uid, panel in every_panel():
        for name, found in looks(panel):
            mode = found.get("color", {}).get("mode")
            assert mode != "palette-classic-by-name", (uid, panel["title"], name)


def test_every_fixed_color_is_of_the_palette() -> None:
    found = {
        color
        for dashboard in DASHBOARDS.values()
        for part in (dashboard["panels"], dashboard["annotations"])
        for color in colors_of(
            [p.get("fieldConfig", p) for p in part] if isinstance(part, list) else part
        )
    }
    assert found - NAMED - {palette.behind_text(color) for color in NAMED} == set()
    assert len(found) > 5


def drawn_color(panel: Json, name: str) -> str | None:
    """Return the fixed color that a series of this name has, None where Grafana chooses one."""
    color: Json = config(panel)[0].get("color", {})
    for override in config(panel)[1]:
        matcher, wanted = override["matcher"]["id"], override["matcher"]["options"]
        if matcher == "byRegexp":
            fits = re.search(wanted.strip("/"), name) is not None
        else:
            fits = matcher == "byName" and wanted == name
        for one in override["properties"]:
            if fits and one["id"] == "color":
                color = one["value"]
    return color.get("fixedColor")


VALUES = {
    "service": ["rust-core-engine", "python-ai-service", "nextjs-ui-dashboard", "redis"],
    "job": ["rust-core-engine", "python-ai-service", "nextjs-ui-dashboard", "rabbitmq"],
    "status": ["200", "301", "404", "503"],
    "code": ["204", "429", "500"],
    "side": ["BUY", "SELL"],
    "signal": ["LONG", "SHORT", "NEUTRAL"],
    "direction": ["receive", "transmit"],
}


def test_what_has_an_identity_has_its_color_on_every_dashboard() -> None:
    seen: dict[tuple[str, str], set[str]] = {}
    for uid, panel in of_type("timeseries", "piechart", "barchart"):
        for target in panel["targets"]:
            label = next(iter(re.findall(r"\{\{(\w+)\}\}", target.get("legendFormat", ""))), None)
            if label not in VALUES:
                continue
            for value in VALUES[label]:
                name = target["legendFormat"].replace("{{" + label + "}}", value)
                color = drawn_color(panel, re.sub(r"\{\{\w+\}\}", "x", name))
                assert color is not None, (uid, panel["title"], name)
                kind = {"job": "service", "code": "status"}.get(label, label)
                shown = f"{value[0]}xx" if kind == "status" else value
                seen.setdefault((kind, shown), set()).add(color)
    assert {("service", "rust-core-engine"), ("side", "BUY"), ("status", "5xx")} <= seen.keys()
    assert {key: colors for key, colors in seen.items() if len(colors) > 1} == {}


def test_severities_have_their_color_where_they_are_words() -> None:
    tables = [panel for _, panel in of_type("table") if panel["title"] == "Active Alerts"]
    assert len(tables) == len(DASHBOARDS)
    for panel in tables:
        found = dict(looks(panel))["Severity"]["mappings"]
        colors = {one["options"]["pattern"]: one["options"]["result"]["color"] for one in found}
        assert colors == {
            f"/^({severity})$/": color for severity, color in palette.BY_LABEL["severity"].items()
        }


def test_a_series_that_the_panel_names_has_a_color_of_its_own() -> None:
    for uid, panel in of_type("timeseries"):
        names = [t["legendFormat"] for t in panel["targets"] if "{{" not in t["legendFormat"]]
        colors = [drawn_color(panel, name) for name in names]
        assert None not in colors, (uid, panel["title"])
        assert len(set(colors)) == len(colors), (uid, panel["title"])


# Values that do not exist


def test_an_absent_value_is_neutral_in_every_color_mode() -> None:
    modes = set()
    for uid, panel in of_type("stat", "gauge"):
        where = (uid, panel["title"])
        modes.add(panel["options"].get("colorMode", "gauge"))
        text = panel["fieldConfig"]["defaults"].get("noValue", "No data")
        for name, found in looks(panel):
            (absent,) = [one for one in found["mappings"] if one["type"] == "special"]
            assert absent["options"]["match"] == "null+nan", (*where, name)
            result = absent["options"]["result"]
            assert (result["text"], result["color"]) == (text, palette.ABSENT), (*where, name)
    assert modes == {"value", "background", "gauge"}


# Axes and numbers


RATIOS = {"percent", "percentunit"}


def test_every_ratio_has_a_maximum() -> None:
    for uid, panel in every_panel():
        if panel["type"] in {"timeseries", "gauge", "barchart"}:
            found = panel["fieldConfig"]["defaults"]
            if found["unit"] in RATIOS:
                top = found.get("max", found.get("custom", {}).get("axisSoftMax"))
                assert top is not None, (uid, panel["title"])
                assert 0 < top <= (100 if found["unit"] == "percent" else 1), (uid, panel["title"])


def test_an_idle_graph_has_an_axis_that_fits_its_limit() -> None:
    for uid, panel in of_type("timeseries"):
        found = panel["fieldConfig"]["defaults"]
        where, custom = (uid, panel["title"]), found.get("custom", {})
        if panel["title"] == "Portfolio Value":  # its changes are small beside it
            assert "axisSoftMax" not in custom
            continue
        top = found.get("max", custom.get("axisSoftMax"))
        assert top, where
        bounds = [step["value"] for step in found["thresholds"]["steps"] if step["value"]]
        if bounds and found["unit"] in {"s", "percent"}:
            reach = min(map(abs, bounds))
            assert top in {100.0, 0.1} or reach <= top <= 1.2 * reach, where
        if any(bound < 0 for bound in bounds) and any(bound > 0 for bound in bounds):
            assert custom["axisSoftMin"] == -top, where


def test_a_fraction_has_a_few_decimals_and_only_as_many() -> None:
    whole = {"none", "short"}
    for uid, panel in every_panel():
        if panel["type"] in {"logs", "table", "heatmap"}:
            continue
        for name, found in looks(panel):
            if found["unit"] not in whole:
                assert 0 <= found["decimals"] <= 4, (uid, panel["title"], name)


def test_availability_has_more_decimals_than_its_objective() -> None:
    objective = str(limits.AVAILABILITY.critical)
    (panel,) = [panel for _, panel in of_type("gauge") if panel["title"] == "API Availability"]
    decimals = panel["fieldConfig"]["defaults"]["decimals"]
    # 0.995 is 99.5 %: two places move before the point.
    assert decimals > len(objective.partition(".")[2]) - 2


def test_money_that_can_be_lost_has_its_sign_before_the_amount() -> None:
    for uid, panel in every_panel():
        for name, found in looks(panel):
            if found.get("unit", "").startswith("currency"):
                exprs = " ".join(target["expr"] for target in panel["targets"])
                assert "profit_loss" not in exprs, (uid, panel["title"], name)


def test_a_rate_is_in_the_words_of_its_subject() -> None:
    for uid, panel in every_panel():
        for name, found in looks(panel):
            assert found.get("unit") not in {"opm", "cps", "cpm", "mps"}, (
                uid,
                panel["title"],
                name,
            )


def test_rates_are_taken_of_counters() -> None:
    # Prometheus warns, and Grafana shows a triangle, where a name does not end as a counter's does.
    for uid, panel in every_panel():
        for target in panel["targets"]:
            for name in re.findall(r"\b(?:rate|increase)\((\w+)", target["expr"]):
                assert re.search(r"_(total|count|sum|bucket)$", name), (uid, panel["title"], name)


# Legends and words


def test_a_long_legend_begins_with_the_highest_series() -> None:
    for uid, panel in of_type("timeseries"):
        legend = panel["options"]["legend"]
        if not any("{{" in target["legendFormat"] for target in panel["targets"]):
            # A few series, and as many in ten years: one line has them all.
            assert legend["displayMode"] == "list", (uid, panel["title"])
            assert len(panel["targets"]) <= 4, (uid, panel["title"])
            continue
        assert (legend["sortBy"], legend["sortDesc"]) == ("Max", True), (uid, panel["title"])
        assert "max" in legend["calcs"], (uid, panel["title"])


def test_a_tile_of_several_values_has_a_line_for_each() -> None:
    for uid, panel in of_type("stat"):
        where, shown = (uid, panel["title"]), panel["options"]
        legends = [target["legendFormat"] for target in panel["targets"]]
        assert shown["text"]["titleSize"] >= 12, where
        if len(legends) > 1 or "{{" in legends[0]:
            # Side by side the names broke at their hyphens, or ran into the next tile.
            assert shown["orientation"] == "horizontal", where
            assert panel["gridPos"]["h"] >= 4, where


def test_numbers_of_one_kind_have_one_size() -> None:
    # Grafana fits each number into its panel: 29 was four times as high as the zero beside it.
    sizes = {panel["options"]["text"]["valueSize"] for _, panel in of_type("stat")}
    assert sizes == {20, 32}
    assert {panel["options"]["text"]["valueSize"] for _, panel in of_type("gauge")} == {13, 16}


def test_a_colored_cell_is_colored_before_grafana_9_5_too() -> None:
    found = 0
    for uid, panel in of_type("table"):
        for name, shown in looks(panel):
            options = shown.get("custom.cellOptions")
            assert shown.get("custom.displayMode") == (options and options["type"]), (uid, name)
            found += options is not None
    assert found > len(DASHBOARDS)


def test_an_axis_has_room_for_a_unit_in_words() -> None:
    wide = 0
    for uid, panel in of_type("timeseries"):
        unit = panel["fieldConfig"]["defaults"]["unit"]
        if unit.startswith("suffix:") and len(unit) > len("suffix:USD/h"):
            # 6.3 pixels a letter, as measured: "40.0 analyses/min" takes 107.
            label = f"100.0 {unit.removeprefix('suffix:')}"
            assert panel["fieldConfig"]["defaults"]["custom"]["axisWidth"] >= 6.3 * len(label), uid
            wide += 1
    assert wide >= 4


@pytest.mark.parametrize("word", ["dark", "light", "red", "green", "yellow", "blue"])
def test_a_description_holds_in_both_themes_and_for_the_color_blind(word: str) -> None:
    for uid, panel in every_panel():
        words = re.findall(r"\w+", panel["description"].lower())
        assert word not in words, (uid, panel["title"])
        assert f"{word}er" not in words, (uid, panel["title"])


def test_a_pie_has_room_for_its_legend() -> None:
    for uid, panel in of_type("piechart"):
        assert panel["gridPos"]["w"] >= 8, (uid, panel["title"])
        unit = panel["fieldConfig"]["defaults"]["unit"].removeprefix("suffix:")
        assert len(unit) <= 5, (uid, panel["title"])


def test_a_text_in_a_gauge_fits_its_arc() -> None:
    for uid, panel in of_type("gauge"):
        text = panel["fieldConfig"]["defaults"].get("noValue", "")
        assert len(text) <= 16, (uid, panel["title"])


def test_a_histogram_of_several_queries_has_no_name() -> None:
    for uid, panel in of_type("histogram"):
        shown = panel["options"]["legend"]["showLegend"]
        assert shown == (not panel["options"].get("combine", False)), (uid, panel["title"])


# Tables


LETTER, CELL = 7.0, 24.0
"""Pixels that a letter of a table takes on average, and the padding of its cell."""


def column_widths(panel: Json) -> dict[str, float]:
    """Return the least pixels that each column takes, left to right."""
    (organize,) = [one for one in panel["transformations"] if one["id"] == "organize"]
    names = organize["options"]["renameByName"].values()
    minimum = panel["fieldConfig"]["defaults"]["custom"]["minWidth"]
    found = dict(looks(panel))
    return {name: found.get(name, {}).get("custom.width", minimum) for name in names}


def test_the_columns_of_a_table_fit_on_a_laptop() -> None:
    for uid, panel in of_type("table"):
        where = (uid, panel["title"])
        column = (SCREEN_WIDTH - SIDE + 8) / 24
        inside = panel["gridPos"]["w"] * column - 8 - 2 * 8 - 2
        widths = column_widths(panel)
        fixed = {name: width for name, width in widths.items() if width > 50}
        flexible = widths.keys() - fixed.keys()
        assert sum(widths.values()) <= inside, where
        # What is left for the columns with names is enough to read them.
        if flexible:
            assert (inside - sum(fixed.values())) / len(flexible) >= 80, where
        for name in widths.keys() & fixed.keys():
            assert fixed[name] >= LETTER * len(name) + CELL, (*where, name)


def test_a_ranked_table_is_sorted_by_a_column_that_it_has() -> None:
    for uid, panel in of_type("table"):
        names = column_widths(panel)
        for order in panel.get("options", {}).get("sortBy", []):
            assert order["displayName"] in names, (uid, panel["title"])


def test_a_table_drops_columns_but_never_rows() -> None:
    for uid, panel in of_type("table"):
        kinds = [one["id"] for one in panel["transformations"]]
        assert kinds == ["merge", "filterFieldsByName", "organize"], (uid, panel["title"])


def test_the_list_of_alerts_and_their_count_agree() -> None:
    by_title = {panel["title"]: panel for panel in panels("system-overview")}
    counts = [target["expr"] for target in by_title["Firing Alerts"]["targets"]]
    (listed,) = [target["expr"] for target in by_title["Active Alerts"]["targets"]]
    # A row is a series of ALERTS, for no aggregation is above it, and the severities are those that are counted.
    assert not re.search(r"\b(max|sum|count|min|avg|topk)\b", listed)
    counted = {severity for expr in counts for severity in re.findall(r'severity="(\w+)"', expr)}
    assert set(re.findall(r'severity="(\w+)"', listed)) == counted
    assert counted == palette.BY_LABEL["severity"].keys()
    assert all('alertstate="firing"' in expr for expr in [*counts, listed])
