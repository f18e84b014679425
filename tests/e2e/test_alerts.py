"""Alerts against the running demo: every series is there, no rule fails, and what is provoked fires and ends."""

from __future__ import annotations

import datetime as dt
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from stackctl.render.promql import metric_names
from tests.e2e.conftest import PROJECT, Stack, docker
from tests.support.http import wait_until

# Its reaper is an image of a registry; the container below is stopped by its context manager.
os.environ["TESTCONTAINERS_RYUK_DISABLED"] = "true"

from testcontainers.core.container import DockerContainer

pytestmark = pytest.mark.docker

MONITORING = Path("infrastructure/monitoring")

ABSENT = {
    "mongodb_rs_members_health": "the demo's MongoDB is in no replica set",
    "mongodb_mongod_replset_member_replication_lag": "the demo's MongoDB is in no replica set",
    "loki_discarded_samples_total": "Loki has discarded no line",
    "probe_ssl_earliest_cert_expiry": "no probe of the demo goes over TLS",
    "node_timex_offset_seconds": "some virtual machines let no container read the clock's state",
    "loki_source_docker_target_entries_total": "Alloy is the current releases' collector",
    "loki_write_dropped_entries_total": "Alloy is the current releases' collector",
    "loki_write_sent_entries_total": "Alloy is the current releases' collector",
} | dict.fromkeys(
    (
        "ai:analysis_duration_seconds:p95_at_least",
        "gateway:kong_latency_seconds:p95_at_least",
        "service:http_request_duration_seconds:p95_at_least",
        "service:http_request_duration_seconds:p99_at_least",
        "trading:trade_duration_seconds:p95_at_least",
        "websocket:message_duration_seconds:p95_at_least",
    ),
    "the demo's quantiles are below the largest bucket",
)
"""Series that rules or dashboards read and the demo need not have, and why."""


def expressions() -> Iterator[str]:
    for folder in ("alerts", "recording-rules"):
        for path in sorted((MONITORING / "prometheus" / folder).glob("*.yml")):
            for group in yaml.safe_load(path.read_text(encoding="utf-8"))["groups"]:
                yield from (rule["expr"] for rule in group["rules"])
    for path in sorted((MONITORING / "grafana" / "dashboards").glob("*.json")):
        yield from panel_queries(json.loads(path.read_text(encoding="utf-8")))


def panel_queries(node: Any) -> Iterator[str]:
    """Yield every PromQL expression in a dashboard's JSON; for a variable, the series that has its values."""
    if isinstance(node, dict):
        query = node.get("query")
        text = query.get("query", "") if isinstance(query, dict) else ""
        if values := re.fullmatch(r"label_values\((.+), \w+\)", text):
            yield values[1]
        source = node.get("datasource")
        kind = source.get("type") if isinstance(source, dict) else None
        if isinstance(node.get("expr"), str) and kind == "prometheus":
            yield re.sub(r"\$\w+|\$\{\w+\}", "1m", node["expr"])
        for value in node.values():
            yield from panel_queries(value)
    elif isinstance(node, list):
        for value in node:
            yield from panel_queries(value)


def test_every_series_of_rules_and_dashboards_is_there(stack: Stack) -> None:
    names = set().union(*(metric_names(expr) for expr in expressions()))
    url = f"{stack.settings.url('prometheus')}/api/v1/label/__name__/values"
    missing: set[str] = set()

    def complete() -> bool:
        missing.clear()
        missing.update(names - {"ALERTS"} - set(httpx.get(url).json()["data"]))
        return missing <= set(ABSENT)

    # A record of records of records takes as many evaluations, the slowest every two minutes.
    assert wait_until(complete, 360), sorted(missing - set(ABSENT))
    assert names >= set(ABSENT)


def test_every_probe_of_an_address_succeeds(stack: Stack) -> None:
    config = yaml.safe_load((MONITORING / "prometheus" / "prometheus.yml").read_text())
    expected = {
        (job["job_name"], target): 1.0
        for job in config["scrape_configs"]
        if job["job_name"] in {"blackbox-http", "blackbox-websocket"}
        for static in job["static_configs"]
        for target in static["targets"]
    }
    assert len(expected) == 4
    found: dict[tuple[str, str], float] = {}

    def succeeded() -> bool:
        answer = httpx.get(
            f"{stack.settings.url('prometheus')}/api/v1/query", params={"query": "probe_success"}
        ).json()
        found.clear()
        for one in answer["data"]["result"]:
            labels = one["metric"]
            found[labels["job"], labels["instance"]] = float(one["value"][1])
        return found == expected

    assert wait_until(succeeded, 60), found


