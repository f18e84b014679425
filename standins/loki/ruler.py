"""Evaluates the rules, and sends alerts to Alertmanager as Loki's ruler does."""

from __future__ import annotations

import asyncio
import json
import logging
import re
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

import aiohttp

from standins.loki.config import RulerConfig
from standins.loki.evaluate import QueryError
from standins.loki.query import QueryTimeoutError
from standins.shared import units
from standins.shared.labels import LabelSet, label_set
from standins.shared.logql.lexer import ParseError
from standins.shared.logql.parser import parse
from standins.shared.logql.syntax import LogQuery
from standins.shared.logs import fields
from standins.shared.units import NANOSECONDS

_INTERVAL = "1m"
_RESEND = 60 * NANOSECONDS
_TEMPLATE = re.compile(r"\{\{\s*(?:\$labels\.([A-Za-z_]\w*)|(\$value))\s*\}\}")
_TIMEOUT = aiohttp.ClientTimeout(total=10)

_log = logging.getLogger("standins.loki.ruler")

Vector = Sequence[Mapping[str, Any]]
"""The vector that an instant query returns, as in Loki's response."""


@dataclass(slots=True)
class _Alert:
    """A series that a rule returns: its labels, and the nanoseconds since which it is pending and firing."""

    labels: LabelSet
    annotations: Mapping[str, str]
    pending: int
    value: float
    fired: int | None = None


@dataclass(slots=True)
class Rule:
    """An alerting rule and its alerts. `hold` is its `for`, in nanoseconds."""

    name: str
    expression: str
    hold: int
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    held: dict[LabelSet, _Alert] = field(default_factory=dict)
    error: str = ""
    evaluated: int | None = None
    """The time of the last evaluation, in nanoseconds since 1970."""
    took: float = 0.0
    """The duration of the last evaluation, in seconds."""

    def alerts(self) -> list[dict[str, Any]]:
        """Return its alerts as Prometheus' API shows them."""
        return [
            {
                "labels": dict(one.labels),
                "annotations": dict(one.annotations),
                "state": "firing" if one.fired else "pending",
                "activeAt": units.show_time(one.pending),
                "value": _exponent(one.value),
            }
            for one in self.held.values()
        ]

    def state(self) -> dict[str, Any]:
        """Return the rule as Prometheus' API shows it."""
        alerts = self.alerts()
        states = {alert["state"] for alert in alerts}
        health = "unknown" if self.evaluated is None else "err" if self.error else "ok"
        return {
            "state": next((one for one in ("firing", "pending") if one in states), "inactive"),
            "name": self.name,
            "query": self.expression,
            "duration": self.hold / NANOSECONDS,
            "labels": dict(self.labels),
            "annotations": dict(self.annotations),
            "alerts": alerts,
            "health": health,
            "lastError": self.error,
            "type": "alerting",
            "lastEvaluation": _shown(self.evaluated),
            "evaluationTime": self.took,
        }

    def take(
        self, vector: Vector, now: int, interval: int, config: RulerConfig
    ) -> list[dict[str, Any]]:
        """Update the alerts with the result of an evaluation at `now`, and return those to send to Alertmanager."""
        before, self.held = self.held, {}
        for one in vector:
            series, value = one["metric"], str(one["value"][1])
            labels = label_set(
                {
                    **config.external_labels,
                    **series,
                    **{name: _expanded(text, series, value) for name, text in self.labels.items()},
                    "alertname": self.name,
                }
            )
            annotations = {
                name: _expanded(text, series, value) for name, text in self.annotations.items()
            }
            known = before.pop(labels, None)
            pending = now if known is None else known.pending
            alert = _Alert(labels, annotations, pending, float(value))
            fired = known.fired if known else None
            alert.fired = now if fired is None and now - alert.pending >= self.hold else fired
            self.held[labels] = alert
        until = now + 4 * max(interval, _RESEND)
        sent = [self._message(one, until, config) for one in self.held.values() if one.fired]
        return sent + [self._message(one, now, config) for one in before.values() if one.fired]

    def _message(self, alert: _Alert, until: int, config: RulerConfig) -> dict[str, Any]:
        return {
            "labels": dict(alert.labels),
            "annotations": alert.annotations,
            "startsAt": units.show_time(alert.fired or alert.pending),
            "endsAt": units.show_time(until),
            "generatorURL": config.external_url + _explore(self.expression, config.datasource_uid),
        }


