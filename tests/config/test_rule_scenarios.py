"""What happens to every target, done to the unit tests of every alert: a scrape fails, a process restarts, a second
instance does the same, nothing is asked of it. Each scenario is the hand-written test with its series changed."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from stackctl.values.durations import parse_duration
from tests.config.test_rule_limits import FILES, PROMETHEUS, TESTS
from tests.support.series import idle, restarted, with_counters, with_failed_scrape, with_twins
from tests.support.tools import tool

pytestmark = pytest.mark.docker

Test = dict[str, Any]

RULES = {
    rule["alert"]: rule
    for file in FILES
    for group in yaml.safe_load((PROMETHEUS / "alerts" / f"{file}.yml").read_text())["groups"]
    for rule in group["rules"]
}

NOT_IDLE = {
    "TradingHalted": "zero traffic is what it is for",
    "AIAnalysisStopped": "zero traffic is what it is for",
    "ModelLoadFailure": "a new series is a failure",
}
NOT_BRIDGED = {"BinanceAPISlow": "a sample less moves an average that is just above its limit"}
"""Alerts that a scenario rightly changes, and why."""
LEFT_OUT = {
    "alerts-starts.yml",
    "alerts-pipeline.yml",
}
"""Ages that are constant, windows of hours that one scrape cannot change, and the alerts on the monitoring itself,
whose own tests are about absent series, restarts and exact minutes."""


def cases(file: str) -> Iterator[tuple[Test, str, dict[str, Any]]]:
    """Yield each test of a file with an alert of its own, and the first case in which that alert fires."""
    seen: set[str] = set()
    for test in TESTS[file]["tests"]:
        for case in test.get("alert_rule_test", ()):
            alert = case["alertname"]
            if case.get("exp_alerts") and alert not in seen:
                seen.add(alert)
                yield test, alert, case


def expecting(
    test: Test, name: str, case: dict[str, Any], series: list[dict[str, str]], count: int
) -> Test:
    """Return a test with other series, in which so many alerts fire, of the services that a case has."""
    alert, when = case["alertname"], str(case["eval_time"])
    of = "|".join(sorted({one["exp_labels"]["service"] for one in case["exp_alerts"]}))
    return {
        "name": f"{alert}: {name}",
        "interval": test["interval"],
        "input_series": series,
        "promql_expr_test": [
            {
                "expr": f'count(ALERTS{{alertname="{alert}",alertstate="firing",service=~"{of}"}}) or vector(0)',
                "eval_time": when,
                "exp_samples": [{"labels": "{}", "value": count}],
            }
        ],
    }


def scenarios(file: str) -> Iterator[Test]:
    """Yield what each alert of a test file must also hold."""
    for test, alert, case in cases(file):
        series, when = test["input_series"], str(case["eval_time"])
        fired = case["exp_alerts"]
        interval = parse_duration(test["interval"])
        at = parse_duration(when) / interval
        hold = parse_duration(RULES[alert].get("for", "0s")) / interval
        if hold >= 2 and alert not in NOT_BRIDGED:
            # In the middle of the time that the alert is pending.
            middle = int(at - hold / 2)
            failed = with_failed_scrape(series, middle)
            yield expecting(test, "a scrape fails while it is pending", case, failed, len(fired))
            again = with_counters(series, lambda one, k=middle: restarted(one, k))
            yield expecting(test, "its counters restart", case, again, len(fired))
        each = all("instance" in one["exp_labels"] for one in fired)
        twins = len(fired) * (2 if each else 1)
        yield expecting(test, "two instances alike", case, with_twins(series), twins)
        still = with_counters(series, idle)
        if alert not in NOT_IDLE and still != series:
            yield expecting(test, "nothing is counted", case, still, 0)


@pytest.mark.parametrize("file", sorted(TESTS.keys() - LEFT_OUT))
def test_every_alert_holds_in_the_scenarios(file: str, tmp_path: Path) -> None:
    document = {**TESTS[file], "tests": list(scenarios(file))}
    for folder in ("alerts", "recording-rules"):
        shutil.copytree(PROMETHEUS / folder, tmp_path / folder)
    document["rule_files"] = [
        f"{folder}/{path.name}"
        for folder in ("alerts", "recording-rules")
        for path in sorted((PROMETHEUS / folder).glob("*.yml"))
        if f"../{folder}/{path.name}" in TESTS[file]["rule_files"]
    ]
    assert document["tests"]
    (tmp_path / "scenarios.yml").write_text(yaml.safe_dump(document, sort_keys=False))
    done = tool("promtool", "test", "rules", "scenarios.yml", folder=tmp_path)
    wrong = re.findall(r"name: (.*),", done.stdout + done.stderr)
    assert done.returncode == 0, "\n".join(wrong) + done.stdout + done.stderr
