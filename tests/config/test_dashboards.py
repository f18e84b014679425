"""The dashboards: what the plan lists is there, every query is one that Prometheus can answer, every link leads on."""

from __future__ import annotations

import itertools
import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import yaml

from dashboards import limits
from dashboards.__main__ import FOLDER, stale, write
from dashboards.links import TITLES
from tests.support.tools import tool

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
        ("New Registrations", "timeseries", ["business:user_registrations:1h"]),
        ("Trading Volume (24h)", "stat", ["business:trading_volume:24h"]),
        ("Revenue (24h)", "stat", []),
        ("Portfolio Value Growth", "stat", ["business:portfolio_value_growth:24h"]),
        ("User Engagement", "timeseries", []),
        ("Top Strategies", "table", []),
        ("Platform Fees", "timeseries", []),
    ],
}

# bot-core's metric contract: what its applications expose, each with its own labels.
CONTRACT_TABLE = """
http_requests_total: method endpoint status
http_request_duration_seconds histogram: method endpoint
trades_total: symbol side
trades_success_total: symbol side
trades_failed_total: symbol side
trade_execution_duration_seconds histogram:
trade_volume_total: symbol
trading_enabled:
trading_balance_usdt:
portfolio_value_usd:
profit_loss_daily:
profit_loss_total:
position_size_btc: symbol
max_drawdown_ratio:
sharpe_ratio:
websocket_connections_active:
websocket_messages_total: client
websocket_messages_sent_total: client
websocket_messages_received_total: client
websocket_errors_total:
websocket_disconnects_total: reason
websocket_message_duration_seconds histogram:
websocket_connection_duration_seconds histogram:
db_query_duration_seconds histogram: collection operation
db_pool_connections: state
users_active_total:
user_registrations_total:
user_logins_total:
user_sessions_total:
strategy_trades_total: strategy
platform_fees_total:
ai_analysis_total:
ai_analysis_duration_seconds histogram:
ai_model_confidence: model
ai_confidence_score histogram:
ai_predictions_total: signal
ai_prediction_accuracy:
openai_requests_total:
openai_errors_total:
openai_rate_limit_errors_total:
model_load_failures_total: model
model_load_duration_seconds: model
ai_models_active: model version
"""


def contract() -> dict[str, set[str]]:
    """Give every series name of the contract with its labels, those of scraping and of buckets included."""
    names: dict[str, set[str]] = {}
    for line in CONTRACT_TABLE.strip().splitlines():
        head, _, labels = line.partition(":")
        name, *kind = head.split()
        suffixes = ["_bucket", "_sum", "_count"] if kind else [""]
        for suffix in suffixes:
            extra = {"le"} if suffix == "_bucket" else set()
            names[name + suffix] = {*labels.split(), "job", "instance", "service"} | extra
    return names


CONTRACT = contract()
EXPORTED = re.compile(
    r"(node|container|machine|mongodb|redis|rabbitmq|kong|probe|process)_\w+|up|ALERTS(_FOR_STATE)?"
)
EMPTY_AT_REST = {("system-overview", "Active Alerts"), ("database-performance", "Replication Lag")}
"""Panels that may have nothing to show, and say so."""

COMPOSE = {
    path.name: yaml.safe_load(path.read_text(encoding="utf-8"))
    for path in (ROOT / "compose").glob("*.yml")
}
SERVICES = {name for document in COMPOSE.values() for name in document["services"]}

INSTANT = {"stat", "gauge", "piechart", "table", "barchart"}


def panels(uid: str) -> list[Json]:
    return [panel for panel in DASHBOARDS[uid]["panels"] if panel["type"] != "row"]


def every_panel() -> Iterator[tuple[str, Json]]:
    return ((uid, panel) for uid in DASHBOARDS for panel in panels(uid))


def queries() -> Iterator[tuple[str, str]]:
    """Give where each PromQL expression stands, and the expression as the JSON has it."""
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
    values = {"__rate_interval": "1m", "__range": "1h"}
    return re.sub(r"\$([a-z_]+)", lambda found: values.get(found[1], "..*"), expr)


def as_planned(expr: str) -> str:
    """Take from an expression what a dashboard adds to the plan's: the choice of a variable, and Grafana's interval."""
    without_choice = re.sub(r'\w+=~"\$\w+",?', "", expr).replace("{}", "")
    return without_choice.replace("$__rate_interval", "1m")


