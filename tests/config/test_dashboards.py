"""The dashboards: what the plan lists is there, every query is one that Prometheus can answer, every link leads on."""

from __future__ import annotations

import itertools
import json
import math
import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import yaml

from dashboards import limits
from dashboards.__main__ import FOLDER, stale, write
from dashboards.frame import APPLICATIONS
from dashboards.links import LOGGED, TITLES
from dashboards.palette import BAD, GOOD, WARN
from stackctl.render.promql import metric_names
from stackctl.snapshot.dashboard import Dashboard
from tests.config.contract import EXPORTED, SERIES
from tests.support.tools import check_expressions

Json = dict[str, Any]

ROOT = Path(__file__).resolve().parents[2]
GRAFANA = ROOT / "infrastructure" / "monitoring" / "grafana"
PROMETHEUS = ROOT / "infrastructure" / "monitoring" / "prometheus"

DASHBOARDS: dict[str, Json] = {
    path.stem: json.loads(path.read_text(encoding="utf-8"))
    for path in sorted(FOLDER.glob("*.json"))
}

# The plan's Dashboard Specifications: title, kind (where the plan leaves it open, the one that was chosen), and the
# plan's query where it gives one. More panels may stand between these.
PLAN: dict[str, list[tuple[str, str, list[str]]]] = {
    "system-overview": [
        (
            "Service Status",
            "stat",
            ['up{job=~"rust-core-engine|python-ai-service|nextjs-ui-dashboard"}'],
        ),
        ("CPU Usage", "timeseries", ["instance:node_cpu_utilization:rate5m"]),
        ("Memory Usage", "timeseries", ["instance:node_memory_utilization:ratio * 100"]),
        ("Disk Usage", "gauge", ["instance:node_disk_utilization:ratio * 100"]),
        ("Network Traffic", "timeseries", ["instance:node_network_throughput_bytes:rate5m"]),
        ("Container Restart Count", "table", []),
        ("Active Alerts", "table", []),
        ("System Load", "timeseries", []),
    ],
    "trading-performance": [
        ("Trades per Minute", "timeseries", ["rate(trades_total[1m])"]),
        ("Trade Success Rate", "gauge", ["trading:trade_success_ratio:rate5m * 100"]),
        (
            "Trade Execution Latency",
            "timeseries",
            [f"trading:trade_duration_seconds:{name}" for name in ("p50", "p95", "p99")],
        ),
        ("Portfolio Value", "timeseries", ["portfolio_value_usd"]),
        ("Daily P&L", "stat", ["business:profit_loss:24h"]),
        ("Open Positions", "gauge", []),
        ("Trade Failures", "stat", []),
        ("Trading Balance", "stat", []),
        ("Top Traded Pairs", "piechart", []),
        ("Risk Metrics", "stat", []),
    ],
    "api-performance": [
        ("Request Rate", "timeseries", ["service:http_requests:rate5m"]),
        ("Error Rate", "timeseries", ["service:http_error_ratio:rate5m * 100"]),
        ("Latency Distribution", "heatmap", []),
        (
            "p95/p99 Latency",
            "timeseries",
            [f"service:http_request_duration_seconds:{name}" for name in ("p95", "p99")],
        ),
        ("Response Status Codes", "piechart", []),
        ("Top Endpoints", "table", []),
        ("Slow Queries (>1s)", "table", []),
        ("API Availability", "gauge", ["slo:api_availability:24h"]),
    ],
    "ai-analysis": [
        ("Analyses per Minute", "timeseries", ["ai:analysis:rate5m"]),
        ("Analysis Duration", "timeseries", ["ai:analysis_duration_seconds:p95"]),
        ("Model Confidence", "histogram", ["ai:model_confidence:avg"]),
        ("Predictions by Signal", "piechart", ["ai:predictions_by_signal:rate5m"]),
        ("Prediction Accuracy", "gauge", []),
        ("OpenAI API Requests", "timeseries", []),
        ("OpenAI Error Rate", "gauge", ["ai:openai_error_ratio:rate5m * 100"]),
        ("Model Load Time", "stat", []),
        ("Active Models", "table", []),
    ],
    "database-performance": [
        ("Query Rate", "timeseries", ["db:queries:rate5m"]),
        ("Query Latency", "timeseries", ["db:query_duration_seconds:p95"]),
        ("Active Connections", "gauge", []),
        ("Connection Pool Usage", "timeseries", ["db:mongodb_connection_utilization:ratio * 100"]),
        ("Slow Queries", "table", []),
        ("Operations by Type", "barchart", ["db:mongodb_operations:rate5m"]),
        ("Replication Lag", "timeseries", []),
        ("Disk Usage", "gauge", []),
    ],
    "websocket-metrics": [
        ("Active Connections", "timeseries", ["websocket:connections_active:current"]),
        (
            "Messages Sent/Received",
            "timeseries",
            ["websocket:messages_sent:rate5m", "websocket:messages_received:rate5m"],
        ),
        ("Message Latency", "timeseries", ["websocket:message_duration_seconds:p95"]),
        ("Error Rate", "gauge", ["websocket:errors:rate5m"]),
        ("Connection Duration", "histogram", []),
        ("Top Clients", "table", []),
        ("Disconnect Reasons", "piechart", []),
    ],
    "business-metrics": [
        ("Active Users", "timeseries", ["business:users_active:1h"]),
        ("Registrations (1h)", "stat", ["business:user_registrations:1h"]),
        ("New Registrations", "timeseries", []),
        ("Trading Volume (24h)", "stat", ["business:trading_volume:24h"]),
        ("Revenue (24h)", "stat", []),
        ("Portfolio Value Growth", "stat", ["business:portfolio_value_growth:24h"]),
        ("User Engagement", "timeseries", []),
        ("Top Strategies", "table", []),
        ("Platform Fees", "timeseries", []),
    ],
}

