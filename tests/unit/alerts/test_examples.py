"""Examples of alerts, from their unit tests."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from stackctl.alerts.examples import example
from stackctl.errors import UsageError
from stackctl.util import paths

RULES: dict[str, list[dict[str, Any]]] = {}
"""The rules of each alert."""
for folder in ("prometheus/alerts", "loki/rules/fake"):
    for path in sorted((paths.monitoring() / folder).glob("*.yml")):
        for group in yaml.safe_load(path.read_text(encoding="utf-8"))["groups"]:
            for rule in group["rules"]:
                if "alert" in rule:
                    RULES.setdefault(rule["alert"], []).append(rule)
LOG_RULES = ("PanicLogged", "ErrorLogBurst", "LogsMissing")


@pytest.mark.parametrize("alert", RULES)
def test_every_alert_has_an_example_with_the_labels_of_one_of_its_rules(alert: str) -> None:
    found = example(alert)
    assert found.labels["alertname"] == alert
    assert (found.labels["cluster"], found.labels["environment"]) == ("bot-core", "laptop")
    assert any(
        set(found.annotations) == set(rule.get("annotations", {}))
        and all(
            found.labels[name] == value
            for name, value in rule["labels"].items()
            if "{{" not in value
        )
        for rule in RULES[alert]
    )
    assert "{{" not in "".join(found.annotations.values())
    assert found.expression


@pytest.mark.parametrize("alert", LOG_RULES)
def test_examples_of_log_rules_are_their_annotations_filled_in(alert: str) -> None:
    # promtool, which compares the others with their rules, does not know Loki.
    found = example(alert)
    for name, template in RULES[alert][0]["annotations"].items():
        filled = re.sub(r"{{ \$labels\.(\w+) }}", lambda one: found.labels[one[1]], template)
        pattern = re.escape(filled).replace(re.escape("{{ $value }}"), r"\d+")
        assert re.fullmatch(pattern, found.annotations[name])


def test_an_unknown_alert_suggests_the_nearest_name() -> None:
    with pytest.raises(UsageError, match="unknown alert 'HighErorRate'") as caught:
        example("HighErorRate")
    assert "HighErrorRate" in "".join(caught.value.lines)


def test_an_alert_that_no_unit_test_expects_to_fire_says_where_to_add_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = {
        "prometheus/alerts/own.yml": "groups: [{name: own, rules: [{alert: Own, expr: up}]}]",
        "prometheus/tests/own.yml": "tests: [{alert_rule_test: [{alertname: Own, exp_alerts: []}]}]",
        "prometheus/prometheus.yml": "global: {}",
    }
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    monkeypatch.setattr(paths, "monitoring", lambda: tmp_path)
    with pytest.raises(UsageError, match="no unit test that expects it to fire") as caught:
        example("Own")
    assert "prometheus/tests" in "".join(caught.value.lines)
