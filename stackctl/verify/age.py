"""How long Prometheus must run before a query can return data, which depends on the recording rules that it reads."""

from __future__ import annotations

import asyncio
import datetime as dt
import re
from collections.abc import Iterable, Mapping

from stackctl.clients.prometheus import PrometheusClient, RuleGroup
from stackctl.render.promql import metric_names
from stackctl.values.durations import parse_duration

_SCRAPES = 60.0
"""Seconds within which every target is scraped twice, as a rate requires."""
_OFFSET = re.compile(r"\boffset\s+([0-9][0-9a-z]*)")


async def ready_in(prometheus: PrometheusClient, expressions: Iterable[str]) -> float:
    """Return the seconds until all of these expressions can return data; 0 if they already can.

    Prometheus chooses when to evaluate a rule group within the group's interval, so a recording rule has its first
    value up to an interval after a start or reload, and one that reads other recording rules another interval later.
    """
    groups, configured = await asyncio.gather(prometheus.rule_groups(), prometheus.configured())
    age = (dt.datetime.now(dt.UTC) - configured).total_seconds()
    records = _records(groups)
    needed = max((seconds_needed(one, records) for one in expressions), default=0.0)
    return max(0.0, needed - age)


def seconds_needed(
    expression: str,
    records: Mapping[str, tuple[float, tuple[str, ...]]],
    seen: frozenset[str] = frozenset(),
) -> float:
    """Return after how many seconds Prometheus has data for an expression at the latest.

    `records` maps a recording rule to its group's interval in seconds and its expressions. A range adds nothing,
    because it has a value from its second sample on. An offset looks back and adds its whole length.
    """
    waits = [_SCRAPES]
    for name in metric_names(expression) - seen:
        if name in records:
            interval, expressions = records[name]
            waits += [interval + seconds_needed(one, records, seen | {name}) for one in expressions]
    offsets = [parse_duration(text) for text in _OFFSET.findall(expression)]
    return max(waits) + max(offsets, default=0.0)


def _records(groups: Iterable[RuleGroup]) -> dict[str, tuple[float, tuple[str, ...]]]:
    found: dict[str, tuple[float, tuple[str, ...]]] = {}
    for group in groups:
        for rule in group.rules:
            if rule.type == "recording":
                interval, expressions = found.get(rule.name, (0.0, ()))
                found[rule.name] = (max(interval, group.interval), (*expressions, rule.query))
    return found