EMPTY_AT_REST = {
    *((uid, "Active Alerts", "A") for uid in PLAN),
    ("system-overview", "Certificates", "A"),
    ("trading-performance", "Binance API", "A"),
    ("trading-performance", "Binance Status", "A"),
    ("trading-performance", "Binance Latency", "A"),
    ("api-performance", "Error Rate", "B"),
    ("database-performance", "Replication Lag", "A"),
    ("database-performance", "Replica Set Members", "A"),
    ("database-performance", "Redis Memory", "B"),
    ("database-performance", "Redis Memory Limit", "A"),
}
"""The queries that may find nothing, and say why."""

UNITS = {
    *("percent", "percentunit", "s", "binBps", "bytes", "currencyUSD", "ops", "reqps"),
}
COUNTS = {
    ("ai-analysis", "OpenAI Rate Limited"),
    ("ai-analysis", "Model Load Failures"),
    ("api-performance", "Response Status Codes"),
    ("api-performance", "Error Budget Burn"),
    ("business-metrics", "Active Users"),
    ("business-metrics", "Users Online"),
    ("business-metrics", "Registrations (1h)"),
    ("business-metrics", "New Registrations"),
    ("database-performance", "Active Connections"),
    ("database-performance", "RabbitMQ Messages"),
    ("database-performance", "Redis Refused Clients"),
    ("database-performance", "RabbitMQ Alarms"),
    ("system-overview", "Firing Alerts"),
    ("system-overview", "System Load"),
    ("system-overview", "Killed for Memory"),
    ("system-overview", "Process Starts (1 h)"),
    ("system-overview", "Alerts Lost"),
    ("trading-performance", "Open Positions"),
    ("trading-performance", "Trade Failures"),
    ("trading-performance", "Top Traded Pairs"),
    ("websocket-metrics", "Active Connections"),
    ("websocket-metrics", "Connected Clients"),
    ("websocket-metrics", "Disconnect Reasons"),
}
"""The panels whose numbers are of things, or how many times one is the other."""

OUTSIDE = {"Binance API", "Binance Status", "Certificates", "Killed for Memory"}
"""Panels that tell of addresses outside, or of the machine: no service's log belongs to them."""

COMPOSE = {
    path.name: yaml.safe_load(path.read_text(encoding="utf-8"))
    for path in (ROOT / "compose").glob("*.yml")
}
SERVICES = {name for document in COMPOSE.values() for name in document.get("services", ())}

INSTANT = {"stat", "gauge", "piechart", "table", "barchart"}


def panels(uid: str) -> list[Json]:
    return [panel for panel in DASHBOARDS[uid]["panels"] if panel["type"] != "row"]


def every_panel() -> Iterator[tuple[str, Json]]:
    return ((uid, panel) for uid in DASHBOARDS for panel in panels(uid))


def queries() -> Iterator[tuple[str, str]]:
    """Return where each PromQL expression stands, and the expression as the JSON has it."""
    for uid, panel in every_panel():
        if panel["type"] != "logs":
            for target in panel["targets"]:
                yield f"{uid}: {panel['title']} {target['refId']}", target["expr"]
    for uid, dashboard in DASHBOARDS.items():
        for annotation in dashboard["annotations"]["list"]:
            if "expr" in annotation:
                yield f"{uid}: annotation {annotation['name']}", annotation["expr"]


def expanded(expr: str) -> str:
    """Put Grafana's values at their defaults: an hour's range, every choice."""
    values = {"__rate_interval": "1m", "__interval": "5m", "__range": "1h", "__from": "1"}
    return re.sub(r"\$([a-z_]+)", lambda found: values.get(found[1], "..*"), expr)


