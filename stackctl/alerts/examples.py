"""An example of each alert: the labels and annotations that its unit test expects when it fires."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
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
    known: list[str] = []
    for evaluator in _EVALUATORS:
        expressions = _expressions(evaluator)
        known += expressions
        if alert in expressions:
            return _example(alert, expressions[alert], evaluator)
    raise UsageError(f"unknown alert {alert!r}", remedy=nearest(alert, known))


def _example(alert: str, expression: str, evaluator: _Evaluator) -> Example:
    # Most files do not mention it, and parsing them all takes a second.
    for document in _documents(evaluator.tests, mentioning=alert):
        for test in document["tests"]:
            for check in test.get("alert_rule_test", ()):
                if check["alertname"] == alert and check.get("exp_alerts"):
                    expected = check["exp_alerts"][0]
                    return Example(
                        {
                            "alertname": alert,
                            **_external_labels(evaluator),
                            **_texts(expected["exp_labels"]),
                        },
                        _texts(expected.get("exp_annotations", {})),
                        expression,
                    )
    raise UsageError(
        f"{alert} has no unit test that expects it to fire",
        remedy=f"add one to infrastructure/monitoring/{evaluator.tests}",
    )


def _expressions(evaluator: _Evaluator) -> dict[str, str]:
    """Return the expression of every alert; that of the first rule where several share the name."""
    found: dict[str, str] = {}
    for document in _documents(evaluator.rules):
        for group in document["groups"]:
            for rule in group["rules"]:
                if "alert" in rule:
                    found.setdefault(rule["alert"], rule["expr"])
    return found


def _documents(folder: str, mentioning: str = "") -> Iterator[Any]:
    for path in sorted((paths.monitoring() / folder).glob("*.yml")):
        text = path.read_text(encoding="utf-8")
        if mentioning in text:
            yield yaml_text.load(text)


def _external_labels(evaluator: _Evaluator) -> dict[str, str]:
    text = (paths.monitoring() / evaluator.config).read_text(encoding="utf-8")
    return _texts(yaml_text.load(text)[evaluator.external_labels].get("external_labels", {}))


def _texts(values: Mapping[str, object]) -> dict[str, str]:
    return {name: str(value) for name, value in values.items()}
