"""Which buckets the loaded rules require: one above each alert's limit, and those that a rule reads by name."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from stackctl.clients.prometheus import Rule, RuleGroup

_NUMBER = r"(\d+(?:\.\d+)?)"
_NAME = r"([a-zA-Z_:][\w:]*)"
_QUANTILE = re.compile(r"\bhistogram_quantile\s*\(")
_BUCKET = re.compile(rf"\b{_NAME}_bucket\b")
_DIVISOR = re.compile(rf"\s*/\s*{_NUMBER}")
_ABOVE = re.compile(rf"\s*>=?\s*{_NUMBER}(?![\w.])")
_RECORD_ABOVE = re.compile(rf"{_NAME}\s*>=?\s*{_NUMBER}(?![\w.])")
_NAMED = re.compile(rf'\b{_NAME}_bucket\{{[^}}]*\ble="{_NUMBER}"')


@dataclass(slots=True)
class Needs:
    """The rules' requirements for one histogram, in its unit."""

    limit: float = 0.0
    """The highest value to which an alert compares a quantile; a quantile never exceeds the last finite bucket."""
    alert: str = ""
    """The alert with that limit."""
    bounds: dict[float, str] = field(default_factory=dict)
    """Bound of a bucket that a rule reads by name → that rule."""


@dataclass(frozen=True, slots=True)
class _Quantile:
    histogram: str
    divisor: float
    """The divisor that converts the quantile to another unit."""
    start: int
    rest: str
    """The rest of the expression after the quantile."""


def needs(groups: Iterable[RuleGroup]) -> Mapping[str, Needs]:
    """Return the requirements of the loaded rules, by histogram."""
    rules = [rule for group in groups for rule in group.rules]
    recorded = {
        rule.name: quantile
        for rule in rules
        if rule.type == "recording"
        for quantile in _quantiles(rule.query.strip())
        if quantile.start == 0 and not quantile.rest
    }
    needed: dict[str, Needs] = {}
    for rule in rules:
        for histogram, bound in _NAMED.findall(rule.query):
            needed.setdefault(histogram, Needs()).bounds[float(bound)] = rule.name
        if rule.type == "alerting":
            for histogram, limit in _limits(rule, recorded):
                of_histogram = needed.setdefault(histogram, Needs())
                if limit > of_histogram.limit:
                    of_histogram.limit, of_histogram.alert = limit, rule.name
    return needed


def _limits(rule: Rule, recorded: Mapping[str, _Quantile]) -> Iterator[tuple[str, float]]:
    """Yield each histogram whose quantile an alert compares to a value, and that value."""
    for quantile in _quantiles(rule.query):
        if above := _ABOVE.match(quantile.rest):
            yield quantile.histogram, float(above[1]) * quantile.divisor
    for name, limit in _RECORD_ABOVE.findall(rule.query):
        if name in recorded:
            yield recorded[name].histogram, float(limit) * recorded[name].divisor


def _quantiles(expr: str) -> Iterator[_Quantile]:
    for found in _QUANTILE.finditer(expr):
        end = _closing(expr, found.end())
        bucket = _BUCKET.search(expr, found.end(), end)
        if bucket:
            divided = _DIVISOR.match(expr, end)
            rest = expr[divided.end() if divided else end :]
            yield _Quantile(bucket[1], float(divided[1]) if divided else 1.0, found.start(), rest)


def _closing(expr: str, start: int) -> int:
    """Return the end of the parenthesis that opens before `start`. Strings with parentheses are not expected."""
    depth = 1
    for position in range(start, len(expr)):
        depth += {"(": 1, ")": -1}.get(expr[position], 0)
        if depth == 0:
            return position + 1
    return len(expr)
