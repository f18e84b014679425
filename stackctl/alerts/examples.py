"""An example of each alert: the labels and annotations that its unit test expects when it fires."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from stackctl.errors import UsageError
from stackctl.util import paths, yaml_text
from stackctl.util.suggest import nearest


class _Evaluator(NamedTuple):
    """A program that evaluates rules: its files under the monitoring configuration."""

    rules: str
    tests: str
    config: str
    external_labels: str
    """The section of `config` that has its external labels."""


_EVALUATORS = (
    _Evaluator("prometheus/alerts", "prometheus/tests", "prometheus/prometheus.yml", "global"),
    _Evaluator("loki/rules/fake", "loki/tests", "loki/loki-config.yml", "ruler"),
)


class Example(NamedTuple):
    """A firing alert, as Alertmanager receives it."""

    labels: dict[str, str]
    annotations: dict[str, str]
    expression: str
    """The rule's expression, for the link to its query."""


def example(alert: str) -> Example:
    """Return an example of an alert: the first one in its unit tests, with the external labels of its evaluator.

    Raises UsageError, with the nearest name, for an alert that does not exist or that no unit test expects to fire.
    """
    return examples([alert])[alert]


def examples(alerts: Iterable[str] = ()) -> dict[str, Example]:
    """Return an example of each of these alerts, or of every alert where none is named. Raises as `example` does."""
    wanted = list(alerts)
    expressions = {evaluator: _expressions(evaluator) for evaluator in _EVALUATORS}
    known = [alert for names in expressions.values() for alert in names]
    for alert in wanted:
        if alert not in known:
            raise UsageError(f"unknown alert {alert!r}", remedy=nearest(alert, known))
    found = {}
    for evaluator, names in expressions.items():
        chosen = [alert for alert in wanted or names if alert in names]
        expected = _expected(evaluator, chosen) if chosen else {}
        labels = _external_labels(evaluator)
        for alert in chosen:
            if alert not in expected:
                raise UsageError(
                    f"{alert} has no unit test that expects it to fire",
                    remedy=f"add one to infrastructure/monitoring/{evaluator.tests}",
                )
            found[alert] = Example(
                {"alertname": alert, **labels, **_texts(expected[alert]["exp_labels"])},
                _texts(expected[alert].get("exp_annotations", {})),
                names[alert],
            )
    return found


def _expected(evaluator: _Evaluator, alerts: Collection[str]) -> dict[str, dict[str, Any]]:
    """Return what the unit tests expect first of each of these alerts that fires."""
    found: dict[str, dict[str, Any]] = {}
    for path in _files(evaluator.tests):
        text = path.read_text(encoding="utf-8")
        # Most files do not mention a single alert, and parsing them all takes a second.
        if not any(alert in text for alert in alerts):
            continue
        for test in yaml_text.load(text)["tests"]:
            for check in test.get("alert_rule_test", ()):
                if check["alertname"] in alerts and check.get("exp_alerts"):
                    found.setdefault(check["alertname"], check["exp_alerts"][0])
    return found


def _expressions(evaluator: _Evaluator) -> dict[str, str]:
    """Return the expression of every alert; that of the first rule where several share the name."""
    found: dict[str, str] = {}
    for path in _files(evaluator.rules):
        for group in yaml_text.load(path.read_text(encoding="utf-8"))["groups"]:
            for rule in group["rules"]:
                if "alert" in rule:
                    found.setdefault(rule["alert"], rule["expr"])
    return found


def _files(folder: str) -> list[Path]:
    return sorted((paths.monitoring() / folder).glob("*.yml"))


def _external_labels(evaluator: _Evaluator) -> dict[str, str]:
    text = (paths.monitoring() / evaluator.config).read_text(encoding="utf-8")
    return _texts(yaml_text.load(text)[evaluator.external_labels].get("external_labels", {}))


def _texts(values: Mapping[str, object]) -> dict[str, str]:
    return {name: str(value) for name, value in values.items()}