def as_planned(expr: str) -> str:
    """Take from an expression what a dashboard adds to the plan's: the choice of a variable, and Grafana's interval."""
    without_choice = re.sub(r'\w+=~"\$\w+",?', "", expr).replace("{}", "")
    return without_choice.replace("$__rate_interval", "1m")


def rules(folder: str) -> list[Json]:
    files = (PROMETHEUS / folder).glob("*.yml")
    documents = [yaml.safe_load(path.read_text(encoding="utf-8")) for path in files]
    return [
        rule for document in documents for group in document["groups"] for rule in group["rules"]
    ]


@pytest.fixture(scope="session")
def recorded() -> set[str]:
    return {rule["record"] for rule in rules("recording-rules")}


@pytest.fixture(scope="session")
def alerts() -> dict[str, Json]:
    return {rule["alert"]: rule for rule in rules("alerts")}


def test_files_are_what_the_source_gives() -> None:
    assert stale() == []


def test_a_file_that_differs_is_missing_or_has_no_source_is_told(tmp_path: Path) -> None:
    write(tmp_path)
    assert stale(tmp_path) == []
    (tmp_path / "ai-analysis.json").write_text("{}\n", encoding="utf-8")
    (tmp_path / "trading-performance.json").unlink()
    (tmp_path / "extra.json").write_text("{}\n", encoding="utf-8")
    assert stale(tmp_path) == ["ai-analysis.json", "extra.json", "trading-performance.json"]
    write(tmp_path)
    assert stale(tmp_path) == []


def test_the_seven_dashboards_of_the_plan() -> None:
    assert list(PLAN) == list(TITLES)
    assert {uid: dashboard["title"] for uid, dashboard in DASHBOARDS.items()} == TITLES
    for uid, dashboard in DASHBOARDS.items():
        assert dashboard["uid"] == uid
        assert dashboard["time"] == {"from": "now-1h", "to": "now"}
        assert dashboard["refresh"] == "30s"
        assert dashboard["timezone"] == "browser"
        assert dashboard["tags"] == ["bot-core"]
        assert dashboard["editable"] is False
        assert dashboard["description"]


@pytest.mark.parametrize("uid", PLAN)
def test_every_planned_panel_with_its_kind_and_query(uid: str) -> None:
    found = {panel["title"]: panel for panel in panels(uid)}
    assert len(found) == len(panels(uid))
    for title, kind, plan_queries in PLAN[uid]:
        assert found[title]["type"] == kind, title
        shown = [as_planned(target["expr"]) for target in found[title]["targets"]]
        for query in plan_queries:
            assert any(query in expr for expr in shown), (title, query, shown)


@pytest.mark.parametrize("uid", PLAN)
def test_panels_fill_the_grid_and_do_not_overlap(uid: str) -> None:
    every = DASHBOARDS[uid]["panels"]
    ids = [panel["id"] for panel in every]
    assert ids == list(range(1, len(ids) + 1))
    cells: set[tuple[int, int]] = set()
    for panel in every:
        at = panel["gridPos"]
        assert at["x"] + at["w"] <= 24
        covered = set(
            itertools.product(range(at["x"], at["x"] + at["w"]), range(at["y"], at["y"] + at["h"]))
        )
        assert not cells & covered, panel["title"]
        cells |= covered
    height = max(y for _, y in cells) + 1
    assert len(cells) == 24 * height, "a gap between panels"


def test_every_panel_says_what_it_shows_why_it_matters_and_what_empty_means() -> None:
    for uid, panel in every_panel():
        where = (uid, panel["title"])
        shows, matters, empty = panel["description"].split("\n\n")
        assert len(shows) > 15, where
        assert re.fullmatch(r"Why it matters: .{20,}\.", matters), where
        assert re.fullmatch(r"When empty: .{10,}\.", empty), where
        assert all(reason in empty for reason in no_values(panel)), where


def no_values(panel: Json) -> set[str]:
    """Return the texts that a panel shows instead of a value."""
    config = panel.get("fieldConfig", {"defaults": {}, "overrides": []})
    properties = [one for override in config["overrides"] for one in override["properties"]]
    found = {one["value"] for one in properties if one["id"] == "noValue"}
    return found | ({config["defaults"]["noValue"]} if "noValue" in config["defaults"] else set())


def thresholds(panel: Json) -> set[float]:
    """The values at which a panel changes its colour, in its own settings and in those of single series."""
    settings = panel["fieldConfig"]
    given = [settings["defaults"].get("thresholds", {})] + [
        prop["value"]
        for override in settings.get("overrides", [])
        for prop in override["properties"]
        if prop["id"] == "thresholds"
    ]
    return {
        step["value"] for one in given for step in one.get("steps", []) if step["value"] is not None
    }