def test_a_line_carries_the_image_that_wrote_it(stack: Stack) -> None:
    url = f"{stack.settings.url('loki')}/loki/api/v1/series"
    for service in ("rust-core-engine", "prometheus"):
        series = httpx.get(url, params={"match[]": f'{{job="{service}"}}'}).json()["data"]
        image = docker("inspect", "--format", "{{.Config.Image}}", stack.container(service))
        assert {labels.get("image") for labels in series} == {image.strip()}


def test_an_alert_on_log_lines_is_shown_though_prometheus_has_it_not(stack: Stack) -> None:
    line = "thread 'main' panicked at src/order.rs:12:5"
    labels = {"job": "rust-core-engine", "service": "rust-core-engine", "level": "error"}
    # Old enough to be over soon, and young enough for the ruler, which looks once a minute.
    at = dt.datetime.now(dt.UTC) - dt.timedelta(minutes=3)
    stream = {"stream": labels, "values": [[f"{at.timestamp():.0f}000000000", line]]}
    push = f"{stack.settings.url('loki')}/loki/api/v1/push"
    httpx.post(push, json={"streams": [stream]}).raise_for_status()
    rows: list[dict[str, Any]] = []

    def shown() -> bool:
        found = json.loads(stack.run("alerts", "--format", "json").stdout)
        rows[:] = [one for one in found if one["alert"] == "PanicLogged"]
        return bool(rows)

    assert wait_until(shown, 90)
    (row,) = rows
    assert (row["state"], row["severity"]) == ("firing", "critical")
    assert row["service"] == "rust-core-engine"
    assert row["receivers"] == ["critical-alerts", "default", "trading-team"]


def test_no_rule_fails(stack: Stack) -> None:
    url = f"{stack.settings.url('prometheus')}/api/v1/rules"
    groups: list[dict[str, Any]] = []

    def evaluated() -> bool:
        groups[:] = httpx.get(url).json()["data"]["groups"]
        rules = [rule for group in groups for rule in group["rules"]]
        return bool(rules) and all(rule["health"] == "ok" for rule in rules)

    assert wait_until(evaluated, 60), [
        (rule["name"], rule.get("lastError"))
        for group in groups
        for rule in group["rules"]
        if rule["health"] != "ok"
    ]


PROVOKED: dict[str, dict[str, Any]] = {
    "rust-core-engine": {
        "trade_rate_factor": 20,
        "trade_failure_ratio": 0.6,
        "trade_latency_seconds": 3,
        "balance_usdt": 40,
        "position_size_btc": 12,
        "daily_loss_ratio": 0.08,
        "max_drawdown_ratio": 0.3,
        "open_positions": 12,
        "websocket_errors_per_second": 5,
        "websocket_connections": 1500,
        "db_query_seconds": 0.5,
        "sharpe_ratio": -1,
    },
    "python-ai-service": {
        "analyses_per_second": 5,
        "analysis_seconds": 12,
        "openai_error_ratio": 0.5,
        "openai_rate_limit_ratio": 0.5,
        "models_active": False,
        "accuracy": 0.4,
    },
    "nextjs-ui-dashboard": {
        "request_rate": 20,
        "error_ratio": 0.5,
        "latency_seconds": 3,
        "unhealthy": True,
    },
    "kong": {"request_rate": 20, "kong_latency_seconds": 2},
}
"""Service → the switches that are turned, all at once."""

EXPECTED = {
    ("HighTradeFailureRate", "rust-core-engine"),
    ("TradeExecutionSlow", "rust-core-engine"),
    ("CriticalTradingBalance", "rust-core-engine"),
    ("LowTradingBalance", "rust-core-engine"),
    ("UnexpectedPositionSize", "rust-core-engine"),
    ("HighDailyLossLimit", "rust-core-engine"),
    ("MaxDrawdownExceeded", "rust-core-engine"),
    ("MaxPositionsReached", "rust-core-engine"),
    ("WebSocketErrorRateHigh", "rust-core-engine"),
    ("WebSocketConnectionsHigh", "rust-core-engine"),
    ("MongoDBSlowQueries", "rust-core-engine"),
    ("NegativeSharpeRatio", "rust-core-engine"),
    ("TradeSuccessFastBurn", "rust-core-engine"),
    ("AIServiceCriticalSlow", "python-ai-service"),
    ("OpenAIErrorRateHigh", "python-ai-service"),
    ("OpenAIRateLimited", "python-ai-service"),
    ("NoActiveModel", "python-ai-service"),
    ("LowPredictionAccuracy", "python-ai-service"),
    ("HighErrorRate", "nextjs-ui-dashboard"),
    ("CriticalLatencyP95", "nextjs-ui-dashboard"),
    ("ApiAvailabilityFastBurn", "nextjs-ui-dashboard"),
    ("HealthCheckFailed", "nextjs-ui-dashboard"),
    ("GatewaySlow", "kong"),
    ("RedisDown", "redis"),
    ("ServiceDown", "node-exporter"),
}
"""Alert and service: of all eleven groups but containers."""


