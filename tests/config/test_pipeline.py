"""The alerts on the monitoring itself, beside the plan's ninety, and the inhibition that some of them are for."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from stackctl.alerts.active import NOBODY
from stackctl.render.promql import metric_names, selected_labels
from stackctl.services.catalog import LOG_COLLECTORS
from stackctl.util import paths
from tests.config.contract import EXPORTED, SERIES, TARGET_LABELS

PROMETHEUS = paths.monitoring() / "prometheus"
SEVERITIES = {"critical", "warning", "info", NOBODY}
RUNBOOK = (
    "https://github.com/bot-core/bot-core/blob/main/docs/runbooks/MONITORING_PIPELINE_RUNBOOK.md"
)
TESTS = yaml.safe_load((PROMETHEUS / "tests" / "alerts-pipeline.yml").read_text(encoding="utf-8"))[
    "tests"
]


def rules(path: Path) -> list[dict[str, Any]]:
    groups = yaml.safe_load(path.read_text(encoding="utf-8"))["groups"]
    return [rule for group in groups for rule in group["rules"]]


PIPELINE = rules(PROMETHEUS / "alerts" / "pipeline.yml")
EVERY = [
    rule
    for folder in (PROMETHEUS / "alerts", paths.monitoring() / "loki" / "rules" / "fake")
    for path in sorted(folder.glob("*.yml"))
    for rule in rules(path)
]
RECORDS = {
    rule["record"]
    for path in (PROMETHEUS / "recording-rules").glob("*.yml")
    for rule in rules(path)
}
SEVERITY = {rule["alert"]: rule["labels"]["severity"] for rule in EVERY}


@pytest.mark.parametrize("rule", PIPELINE, ids=lambda rule: rule["alert"])
def test_an_alert_carries_what_its_reader_needs_and_reads_series_that_exist(
    rule: dict[str, Any],
) -> None:
    assert rule["labels"]["component"] == "pipeline"
    assert rule["labels"]["severity"] in SEVERITIES
    assert rule["annotations"]["runbook_url"] == RUNBOOK
    assert "$value" in rule["annotations"]["description"]
    assert metric_names(rule["expr"]) <= SERIES.keys() | EXPORTED | RECORDS
    for series, label in selected_labels(rule["expr"]):
        assert series not in SERIES or label in SERIES[series] | TARGET_LABELS


def test_no_other_file_has_alerts_of_this_component_or_for_nobody() -> None:
    others = [rule for rule in EVERY if rule not in PIPELINE]
    assert others
    assert {rule["labels"]["component"] for rule in others} & {"pipeline"} == set()
    assert NOBODY not in {rule["labels"]["severity"] for rule in others}


def test_only_absent_jobs_share_a_name() -> None:
    names = Counter(rule["alert"] for rule in EVERY)
    assert {name for name, number in names.items() if number > 1} == {"JobAbsent"}


def test_every_job_that_always_has_targets_is_missed_when_it_has_none() -> None:
    config = yaml.safe_load((PROMETHEUS / "prometheus.yml").read_text(encoding="utf-8"))
    jobs = {one["job_name"] for one in config["scrape_configs"] if "static_configs" in one}
    # A stack has one log collector.
    expected = {job: f'absent(up{{job="{job}"}})' for job in jobs - set(LOG_COLLECTORS)}
    expected["log-collector"] = f'absent(up{{job=~"{"|".join(sorted(LOG_COLLECTORS))}"}})'
    missed = [rule for rule in PIPELINE if rule["alert"] == "JobAbsent"]
    assert {rule["labels"]["job"]: rule["expr"] for rule in missed} == expected
    assert len(missed) == len(expected)


def test_each_has_a_unit_test_that_sees_it_silent_and_firing() -> None:
    seen: dict[str, set[bool]] = {}
    for test in TESTS:
        for case in test["alert_rule_test"]:
            seen.setdefault(case["alertname"], set()).add(bool(case.get("exp_alerts")))
    both = {name for name, states in seen.items() if states == {True, False}}
    assert {rule["alert"] for rule in PIPELINE} - both == {"Watchdog"}
    assert seen["Watchdog"] == {True}


INHIBITION = yaml.safe_load(
    (paths.monitoring() / "alertmanager" / "alertmanager.yml").read_text(encoding="utf-8")
)["inhibit_rules"]


def values(matchers: Iterable[str], label: str) -> Iterator[str]:
    """Yield the patterns that matchers ask of a label with = or =~."""
    for text in matchers:
        name, operator, value = text.split(" ", 2)
        if name == label and operator in {"=", "=~"}:
            yield value.strip('"')


def fitting(pattern: str, names: Iterable[str]) -> set[str]:
    return {name for name in names if re.fullmatch(pattern, name)}


def alternatives(pattern: str) -> list[str]:
    """Return what an alternation at the top level of a pattern consists of."""
    return re.split(r"\|(?![^(]*\))", pattern)


def test_inhibition_names_alerts_that_exist() -> None:
    for rule in INHIBITION:
        sources = [*values(rule["source_matchers"], "alertname")]
        sources += values(rule["source_matchers"], "cause")
        targets = list(values(rule["target_matchers"], "alertname"))
        assert sources, rule
        assert targets, rule
        for pattern in (*sources, *targets):
            for part in alternatives(pattern):
                assert fitting(part, SEVERITY), part


def causes(alert: str) -> set[str]:
    """Return the alerts that an inhibitor reads."""
    (rule,) = (one for one in PIPELINE if one["alert"] == alert)
    (names,) = re.findall(r'alertname=~"([^"]+)"', rule["expr"])
    return set(names.split("|"))


def test_inhibitors_read_exactly_the_causes_that_are_asked_for() -> None:
    asked: set[str] = set()
    for rule in INHIBITION:
        (source,) = values(rule["source_matchers"], "alertname")
        for pattern in values(rule["source_matchers"], "cause"):
            named = fitting(pattern, SEVERITY)
            assert named
            if source == "InhibitorBudgetSpent":
                assert named <= causes("InhibitorBudgetSpent")
            else:
                asked |= named
    assert causes("InhibitorCause") == causes("InhibitorCauseEnded") == asked
    assert causes("InhibitorBudgetSpent") <= asked


def test_no_alert_of_a_cause_of_its_own_or_of_risk_is_ever_inhibited() -> None:
    spared = {
        *("UnexpectedPositionSize", "CriticalTradingBalance", "HighDailyLossLimit"),
        *("MaxDrawdownExceeded", "PortfolioValueDropped", "RunawayTrading"),
        *("OpenPositionsUnmanaged", "MaxPositionsReached", "TradingMetricsMissing"),
        *("HostOOMKill", "CriticalMemoryUsage", "CriticalCPUUsage", "ContainerMemoryNearLimit"),
        *("FileDescriptorsExhausted", "ContainerRestartLoop", "PanicLogged", "DiskSpaceLow"),
        *("FilesystemBecameReadOnly", "MongoDBDown", "RedisDown", "ModelLoadFailure"),
        *("TLSCertificateExpiring", "AlertDeliveryFailing", "RuleEvaluationFailing", "Watchdog"),
    }
    assert spared <= SEVERITY.keys()
    targets = {
        name
        for rule in INHIBITION
        for pattern in values(rule["target_matchers"], "alertname")
        for name in fitting(pattern, SEVERITY)
    }
    assert targets & spared == set()


def test_a_warning_never_inhibits_a_page_nor_an_alert_itself() -> None:
    for rule in INHIBITION:
        named = list(values(rule["source_matchers"], "cause"))
        if not named:
            named = list(values(rule["source_matchers"], "alertname"))
        for source in {one for pattern in named for one in fitting(pattern, SEVERITY)}:
            targets = {
                name
                for pattern in values(rule["target_matchers"], "alertname")
                for name in fitting(pattern, SEVERITY)
            }
            assert source not in targets
            if SEVERITY[source] == "warning":
                assert "critical" not in {SEVERITY[name] for name in targets}, (source, targets)