def test_a_share_that_matters_is_one_at_which_the_panel_changes_its_colour() -> None:
    stated = [
        (panel, float(value))
        for _, panel in every_panel()
        for value in re.findall(r"(?:Above|Below|Beyond) (\d+(?:\.\d+)?) %", panel["description"])
    ]
    assert len(stated) > 3
    for panel, limit in stated:
        assert limit in thresholds(panel), panel["title"]


def test_every_number_has_a_unit_and_a_threshold_of_its_own() -> None:
    for uid, panel in every_panel():
        if panel["type"] == "logs":
            continue
        defaults = panel["fieldConfig"]["defaults"]
        where = (uid, panel["title"])
        # A number without a unit is a state that has words, or a count; a table's columns have units of their own.
        unitless = {"none": bool(defaults.get("mappings")), "short": panel["type"] == "table"}
        is_count = where in COUNTS or panel["title"] == "Binance Status"
        known = defaults["unit"] in UNITS or re.fullmatch(r"suffix:[\w/ ]+", defaults["unit"])
        assert known or is_count or unitless[defaults["unit"]], where
        # Grafana's own default is red from 80 on.
        steps = defaults["thresholds"]["steps"]
        assert steps[0]["value"] is None, where
        values = [step["value"] for step in steps[1:]]
        assert values == sorted(values), where


LIMITS = {name: limit for name, limit in vars(limits).items() if isinstance(limit, limits.Limit)}

Turn = tuple[float, bool]
"""A value, and whether it is from there downwards that something turns."""

FORMS: list[tuple[float, float]] = [(1, 0), (0.01, 0), (-0.01, 1), (-0.01, 0)]
"""A panel's value v in its alert's terms, as factor * v + rest: as it is, as a share of percent, as the failures of
which the panel shows the successes, as the loss of which it shows the result."""


def turns(expr: str) -> set[Turn]:
    """Return where an alert begins to fire, and on which side. Whole numbers turn one further than what they exceed."""
    found: set[Turn] = set()
    for operator, written in re.findall(r"(>=|<=|==|>|<) (-?\d[\d. *]*)", expr):
        # A factor of an expression, such as 0.05 * y, ends in its operator.
        value = math.prod(float(factor) for factor in written.split("*") if factor.strip())
        found.add((value, operator in {"<", "<=", "=="}))
        if (operator, value) == (">", 0):
            found.add((1, False))
        if operator == "==":
            # A state or a count that is this and no other: of a panel, from the next one down, or from this one up.
            found |= {(value + 1, True), (value, False)}
    return found


def turn(form: tuple[float, float], value: float, below: bool) -> Turn:
    factor, rest = form
    return round(factor * value + rest, 6), below != (factor < 0)


@pytest.mark.parametrize("name", [name for name, limit in LIMITS.items() if limit.alerts])
def test_a_panel_turns_where_its_alerts_fire(name: str, alerts: dict[str, Json]) -> None:
    assert_turns(LIMITS[name], alerts)


def assert_turns(limit: limits.Limit, alerts: dict[str, Json]) -> None:
    for alert in limit.alerts:
        critical = alerts[alert]["labels"]["severity"] == "critical"
        value = limit.critical if critical else limit.warning
        assert value is not None, alert
        wanted = turns(alerts[alert]["expr"])
        assert {turn(form, value, limit.below) for form in FORMS} & wanted, (alert, wanted)
        assert limit.either_way == ("abs(" in alerts[alert]["expr"]), alert


@pytest.mark.parametrize(
    ("limit", "expr", "severity"),
    [
        pytest.param(limits.Limit(80, 95), "x > 0.95", "warning", id="severity"),
        pytest.param(limits.Limit(95, 80), "x > 0.95", "critical", id="the other's value"),
        pytest.param(limits.Limit(critical=95, below=True), "x > 0.95", "critical", id="side"),
        pytest.param(limits.Limit(critical=90), "x > 0.1", "critical", id="side of failures"),
        pytest.param(limits.Limit(critical=5), "x > 0.06", "critical", id="value"),
        pytest.param(limits.Limit(critical=10), "abs(x) > 10", "critical", id="one way alone"),
        pytest.param(limits.Limit(critical=1), "x == 0", "critical", id="up for down"),
    ],
)
def test_a_limit_that_is_not_its_alerts_is_found(
    limit: limits.Limit, expr: str, severity: str
) -> None:
    rule = {"expr": expr, "labels": {"severity": severity}}
    with pytest.raises(AssertionError):
        assert_turns(replace(limit, alerts=("X",)), {"X": rule})


