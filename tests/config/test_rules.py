"""The rules: how many, what each carries, which series they read, and that each has a promtool unit test."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import yaml

from stackctl.render.promql import metric_names, selected_labels
from stackctl.services.releases import PLAN, Releases, current
from tests.config.contract import EXPORTED, SERIES, TARGET_LABELS
from tests.support.tools import RELEASES, tool

MONITORING = Path("infrastructure/monitoring")
PROMETHEUS = MONITORING / "prometheus"
TESTS = sorted((PROMETHEUS / "tests").glob("*.yml"))

GROUPS = {
    "infrastructure",
    "application",
    "trading",
    "ai",
    "database",
    "external",
    "websocket",
    "containers",
    "messaging",
    "business",
    "slo",
}
SEVERITIES = {"critical": 50, "warning": 30, "info": 10}
CATEGORIES = {
    ("critical", "infrastructure"): 10,
    ("critical", "application"): 8,
    ("critical", "trading"): 12,
    ("critical", "ai"): 6,
    ("critical", "database"): 8,
    ("critical", "external"): 6,
    ("warning", "infrastructure"): 10,
    ("warning", "application"): 6,
    ("warning", "trading"): 4,
    ("warning", "ai"): 4,
    ("warning", "database"): 4,
    ("warning", "websocket"): 2,
}
"""The plan's categories, as the label `component` has them; it counts RabbitMQ (`messaging`) as infrastructure."""
COMPONENTS = {component for _, component in CATEGORIES} | {"messaging", "business"}
RUNBOOKS = "https://github.com/bot-core/bot-core/blob/main/docs/runbooks/"


