"""Rules that promtool accepts but are wrong: the checks that pint makes, and what the real exporters expose."""

from __future__ import annotations

import json
import re

import pytest

from stackctl.render.promql import metric_names, selected_labels
from stackctl.services.catalog import SERVICES, ContainerSeries, HttpProbe
from stackctl.values.durations import parse_duration
from tests.config.contract import EXPORTED, TARGET_LABELS
from tests.config.test_rules import ALERTS, EXPRESSIONS, MONITORING, PROMETHEUS, cases, rules
from tests.support.real import VERSIONS, exposed
from tests.support.tools import tool

PREFIXES = {
    "cadvisor": "container_",
    "node_exporter": "node_",
    "mongodb_exporter": "mongodb_",
    "redis_exporter": "redis_",
}
CHECKED = {
    service.probe.metric
    for service in SERVICES.values()
    if isinstance(service.probe, HttpProbe | ContainerSeries) and service.probe.metric
}
"""The series that readiness reads."""
SCRAPE_INTERVAL = 15


def panel_expressions() -> dict[str, str]:
    """Return every query of the dashboards by the dashboard and a number."""
    found = {}
    for path in sorted((MONITORING / "grafana" / "dashboards").glob("*.json")):
        quoted = re.findall(r'"expr": ("(?:[^"\\]|\\.)*")', path.read_text(encoding="utf-8"))
        found |= {f"{path.stem} {n}": json.loads(text) for n, text in enumerate(quoted)}
    return found


ALL = EXPRESSIONS | panel_expressions()


@pytest.mark.parametrize("version", VERSIONS)
def test_a_query_reads_what_the_real_exporter_exposes(version: str) -> None:
    real, prefix = exposed(version), PREFIXES[version.partition("-")[0]]
    read = {name for expr in ALL.values() for name in metric_names(expr)} | EXPORTED | CHECKED
    own = {name for name in read if name.startswith(prefix) and ":" not in name}
    assert own
    assert own - real.keys() == set()
    selected = {pair for expr in ALL.values() for pair in selected_labels(expr)}
    wrong = {
        (name, label)
        for name, label in selected
        if name in real and label not in real[name].labels | TARGET_LABELS
    }
    assert wrong == set()


@pytest.mark.parametrize("version", VERSIONS)
def test_only_counters_have_a_rate(version: str) -> None:
    real = exposed(version)
    counted = {
        (where, name)
        for where, expr in ALL.items()
        for name in re.findall(r"\b(?:rate|irate|increase|resets)\(\s*([\w:]+)", expr)
        if name in real and real[name].kind not in {"counter", "untyped"}
    }
    assert counted == set()


@pytest.mark.parametrize("name", sorted(ALL))
def test_a_window_has_four_scrapes(name: str) -> None:
    windows = re.findall(r"\b(?:rate|increase)\([^\[]*\[(\d+[smhd])\]", ALL[name])
    assert [one for one in windows if parse_duration(one) < 4 * SCRAPE_INTERVAL] == []


def test_an_annotation_names_only_labels_that_the_alert_has() -> None:
    used = {
        rule["alert"]: set(re.findall(r"\$labels\.(\w+)", "".join(rule["annotations"].values())))
        for rule in rules("prometheus/alerts")
    }
    missing = {
        (case["alertname"], label)
        for _, case in cases()
        for fired in case.get("exp_alerts", ())
        for label in used[case["alertname"]] - fired["exp_labels"].keys()
    }
    assert missing == set()


def test_a_limit_of_a_quantile_is_one_that_its_buckets_can_reach() -> None:
    """A quantile never exceeds the largest bucket, so what lies beyond it is compared with the same limit."""
    compared = 0
    for rule in ALERTS:
        for record, limit in re.findall(r"([\w:]+:p\d\d) > ([\d.]+)", rule["expr"]):
            compared += 1
            assert f"{record}_at_least >= {limit}" in rule["expr"], rule["alert"]
    assert compared


def test_a_limit_of_a_share_is_between_0_and_1() -> None:
    compared = 0
    for rule in ALERTS:
        for limit in re.findall(
            r"[\w:]*(?:ratio|utilization:rate)\w*(?::rate5m)? [<>] ([\d.]+)", rule["expr"]
        ):
            compared += 1
            assert 0 < float(limit) < 1, rule["alert"]
    assert compared


@pytest.mark.docker
def test_promtool_finds_nothing_with_all_its_lints() -> None:
    files = [
        str(path.relative_to(PROMETHEUS))
        for folder in ("alerts", "recording-rules")
        for path in sorted((PROMETHEUS / folder).glob("*.yml"))
    ]
    done = tool(
        "promtool",
        "check",
        "rules",
        "--lint=all",
        "--lint-fatal",
        *files,
        folder=PROMETHEUS.resolve(),
    )
    assert done.returncode == 0, done.stdout + done.stderr