def test_limits_put_the_colors_in_order() -> None:
    rising = limits.Limit(80, 95).thresholds().build().steps
    falling = limits.Limit(100, 50, below=True).thresholds().build().steps
    assert [(step.value, step.color) for step in rising] == [
        (None, GOOD),
        (80, WARN),
        (95, BAD),
    ]
    assert [(step.value, step.color) for step in falling] == [
        (None, BAD),
        (50, WARN),
        (100, GOOD),
    ]
    either = limits.Limit(5, 10, either_way=True).thresholds().build().steps
    assert [(step.value, step.color) for step in either] == [
        (None, BAD),
        (-10, WARN),
        (-5, GOOD),
        (5, WARN),
        (10, BAD),
    ]


def test_alerts_name_dashboards_that_there_are(alerts: dict[str, Json]) -> None:
    named = {alert: rule["annotations"]["dashboard"] for alert, rule in alerts.items()}
    assert {path.removeprefix("/d/") for path in named.values()} <= DASHBOARDS.keys()


def underneath(exprs: Iterable[str]) -> set[str]:
    """Return the series that expressions read, with all that recording rules make them of."""
    records = {rule["record"]: rule["expr"] for rule in rules("recording-rules")}
    found: set[str] = set()
    todo = [*exprs]
    while todo:
        names = metric_names(todo.pop()) - found
        found |= names
        todo += [records[name] for name in names & records.keys()]
    return found


def test_an_alerts_dashboard_has_a_panel_on_what_it_measures(alerts: dict[str, Json]) -> None:
    shown = {
        uid: underneath(
            target["expr"]
            for panel in panels(uid)
            if panel["type"] != "logs"
            for target in panel["targets"]
        )
        for uid in DASHBOARDS
    }
    without = {
        alert
        for alert, rule in alerts.items()
        # The plan's seven dashboards are of bot-core, not of the monitoring's own counters: the runbook has those.
        if rule["labels"]["component"] != "pipeline"
        and not underneath([rule["expr"]])
        & shown[rule["annotations"]["dashboard"].removeprefix("/d/")]
    }
    assert without == set()


def test_the_dashboard_of_an_alert_on_log_lines_shows_that_log() -> None:
    path = ROOT / "infrastructure" / "monitoring" / "loki" / "rules" / "fake" / "logs.yml"
    (group,) = yaml.safe_load(path.read_text(encoding="utf-8"))["groups"]
    assert group["rules"]
    for rule in group["rules"]:
        shown = [
            panel["targets"][0]["expr"].partition(" | ")[0]
            for panel in panels(rule["annotations"]["dashboard"].removeprefix("/d/"))
            if panel["type"] == "logs"
        ]
        selector = re.search(r'\{job="[^"]*"\}', rule["expr"])
        assert selector[0] in shown if selector else shown, rule["alert"]


def test_queries_name_their_source_and_mode() -> None:
    for uid, panel in every_panel():
        where = (uid, panel["title"])
        kind = "loki" if panel["type"] == "logs" else "prometheus"
        source = {"type": kind, "uid": kind}
        assert panel["datasource"] == source, where
        refs = [target["refId"] for target in panel["targets"]]
        assert refs == list("ABCDEFGHIJ"[: len(refs)]), where
        for target in panel["targets"]:
            assert target["datasource"] == source, where
            if kind == "prometheus":
                assert target["instant"] is (panel["type"] in INSTANT), where
                assert target["range"] is (panel["type"] not in INSTANT), where
            if panel["type"] in {"timeseries", "stat", "gauge", "piechart", "histogram"}:
                assert target["legendFormat"], where


def test_only_queries_without_fault_may_be_empty() -> None:
    told = {
        (uid, panel.title, target.ref_id)
        for uid in DASHBOARDS
        for panel in Dashboard.model_validate(DASHBOARDS[uid]).panels
        for target in panel.targets
        if panel.if_empty(target.ref_id)
    }
    assert told == EMPTY_AT_REST


@pytest.mark.docker
def test_prometheus_can_read_every_query(tmp_path: Path) -> None:
    exprs = [expanded(expr) for _, expr in queries()]
    assert not [expr for expr in exprs if re.search(r"\$[^1]", expr)]
    checked = check_expressions(exprs, tmp_path)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert f"{len(exprs)} rules found" in checked.stdout


@pytest.mark.docker
def test_a_query_that_prometheus_cannot_read_is_found(tmp_path: Path) -> None:
    checked = check_expressions(["up", "sum by (job (up)"], tmp_path)
    assert checked.returncode == 1
    assert "could not parse expression" in checked.stdout + checked.stderr