@dataclass(frozen=True, slots=True)
class Group:
    """Rules that are evaluated together, every `interval` nanoseconds."""

    name: str
    interval: int
    rules: tuple[Rule, ...]
    file: str = ""

    def state(self) -> dict[str, Any]:
        """Return the group as Prometheus' API shows it."""
        return {
            "name": self.name,
            "file": self.file,
            "rules": [rule.state() for rule in self.rules],
            "interval": self.interval / NANOSECONDS,
            "limit": 0,
            "lastEvaluation": _shown(max((rule.evaluated or 0 for rule in self.rules), default=0)),
            "evaluationTime": sum(rule.took for rule in self.rules),
        }


def groups(files: Mapping[str, Iterable[Any]]) -> tuple[Group, ...]:
    """Read rule groups, by file. Raises ValueError for anything but alerting rules with supported features."""
    return tuple(_group(file, group) for file, found in files.items() for group in found)


async def run(
    group: Group, config: RulerConfig, query: Callable[[str, int], Awaitable[Vector]]
) -> None:
    """Evaluate a group at its interval until cancelled; `query` evaluates an expression at a time in nanoseconds."""
    async with aiohttp.ClientSession(timeout=_TIMEOUT) as session:
        while True:
            for rule in group.rules:
                await _evaluate(rule, group.interval, config, query, session)
            await asyncio.sleep(group.interval / NANOSECONDS)


async def _evaluate(
    rule: Rule,
    interval: int,
    config: RulerConfig,
    query: Callable[[str, int], Awaitable[Vector]],
    session: aiohttp.ClientSession,
) -> None:
    now, began = time.time_ns(), time.monotonic()
    rule.error = ""
    try:
        vector = await query(rule.expression, now)
    except (QueryError, QueryTimeoutError, ValueError) as error:
        rule.error = str(error)
        _log.warning("evaluating rule failed", extra=fields(rule=rule.name, err=error))
        return
    finally:
        rule.evaluated, rule.took = now, time.monotonic() - began
    if not (alerts := rule.take(vector, now, interval, config)):
        return
    for url in config.alertmanagers:
        try:
            async with session.post(f"{url}/api/v2/alerts", json=alerts) as answer:
                if answer.status // 100 != 2:
                    _log.warning("alerts refused", extra=fields(url=url, status=answer.status))
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            problem = str(error) or type(error).__name__
            _log.warning("sending alerts failed", extra=fields(url=url, err=problem))


def _group(file: str, group: Any) -> Group:
    try:
        interval = units.duration(str(group.get("interval", _INTERVAL)))
        return Group(
            str(group["name"]), interval, tuple(_rule(one) for one in group["rules"]), file
        )
    except (AttributeError, KeyError, TypeError, ParseError, ValueError) as error:
        raise ValueError(f"{file}: {error}") from None


def _rule(rule: Mapping[str, Any]) -> Rule:
    if "alert" not in rule:
        raise ValueError("the stand-in evaluates alerting rules only")
    name, expression = str(rule["alert"]), str(rule["expr"])
    if isinstance(parse(expression), LogQuery):
        raise ValueError(f"{name}: a rule needs numbers, not lines")
    labels = {key: str(text) for key, text in (rule.get("labels") or {}).items()}
    annotations = {key: str(text) for key, text in (rule.get("annotations") or {}).items()}
    for text in (*labels.values(), *annotations.values()):
        if "{{" in _TEMPLATE.sub("", text):
            raise ValueError(f"{name}: the stand-in knows $labels.NAME and $value only: {text!r}")
    return Rule(name, expression, units.duration(str(rule.get("for", "0"))), labels, annotations)


def _exponent(value: float) -> str:
    """Format a number as Go does with 'e' and the fewest digits."""
    return next(
        text for places in range(18) if float(text := f"{value:.{places}e}") == value or places > 16
    )


def _shown(at: int | None) -> str:
    """Format a time, or Go's zero time if there is none."""
    return units.show_time(at) if at else "0001-01-01T00:00:00Z"


def _expanded(text: str, series: Mapping[str, str], value: str) -> str:
    return _TEMPLATE.sub(lambda found: value if found[2] else series.get(found[1], ""), text)


def _explore(expression: str, datasource: str) -> str:
    query: dict[str, Any] = {"expr": expression, "queryType": "range"}
    if datasource:
        query["datasource"] = {"type": "loki", "uid": datasource}
    return "/explore?" + urlencode({"left": json.dumps({"queries": [query]})})