def metric_names(expr: str) -> set[str]:
    """Give the names of the metrics in a PromQL expression: identifiers that are neither label, function nor word."""
    text = re.sub(r'"(?:[^"\\]|\\.)*"', "", expr)
    text = re.sub(r"\{[^}]*\}|\[[^\]]*\]", " ", text)
    text = re.sub(r"\b(by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)", " ", text)
    names = re.findall(r"(?<![\w:.])[a-zA-Z_:][\w:]*(?!\w)(?!\s*\()", text)
    words = {"and", "or", "unless", "bool", "offset", "by", "without", "on", "ignoring"}
    return set(names) - words


def check_rules(text: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Let promtool check a rule file."""
    (folder / "rules.yml").write_text(text, encoding="utf-8")
    return tool("promtool", "check", "rules", "rules.yml", folder=folder)


def rule_file(exprs: list[str]) -> str:
    """Give a rule file with one recording rule an expression, on lines that promtool's messages name."""
    recorded = [
        {"record": f"dashboards:query:{number}", "expr": expr} for number, expr in enumerate(exprs)
    ]
    return yaml.safe_dump({"groups": [{"name": "dashboards", "rules": recorded}]}, width=10_000)


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
def test_every_planned_panel_in_the_plans_order_with_its_kind_and_query(uid: str) -> None:
    planned = [title for title, _, _ in PLAN[uid]]
    found = {panel["title"]: panel for panel in panels(uid)}
    assert [title for title in found if title in planned] == planned
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


def test_every_panel_says_what_it_shows_and_when_to_worry() -> None:
    for uid, panel in every_panel():
        assert len(panel["description"]) > 40, (uid, panel["title"])
        assert "orry" in panel["description"], (uid, panel["title"])


def test_every_number_has_a_unit_and_a_threshold_of_its_own() -> None:
    for uid, panel in every_panel():
        if panel["type"] == "logs":
            continue
        defaults = panel["fieldConfig"]["defaults"]
        where = (uid, panel["title"])
        assert defaults["unit"], where
        # Grafana's own default is red from 80 on.
        steps = defaults["thresholds"]["steps"]
        assert steps[0]["value"] is None, where
        values = [step["value"] for step in steps[1:]]
        assert values == sorted(values), where


LIMITS = {name: limit for name, limit in vars(limits).items() if isinstance(limit, limits.Limit)}


@pytest.mark.parametrize("name", [name for name, limit in LIMITS.items() if limit.alerts])
def test_a_panel_turns_where_its_alerts_fire(name: str, alerts: dict[str, Json]) -> None:
    limit = LIMITS[name]
    values = [value for value in (limit.warning, limit.critical) if value is not None]
    # Alerts take shares where panels show percent, failures where they show successes, losses where results.
    equal = {round(form, 6) for v in values for form in (v, v / 100, 1 - v, 1 - v / 100, -v / 100)}
    for alert in limit.alerts:
        compared = re.findall(r"(?:>|<|==|>=|<=) (\d+(?:\.\d+)?)", alerts[alert]["expr"])
        assert equal & {float(number) for number in compared}, alert


def test_limits_put_the_colours_in_order() -> None:
    rising = limits.Limit(80, 95).thresholds().build().steps
    falling = limits.Limit(100, 50, below=True).thresholds().build().steps
    assert [(step.value, step.color) for step in rising] == [
        (None, "green"),
        (80, "yellow"),
        (95, "red"),
    ]
    assert [(step.value, step.color) for step in falling] == [
        (None, "red"),
        (50, "yellow"),
        (100, "green"),
    ]


def test_alerts_name_dashboards_that_there_are(alerts: dict[str, Json]) -> None:
    named = {alert: rule["annotations"]["dashboard"] for alert, rule in alerts.items()}
    assert {path.removeprefix("/d/") for path in named.values()} <= DASHBOARDS.keys()


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


def test_only_panels_without_fault_may_be_empty() -> None:
    told = {
        (uid, panel["title"])
        for uid, panel in every_panel()
        if "noValue" in panel.get("fieldConfig", {}).get("defaults", {})
    }
    assert told == EMPTY_AT_REST


@pytest.mark.docker
def test_prometheus_can_read_every_query(tmp_path: Path) -> None:
    exprs = [expanded(expr) for _, expr in queries()]
    assert not [expr for expr in exprs if re.search(r"\$[^1]", expr)]
    checked = check_rules(rule_file(exprs), tmp_path)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert f"{len(exprs)} rules found" in checked.stdout


@pytest.mark.docker
def test_a_query_that_prometheus_cannot_read_is_found(tmp_path: Path) -> None:
    checked = check_rules(rule_file(["up", "sum by (job (up)"]), tmp_path)
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
        for name in metric_names(expr)
        if name not in CONTRACT.keys() | recorded and not EXPORTED.fullmatch(name)
    }
    assert unknown == set()