def test_metric_names_are_found() -> None:
    expr = 'topk(10, sum by (a, b) (rate(x_total{l=~"y.*"}[$__rate_interval]))) / on (c) p:q:r offset 5m * 2e3 or up'
    assert metric_names(expr) == {"x_total", "p:q:r", "up"}


def test_every_metric_is_of_the_contract_an_exporter_or_a_recording_rule(
    recorded: set[str],
) -> None:
    unknown = {
        (where, name)
        for where, expr in queries()
        for name in metric_names(expanded(expr))
        if name not in SERIES.keys() | EXPORTED | recorded
    }
    assert unknown == set()


def test_queries_of_the_contract_use_labels_that_its_metrics_have() -> None:
    checked = 0
    for where, expr in queries():
        names = metric_names(expr)
        if names and names <= SERIES.keys():
            known = frozenset().union(*(SERIES[name] for name in names))
            grouped = re.findall(r"\bby \(([^)]*)\)", expr)
            matched = re.findall(r'(\w+)(?:=~|!~|!=|=)"', expr)
            used = {label.strip() for labels in grouped for label in labels.split(",")} | set(
                matched
            )
            assert used <= known, where
            checked += 1
    assert checked > 20


def test_variables_start_at_all_and_are_used() -> None:
    names = {
        uid: [v["name"] for v in board["templating"].get("list", [])]
        for uid, board in DASHBOARDS.items()
    }
    assert names["system-overview"] == ["instance"]
    assert names["api-performance"] == ["job"]
    for uid, dashboard in DASHBOARDS.items():
        text = json.dumps(dashboard["panels"])
        for variable in dashboard["templating"].get("list", []):
            assert f"${variable['name']}" in text, uid
            assert variable["datasource"]["uid"] == "prometheus"
            assert variable["current"]["value"] == ["$__all"]
            found = re.fullmatch(r"label_values\((\w+), (\w+)\)", variable["query"]["query"])
            assert found is not None
            assert found[2] == variable["name"]
            assert found[1] in SERIES.keys() | EXPORTED
        used = set(re.findall(r"\$([a-z]\w*)", text)) | set(re.findall(r"\$\{([a-z]\w*)", text))
        assert used <= {*names[uid], "1"}, uid


def test_a_drop_down_leads_to_all_dashboards_with_time_and_variables() -> None:
    tagged = {uid for uid, dashboard in DASHBOARDS.items() if "bot-core" in dashboard["tags"]}
    assert tagged == set(TITLES)
    for dashboard in DASHBOARDS.values():
        drop_down, logs = dashboard["links"]
        assert drop_down["type"] == "dashboards"
        assert drop_down["tags"] == ["bot-core"]
        assert drop_down["asDropdown"] is True
        assert drop_down["keepTime"] is True
        assert drop_down["includeVars"] is True
        assert logs["title"] == "Logs"


def links_of(panel: Json) -> Iterator[Json]:
    """Yield the links of a panel, of its series and of its cells."""
    yield from panel.get("links", [])
    config = panel.get("fieldConfig", {"defaults": {}, "overrides": []})
    yield from config["defaults"].get("links", [])
    for override in config["overrides"]:
        for setting in override["properties"]:
            if setting["id"] == "links":
                yield from setting["value"]


def test_every_link_leads_to_what_exists() -> None:
    kinds = {"/explore": assert_opens_logs, "/d": assert_opens_a_dashboard}
    opened = set()
    for uid, dashboard in DASHBOARDS.items():
        links = [link for link in dashboard["links"] if link["type"] == "link"]
        for link in [*links, *(link for panel in panels(uid) for link in links_of(panel))]:
            path = urlsplit(link["url"]).path
            if path == "/alerting/Prometheus/${__value.raw}/find":
                continue
            kind = path if path in kinds else path.rpartition("/")[0]
            kinds[kind](link["url"])
            opened.add(kind)
    assert opened == kinds.keys()


def assert_opens_logs(url: str) -> None:
    address = urlsplit(url)
    assert parse_qs(address.query)["schemaVersion"] == ["1"]
    (pane,) = json.loads(parse_qs(address.query)["panes"][0]).values()
    assert pane["datasource"] == "loki"
    assert pane["range"] == {"from": "${__from}", "to": "${__to}"}
    (query,) = pane["queries"]
    assert query["datasource"] == {"type": "loki", "uid": "loki"}
    assert_picks_services(query["expr"])


def assert_opens_a_dashboard(url: str) -> None:
    address = urlsplit(url)
    uid = address.path.removeprefix("/d/")
    assert uid in DASHBOARDS
    context, *rest = address.query.split("&")
    assert context == "${__url_time_range}"
    known = {f"var-{one['name']}" for one in DASHBOARDS[uid]["templating"].get("list", [])}
    assert rest == ["${__all_variables}"] or {one.partition("=")[0] for one in rest} <= known