def groups(folder: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for path in sorted((MONITORING / folder).glob("*.yml")):
        found += yaml.safe_load(path.read_text(encoding="utf-8"))["groups"]
    return found


def rules(folder: str) -> list[dict[str, Any]]:
    return [rule for group in groups(folder) for rule in group["rules"]]


def of_the_plan(rule: dict[str, Any]) -> bool:
    """Return whether an alert is not one on the monitoring itself, which tests/config/test_pipeline.py covers."""
    return bool(rule["labels"]["component"] != "pipeline")


ALERTS = [rule for rule in rules("prometheus/alerts") if of_the_plan(rule)]
LOG_ALERTS = rules("loki/rules/fake")
"""Loki's own, beside the plan's ninety."""
RECORDS = rules("prometheus/recording-rules")
EXPRESSIONS = {rule.get("alert") or rule["record"]: rule["expr"] for rule in ALERTS + RECORDS}


def test_the_plans_numbers() -> None:
    assert {group["name"] for group in groups("prometheus/alerts")} == {*GROUPS, "pipeline"}
    assert Counter(rule["labels"]["severity"] for rule in ALERTS) == SEVERITIES
    kinds = [(rule["labels"]["severity"], rule["labels"]["component"]) for rule in ALERTS]
    counted = Counter(
        (severity, "infrastructure" if component == "messaging" else component)
        for severity, component in kinds
        if severity != "info"
    )
    assert counted == CATEGORIES
    names = Counter(rule["alert"] for rule in ALERTS + LOG_ALERTS)
    assert [name for name, number in names.items() if number > 1] == []


def test_no_two_alerts_ask_the_same() -> None:
    asked = Counter(" ".join(str(rule["expr"]).split()) for rule in ALERTS)
    assert [expr for expr, number in asked.items() if number > 1] == []


@pytest.mark.parametrize("rule", ALERTS + LOG_ALERTS, ids=lambda rule: rule["alert"])
def test_an_alert_carries_what_its_reader_needs(rule: dict[str, Any]) -> None:
    labels, annotations = rule["labels"], rule["annotations"]
    assert labels["severity"] in SEVERITIES
    assert labels["component"] in COMPONENTS
    assert set(labels) <= {"severity", "component", "service"}
    assert annotations["summary"]
    assert re.search(r"\{\{ \$(value|labels)", annotations["summary"] + annotations["description"])
    assert annotations["runbook_url"].startswith(RUNBOOKS)
    uid = annotations["dashboard"].removeprefix("/d/").partition("?")[0]
    assert (MONITORING / "grafana" / "dashboards" / f"{uid}.json").is_file()


@pytest.mark.parametrize("name", sorted(EXPRESSIONS))
def test_a_rule_reads_series_that_exist(name: str) -> None:
    expr = EXPRESSIONS[name]
    recorded = {rule["record"] for rule in RECORDS}
    unknown = {
        series for series in metric_names(expr) if series not in SERIES.keys() | EXPORTED | recorded
    }
    assert unknown == set()
    wrong = {
        (series, label)
        for series, label in selected_labels(expr)
        if series in SERIES and label not in SERIES[series] | TARGET_LABELS
    }
    assert wrong == set()


def scrape_jobs(path: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = yaml.safe_load((PROMETHEUS / path).read_text(encoding="utf-8"))[
        "scrape_configs"
    ]
    return found


def test_every_target_says_what_service_it_tells_of() -> None:
    for job in scrape_jobs("prometheus.yml"):
        # Binance's target is written by stackctl, with its label.
        assert job.get("static_configs") or job["job_name"] == "binance-api"
        assert all(one["labels"]["service"] for one in job.get("static_configs", ()))
    for job in scrape_jobs("fragments/kubernetes.yml"):
        assert "service" in {rule.get("target_label") for rule in job["relabel_configs"]}, job


def test_every_target_is_scraped_as_often_as_the_plan_says() -> None:
    config = yaml.safe_load((PROMETHEUS / "prometheus.yml").read_text(encoding="utf-8"))
    usual = config["global"]["scrape_interval"]
    found = {job.get("scrape_interval", usual) for job in config["scrape_configs"]}
    assert found == {"10s", "15s"}


def documents() -> Iterator[dict[str, Any]]:
    for path in TESTS:
        yield yaml.safe_load(path.read_text(encoding="utf-8"))


def cases() -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Return every case of an alert in the unit tests, after the test that it belongs to."""
    for document in documents():
        for test in document["tests"]:
            for case in test.get("alert_rule_test", []):
                yield test, case


def test_every_alert_has_a_unit_test_that_sees_it_silent_and_then_firing() -> None:
    names = {rule["alert"] for rule in ALERTS}
    both: set[str] = set()
    for document in documents():
        for test in document["tests"]:
            states: dict[str, set[bool]] = {}
            for case in test.get("alert_rule_test", []):
                states.setdefault(case["alertname"], set()).add(bool(case.get("exp_alerts")))
            both |= {name for name, seen in states.items() if seen == {True, False}}
    assert names - both == set()


def test_no_alert_fires_where_nothing_is_known() -> None:
    document = yaml.safe_load((PROMETHEUS / "tests" / "silence.yml").read_text(encoding="utf-8"))
    assert {"../alerts/*.yml", "../recording-rules/*.yml"} <= set(document["rule_files"])
    (nothing,) = (test for test in document["tests"] if not test["input_series"])
    plan = 'ALERTS{component!="pipeline"}'
    asked = [case for case in nothing["promql_expr_test"] if case["expr"] == plan]
    assert [case["exp_samples"] for case in asked] == [[], []]


def test_an_alert_that_fires_says_whose_it_is() -> None:
    wrong = {
        case["alertname"]
        for _, case in cases()
        for fired in case.get("exp_alerts", ())
        if not fired["exp_labels"].get("service")
    }
    assert wrong == set()


def test_every_record_has_a_unit_test() -> None:
    tested: set[str] = set()
    for document in documents():
        for test in document["tests"]:
            for case in test.get("promql_expr_test", []):
                if case.get("exp_samples"):
                    tested |= metric_names(case["expr"])
    assert {rule["record"] for rule in RECORDS} - tested == set()


@pytest.mark.docker
@pytest.mark.parametrize("releases", RELEASES)
def test_promtool_takes_every_rule(releases: Releases) -> None:
    files = [
        str(path.relative_to(PROMETHEUS))
        for folder in ("alerts", "recording-rules")
        for path in sorted((PROMETHEUS / folder).glob("*.yml"))
    ]
    done = tool(
        *("promtool", "check", "rules", "--lint-fatal", *files),
        folder=PROMETHEUS.resolve(),
        releases=releases,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def results(releases: Releases) -> tuple[list[str], set[tuple[str, str]]]:
    """Return what promtool prints of the files that fail, and the failed cases by their name or expression and time."""

    def run(path: Path) -> str:
        done = tool(
            *("promtool", "test", "rules", f"tests/{path.name}"),
            folder=PROMETHEUS.resolve(),
            releases=releases,
        )
        return "" if done.returncode == 0 else f"{path.name}\n{done.stdout}{done.stderr}"

    with ThreadPoolExecutor(2) as pool:
        # Those of windows of days are near the end of the alphabet: begun last, one would run by itself.
        failed = [text for text in pool.map(run, reversed(TESTS)) if text]
    cases = {
        (name or expr.replace('\\"', '"'), time)
        for text in failed
        for name, expr, time in re.findall(
            r'^ +(?:name: (.+),\n +alertname: \S+|expr: "(.+)"), time: (\w+),', text, re.MULTILINE
        )
    }
    return failed, cases


@pytest.mark.docker
def test_promtools_unit_tests_pass() -> None:
    failed, _ = results(PLAN)
    assert not failed, "\n".join(failed)


@pytest.mark.docker
def test_prometheus_3_differs_only_at_the_edges_of_windows() -> None:
    edges = yaml.safe_load((Path(__file__).parent / "window_edges.yml").read_text(encoding="utf-8"))
    failed, cases = results(current())
    assert len(failed) == 12, "\n".join(failed)
    assert cases == {(name, time) for name, times in edges.items() for time in times}