def test_queries_of_the_contract_use_labels_that_its_metrics_have() -> None:
    checked = 0
    for where, expr in queries():
        names = metric_names(expr)
        if names and names <= CONTRACT.keys():
            known = set.union(*(CONTRACT[name] for name in names))
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
            assert found[1] in CONTRACT or EXPORTED.fullmatch(found[1])
        used = set(re.findall(r"\$([a-z]\w*)", text)) | set(re.findall(r"\$\{([a-z]\w*)", text))
        assert used <= {*names[uid], "1"}, uid


def test_links_lead_to_the_other_six() -> None:
    for uid, dashboard in DASHBOARDS.items():
        others = [
            link["url"].removeprefix("/d/")
            for link in dashboard["links"]
            if link["title"] != "Logs"
        ]
        assert others == [other for other in TITLES if other != uid]
        assert all(link["keepTime"] for link in dashboard["links"] if link["title"] != "Logs")


def test_log_links_lead_to_logs_of_services_in_loki() -> None:
    links = [
        link for board in DASHBOARDS.values() for link in board["links"] if link["title"] == "Logs"
    ]
    assert len(links) == len(DASHBOARDS)
    of_series = [
        link
        for _, panel in every_panel()
        for link in panel.get("fieldConfig", {}).get("defaults", {}).get("links", [])
    ]
    of_cells = [
        link
        for _, panel in every_panel()
        for override in panel.get("fieldConfig", {}).get("overrides", [])
        for setting in override["properties"]
        if setting["id"] == "links"
        for link in setting["value"]
    ]
    assert of_series
    assert of_cells
    for link in [*links, *of_series, *of_cells]:
        address = urlsplit(link["url"])
        assert address.path == "/explore"
        assert parse_qs(address.query)["schemaVersion"] == ["1"]
        (pane,) = json.loads(parse_qs(address.query)["panes"][0]).values()
        assert pane["datasource"] == "loki"
        assert pane["range"] == {"from": "${__from}", "to": "${__to}"}
        (query,) = pane["queries"]
        assert query["datasource"] == {"type": "loki", "uid": "loki"}
        assert_picks_services(query["expr"])


def test_log_panels_pick_services() -> None:
    selectors = [
        panel["targets"][0]["expr"] for _, panel in every_panel() if panel["type"] == "logs"
    ]
    assert selectors
    for selector in selectors:
        assert_picks_services(selector)


def assert_picks_services(selector: str) -> None:
    found = re.fullmatch(r'\{job=~?"([^"]+)"\}', selector)
    assert found is not None, selector
    if "$" not in found[1]:
        assert set(found[1].split("|")) <= SERVICES


def test_alerts_deployments_and_starts_are_drawn_over_every_graph() -> None:
    for uid, dashboard in DASHBOARDS.items():
        drawn = {annotation["name"]: annotation for annotation in dashboard["annotations"]["list"]}
        assert list(drawn) == ["Alerts", "Deployments", "Starts"], uid
        assert 'alertstate="firing"' in drawn["Alerts"]["expr"]
        assert drawn["Deployments"]["target"]["tags"] == ["deployment"]
        assert drawn["Starts"]["useValueForTime"] is True
        services = re.search(r'service=~"([^"]+)"', drawn["Alerts"]["expr"])
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


def test_dashboards_are_read_from_the_folder_that_compose_mounts() -> None:
    provisioned = yaml.safe_load(
        (GRAFANA / "provisioning/dashboards/dashboards.yml").read_text(encoding="utf-8")
    )
    (provider,) = provisioned["providers"]
    mounts = dict(
        reversed(volume.removesuffix(":ro").rsplit(":", 1))
        for volume in COMPOSE["docker-compose.yml"]["services"]["grafana"]["volumes"]
    )
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