def test_an_alerts_link_goes_by_the_name_of_the_data_source() -> None:
    tables = [panel for _, panel in every_panel() if panel["title"] == "Active Alerts"]
    assert len(tables) == len(DASHBOARDS)
    for panel in tables:
        urls = [link["url"] for link in links_of(panel) if "/alerting/" in link["url"]]
        assert urls == ["/alerting/Prometheus/${__value.raw}/find"]


SILENT = {"loki", "promtail", "alloy", "blackbox-exporter", "docker-socket-proxy"}
"""Services that log nothing while they work."""


def test_a_link_to_a_log_is_only_where_the_service_writes_one() -> None:
    shipped = {name for name in SERVICES if name not in {"notification-sink", "mongodb-init"}}
    assert set(LOGGED) == shipped - SILENT
    checked = 0
    for uid, panel in every_panel():
        defaults = panel.get("fieldConfig", {}).get("defaults", {})
        logs = [link for link in defaults.get("links", []) if "/explore" in link["url"]]
        legends = [target.get("legendFormat", "") for target in panel["targets"]]
        by_service = [one for one in legends if "{{service}}" in one or "{{job}}" in one]
        assert not (logs and by_service), (uid, panel["title"])
        for override in panel.get("fieldConfig", {}).get("overrides", []):
            if override["matcher"]["id"] != "byRegexp":
                continue
            if not any("/explore" in link["url"] for link in override_links(override)):
                continue
            pattern = re.compile(override["matcher"]["options"].strip("/"))
            for legend in by_service:
                named = {
                    service
                    for service in SERVICES
                    if pattern.search(re.sub(r"\{\{(service|job)\}\}", service, legend))
                }
                assert not named & SILENT, (uid, panel["title"])
                checked += 1
    assert checked > 10


def override_links(override: Json) -> list[Json]:
    return [
        link
        for setting in override["properties"]
        if setting["id"] == "links"
        for link in setting["value"]
    ]


def keeps_service(expr: str) -> bool:
    """Return whether an expression's series still say which service they are of."""
    grouped = re.findall(r"\b(?:sum|max|min|avg|count|topk|bottomk)\b(?: by \(([^)]*)\))?", expr)
    return all("service" in labels.split(", ") for labels in grouped) and "vector(" not in expr


def test_a_number_of_one_service_leads_to_that_services_log() -> None:
    checked = 0
    for uid, panel in every_panel():
        if panel["type"] != "stat" or panel["title"] in OUTSIDE:
            continue
        of_service = [link for link in links_of(panel) if "__field.labels.service" in link["url"]]
        exprs = [target["expr"] for target in panel["targets"]]
        assert bool(of_service) == all(map(keeps_service, exprs)), (uid, panel["title"])
        checked += bool(of_service)
    assert checked > 10


def test_log_panels_pick_services_and_name_them_on_every_line() -> None:
    queries = [panel["targets"][0]["expr"] for _, panel in every_panel() if panel["type"] == "logs"]
    assert queries
    for query in queries:
        selector, _, stages = query.partition(" | ")
        assert_picks_services(selector)
        assert stages == (
            "json | drop __error__, __error_details__ | "
            'line_format "{{.job}} {{.level}} {{or .message .fields_message .msg __line__}}"'
        )


def assert_picks_services(selector: str) -> None:
    assert re.fullmatch(r'\{job=~?"[^"]+"(,job=~"[^"]+")?\}', selector), selector
    for named in re.findall(r'"([^"]+)"', selector):
        if "$" not in named:
            assert set(named.split("|")) <= SERVICES


def test_a_variable_of_all_jobs_picks_applications_alone() -> None:
    # Its "All" matches every job, of which only the applications answer requests.
    for panel in panels("api-performance"):
        for target in panel["targets"]:
            if target["expr"].startswith(("up", "{")):
                assert f'job=~"{APPLICATIONS}",job=~"$job"' in target["expr"], panel["title"]


def test_annotations_are_critical_alerts_deployments_and_starts_as_thin_lines() -> None:
    for uid, dashboard in DASHBOARDS.items():
        drawn = {annotation["name"]: annotation for annotation in dashboard["annotations"]["list"]}
        assert list(drawn) == ["Critical alerts", "Deployments", "Starts"], uid
        alerts = drawn["Critical alerts"]["expr"]
        assert 'alertstate="firing",severity="critical"' in alerts
        # A series as an annotation is a region for as long as it exists; a value that is a time is a line.
        for annotation in drawn.values():
            assert "expr" not in annotation or annotation["useValueForTime"] is True, uid
            assert "expr" not in annotation or "* 1000" in annotation["expr"], uid
            # What was before the range would be drawn at its left edge.
            assert "expr" not in annotation or annotation["expr"].endswith(") >= $__from"), uid
        assert drawn["Deployments"]["target"]["tags"] == ["deployment"]
        services = re.search(r'service=~"([^"]+)"', alerts)
        assert services is not None
        assert services[1] == "..*" or set(services[1].split("|")) <= SERVICES, uid


