"""The alerts on log lines: each expression as LogQL, evaluated over lines, firing and silent."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from standins.loki.evaluate import Evaluator
from standins.shared.labels import LabelSet, label_set
from standins.shared.logql import pipeline
from standins.shared.logql.parser import parse
from standins.shared.logql.syntax import LogQuery
from standins.shared.units import NANOSECONDS

LOKI = Path("infrastructure/monitoring/loki")
RULES: dict[str, dict[str, Any]] = {
    rule["alert"]: rule
    for path in sorted((LOKI / "rules" / "fake").glob("*.yml"))
    for group in yaml.safe_load(path.read_text(encoding="utf-8"))["groups"]
    for rule in group["rules"]
}
NOW = 3600
PANIC = "thread 'main' panicked at src/order.rs:12:5"


@dataclass(frozen=True)
class Lines:
    """So many lines with one text, a second apart; the newest `ago` seconds before the rule is evaluated."""

    service: str
    text: str = "x"
    level: str = "info"
    number: int = 1
    ago: int = 1


@dataclass(frozen=True)
class Case:
    """Lines, and what the rule gives of them: values by service, nothing where it is silent."""

    alert: str
    what: str
    lines: tuple[Lines, ...]
    fires: tuple[tuple[str, float], ...] = ()


CASES = [
    Case(
        "PanicLogged",
        "a panic in the last 5 minutes",
        (Lines("rust-core-engine", PANIC, ago=299), Lines("rust-core-engine", "traded")),
        (("rust-core-engine", 1),),
    ),
    Case("PanicLogged", "an older panic", (Lines("rust-core-engine", PANIC, ago=300),)),
    Case("PanicLogged", "a panic of another service", (Lines("python-ai-service", PANIC),)),
    Case("PanicLogged", "another line", (Lines("rust-core-engine", "do not panic", "error"),)),
    Case("PanicLogged", "no line at all", ()),
    Case(
        "ErrorLogBurst",
        "51 errors in 5 minutes, of one service and not of the other",
        (Lines("kong", level="error", number=51), Lines("redis", level="error", number=50)),
        (("kong", 51),),
    ),
    Case(
        "ErrorLogBurst",
        "both levels that are errors",
        (
            Lines("grafana", level="error", number=30),
            Lines("grafana", level="critical", number=30),
        ),
        (("grafana", 60),),
    ),
    Case("ErrorLogBurst", "50 errors", (Lines("kong", level="error", number=50),)),
    Case("ErrorLogBurst", "many warnings", (Lines("kong", level="warn", number=200),)),
    Case("ErrorLogBurst", "an older burst", (Lines("kong", level="error", number=200, ago=300),)),
    Case("ErrorLogBurst", "no line at all", ()),
    Case(
        "LogsMissing",
        "no line for 10 minutes, though others have some",
        (Lines("rust-core-engine", ago=600), Lines("kong")),
        (("rust-core-engine", 1),),
    ),
    Case("LogsMissing", "no line ever", (), (("rust-core-engine", 1),)),
    Case("LogsMissing", "a line 599 s ago", (Lines("rust-core-engine", ago=599),)),
]


def evaluated(expression: str, lines: Iterable[Lines]) -> dict[LabelSet, float]:
    """Evaluate an expression as Loki does, over lines with the labels that Promtail gives them."""
    stored = [
        (
            (NOW - one.ago - second) * NANOSECONDS,
            one.text,
            {"job": one.service, "service": one.service, "level": one.level},
        )
        for one in lines
        for second in range(one.number)
    ]

    def load(query: LogQuery, start: int, end: int) -> Iterable[tuple[int, str, LabelSet]]:
        for at, text, stream in stored:
            labels = dict(stream)
            if start < at <= end and all(
                one.matches(labels.get(one.name, "")) for one in query.matchers
            ):
                kept = pipeline.run(query.stages, text, labels)
                if kept is not None:
                    yield at, kept, label_set(labels)

    query = parse(expression)
    assert not isinstance(query, LogQuery)
    at = NOW * NANOSECONDS
    found = Evaluator(query, at, at, load, 500).at(at)
    assert not isinstance(found, float)
    return found


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.alert}: {case.what}")
def test_it_fires_or_is_silent(case: Case) -> None:
    rule = RULES[case.alert]
    values = evaluated(rule["expr"], case.lines)
    by_service = {
        rule["labels"].get("service") or dict(labels)["service"]: value
        for labels, value in values.items()
    }
    assert by_service == dict(case.fires)
    assert all(dict(labels)["job"] in by_service for labels in values)


def test_every_alert_on_lines_is_tested_both_ways() -> None:
    assert {case.alert for case in CASES if case.fires} == set(RULES)
    assert {case.alert for case in CASES if not case.fires} == set(RULES)


def test_its_alerts_have_the_external_labels_of_prometheus() -> None:
    prometheus = yaml.safe_load((LOKI.parent / "prometheus" / "prometheus.yml").read_text())
    ruler = yaml.safe_load((LOKI / "loki-config.yml").read_text())["ruler"]
    assert ruler["external_labels"] == prometheus["global"]["external_labels"]


def test_an_alerts_link_opens_a_data_source_that_grafana_has() -> None:
    ruler = yaml.safe_load((LOKI / "loki-config.yml").read_text())["ruler"]
    provisioned = LOKI.parent / "grafana" / "provisioning" / "datasources" / "datasources.yml"
    sources = yaml.safe_load(provisioned.read_text())["datasources"]
    assert {one["uid"]: one["type"] for one in sources}[ruler["datasource_uid"]] == "loki"