@pytest.fixture
def quick(stack: Stack, tmp_path: Path) -> Iterator[str]:
    """A second Prometheus over the same targets, with `for` and all windows shortened to seconds; its address."""
    rendered = stack.folder / "state" / PROJECT / "config" / "prometheus"
    folder = tmp_path / "prometheus"
    folder.mkdir()
    for path in rendered.rglob("*.yml"):
        target = folder / path.relative_to(rendered)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(_quickened(path.read_text(encoding="utf-8"), path.name))
    tmp_path.chmod(0o755)
    container = (
        DockerContainer("stackctl/prometheus:local")
        .with_command(
            "--config.file=/etc/prometheus/prometheus.yml --storage.tsdb.path=/prometheus"
        )
        .with_volume_mapping(str(folder), "/etc/prometheus", "ro")
        .with_exposed_ports(9090)
        .with_kwargs(network=f"{PROJECT}_bot-network")
    )
    with container:
        url = f"http://127.0.0.1:{container.get_exposed_port(9090)}"
        yield url


def _quickened(text: str, name: str) -> str:
    document = yaml.safe_load(text)
    if name == "prometheus.yml":
        document["global"] |= {"scrape_interval": "2s", "scrape_timeout": "2s"}
        document["global"]["evaluation_interval"] = "2s"
        document.pop("alerting", None)
        for job in document["scrape_configs"]:
            job.pop("scrape_interval", None)
            job.pop("scrape_timeout", None)
    elif isinstance(document, dict):
        for group in document.get("groups", []):
            group["interval"] = "2s"
            for rule in group["rules"]:
                rule.pop("for", None)
                rule.pop("keep_firing_for", None)
                rule["expr"] = re.sub(
                    r"\[\d+[smhd](:\w*)?\]",
                    lambda window: "[12s:2s]" if window[1] else "[12s]",
                    # A window of six steps is as full as one of twenty, and a process is old after as many seconds.
                    rule["expr"].replace("/ 20, 1)", "/ 1, 1)").replace("< 300", "< 12"),
                )
    return yaml.safe_dump(document, sort_keys=False)


def firing(url: str) -> set[tuple[str, str]] | None:
    """Return what fires, by name and service; None where Prometheus does not say."""
    try:
        answer = httpx.get(f"{url}/api/v1/alerts").json()
    except (httpx.HTTPError, ValueError):
        return None
    return {
        (one["labels"]["alertname"], one["labels"].get("service", ""))
        for one in answer["data"]["alerts"]
        if one["state"] == "firing"
    }


def test_what_is_provoked_fires_and_ends(stack: Stack, quick: str) -> None:
    stopped = [stack.container("redis"), stack.container("node-exporter")]
    seen: set[tuple[str, str]] = set()

    def all_fired() -> bool:
        seen.update(firing(quick) or ())
        return seen >= EXPECTED

    def all_ended() -> bool:
        now = firing(quick)
        return now is not None and not now & EXPECTED

    assert wait_until(lambda: _scraped(quick), 60)
    assert all_ended()
    try:
        for service, switches in PROVOKED.items():
            answer = httpx.put(f"{stack.settings.url(service)}/demo/control", json=switches)
            assert answer.status_code == 200, answer.text
        docker("stop", "--time", "5", *stopped)
        assert wait_until(all_fired, 90), sorted(EXPECTED - seen)
    finally:
        docker("start", *stopped)
        for service in PROVOKED:
            httpx.delete(f"{stack.settings.url(service)}/demo/control")
    assert wait_until(all_ended, 90), firing(quick)


def _scraped(url: str) -> bool:
    """Return whether every target has been scraped."""
    try:
        targets = httpx.get(f"{url}/api/v1/targets").json()["data"]["activeTargets"]
    except (httpx.HTTPError, ValueError):
        return False
    return bool(targets) and all(target["health"] == "up" for target in targets)