def test_data_sources_are_those_that_the_dashboards_name() -> None:
    provisioned = yaml.safe_load(
        (GRAFANA / "provisioning/datasources/datasources.yml").read_text(encoding="utf-8")
    )
    sources = {source["uid"]: source for source in provisioned["datasources"]}
    assert [source["name"] for source in sources.values()] == ["Prometheus", "Loki", "Alertmanager"]
    assert [uid for uid, source in sources.items() if source.get("isDefault")] == ["prometheus"]
    for uid, source in sources.items():
        assert source["type"] == uid
        assert source["editable"] is False
        assert urlsplit(source["url"]).hostname in SERVICES
    assert sources["prometheus"]["jsonData"]["alertmanagerUid"] in sources
    scrape = yaml.safe_load((PROMETHEUS / "prometheus.yml").read_text(encoding="utf-8"))
    assert sources["prometheus"]["jsonData"]["timeInterval"] == scrape["global"]["scrape_interval"]
    named = set(
        re.findall(
            r'"uid": "([a-z]+)"', "".join(json.dumps(board) for board in DASHBOARDS.values())
        )
    )
    assert named <= sources.keys()


def grafanas_folders() -> dict[str, str]:
    """Return what Grafana has read-only of the rendered folders: where it finds them → what they are."""
    mounts = COMPOSE["docker-compose.yml"]["services"]["grafana"]["volumes"]
    return {
        mount["target"]: mount["source"]
        for mount in mounts
        if isinstance(mount, dict) and mount["read_only"]
    }


def test_dashboards_are_read_from_the_folder_that_compose_mounts() -> None:
    provisioned = yaml.safe_load(
        (GRAFANA / "provisioning/dashboards/dashboards.yml").read_text(encoding="utf-8")
    )
    (provider,) = provisioned["providers"]
    mounts = grafanas_folders()
    assert mounts[provider["options"]["path"]].endswith("/grafana/dashboards")
    assert mounts["/etc/grafana/provisioning"].endswith("/grafana/provisioning")
    assert provider["folder"] == "bot-core"
    assert provider["allowUiUpdates"] is False
    assert provider["disableDeletion"] is True
    assert provider["updateIntervalSeconds"] == 10


QUIET = {
    "GF_ANALYTICS_REPORTING_ENABLED": "false",
    "GF_ANALYTICS_CHECK_FOR_UPDATES": "false",
    "GF_ANALYTICS_CHECK_FOR_PLUGIN_UPDATES": "false",
    "GF_NEWS_NEWS_FEED_ENABLED": "false",
    "GF_PLUGINS_PLUGIN_ADMIN_ENABLED": "false",
    "GF_PLUGINS_PUBLIC_KEY_RETRIEVAL_DISABLED": "true",
    "GF_SECURITY_DISABLE_GRAVATAR": "true",
    "GF_SNAPSHOTS_EXTERNAL_ENABLED": "false",
}
"""What Grafana 10.2 would ask of or send to others (its conf/defaults.ini), turned off."""


def test_grafana_asks_nobody_outside_and_lets_nobody_in_without_a_login() -> None:
    environment = COMPOSE["docker-compose.yml"]["services"]["grafana"]["environment"]
    assert {name: environment.get(name) for name in QUIET} == QUIET
    assert environment["GF_AUTH_ANONYMOUS_ENABLED"] == "false"
    assert environment["GF_USERS_ALLOW_SIGN_UP"] == "false"
    assert "GF_INSTALL_PLUGINS" not in environment


def test_home_is_system_overview() -> None:
    grafana = COMPOSE["docker-compose.yml"]["services"]["grafana"]
    home = Path(grafana["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"])
    assert grafanas_folders()[str(home.parent)] == "${STACKCTL_CONFIG}/grafana/dashboards"
    assert home.stem == "system-overview"
    assert (FOLDER / home.name).is_file()


# What Grafana 9 and 10 read at their start (pkg/services/provisioning); our mount hides the image's own empty folders.
READ_AT_START = {"dashboards", "datasources", "plugins", "notifiers", "alerting"}


def test_every_provisioning_folder_that_grafana_reads_exists() -> None:
    found = {path.parent.name: path for path in (GRAFANA / "provisioning").glob("*/*.yml")}
    assert found.keys() == READ_AT_START
    for path in found.values():
        assert yaml.safe_load(path.read_text(encoding="utf-8"))["apiVersion"] == 1
