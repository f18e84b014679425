"""What Alertmanager sends and when, by its documented rules: routes, groups and their timers, inhibition, repetition.

See prometheus.io/docs/alerting/latest/configuration (route, inhibit_rule) and the dispatcher, the inhibitor and the
deduplication of Alertmanager 0.26 to 0.28. tests/config/test_incidents.py compares it with the real program. A time is
seconds since the first evaluation.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from stackctl.values.durations import parse_duration
from tests.incidents.rules import Firing, Labels
from tests.incidents.world import STEP

TICK = 10
"""Seconds between two looks at the groups: all timers of the configuration are whole multiples."""

_MATCHER = re.compile(r"\s*(\w+)\s*(=~|!~|!=|=)\s*(.*?)\s*$", re.DOTALL)


def fits(matchers: Iterable[str], labels: Labels) -> bool:
    """Return whether labels fit all matchers; a label that is missing is empty."""
    return all(_fits(text, labels) for text in matchers)


@functools.lru_cache(100_000)
def _fits(text: str, labels: Labels) -> bool:
    found = _MATCHER.match(text)
    assert found is not None, text
    name, operator, value = found.groups()
    value = value.strip('"')
    pattern = value if "~" in operator else re.escape(value)
    matches = re.fullmatch(pattern, dict(labels).get(name, ""))
    return bool(matches) != operator.startswith("!")


@dataclass(frozen=True)
class Route:
    """A route that an alert takes, with what it inherits."""

    place: tuple[int, ...]
    receiver: str
    group_by: tuple[str, ...]
    wait: float
    interval: float
    repeat: float
    times: tuple[str, ...]


def routes(top: Mapping[str, Any], labels: Labels) -> list[Route]:
    """Return the routes that an alert takes: the deepest that fit, and those after one that continues."""
    return list(_taken(top, labels, (), {}))


def _taken(
    node: Mapping[str, Any],
    labels: Labels,
    place: tuple[int, ...],
    inherited: Mapping[str, Any],
) -> Iterator[Route]:
    options = {**inherited, **{key: value for key, value in node.items() if key != "routes"}}
    found = False
    for number, child in enumerate(node.get("routes", ())):
        if fits(child.get("matchers", ()), labels):
            own = {
                key: value
                for key, value in options.items()
                if key not in {"matchers", "continue", "active_time_intervals"}
            }
            yield from _taken(child, labels, (*place, number), own)
            found = True
            if not child.get("continue"):
                break
    if not found:
        yield Route(
            place,
            options["receiver"],
            tuple(options["group_by"]),
            parse_duration(options["group_wait"]),
            parse_duration(options["group_interval"]),
            parse_duration(options["repeat_interval"]),
            tuple(options.get("active_time_intervals", ())),
        )


@dataclass(frozen=True)
class Notification:
    """A notification: when, to which receiver, of which group, and which of its alerts fire or have ended."""

    at: float
    receiver: str
    group: tuple[tuple[int, ...], Labels]
    firing: frozenset[Labels]
    resolved: frozenset[Labels]


@dataclass
class _Group:
    route: Route
    next_flush: float
    alerts: dict[Labels, float | None] = field(default_factory=dict)
    """Alert → when it ended, None while it fires."""


@dataclass
class _Sent:
    at: float
    firing: frozenset[Labels]
    resolved: frozenset[Labels]


def notifications(
    config: Mapping[str, Any], firing: Firing, *, active: Mapping[str, bool]
) -> list[Notification]:
    """Return every notification of a run.

    `active` tells of each time interval whether it is one now. An alert that begins to fire does not inhibit what is
    sent at the same moment: two rule groups are evaluated one after the other, so the target may come first.
    """
    groups: dict[tuple[tuple[int, ...], Labels], _Group] = {}
    sent: dict[tuple[tuple[int, ...], Labels], _Sent] = {}
    found: list[Notification] = []
    now_firing: frozenset[Labels] = frozenset()
    began: dict[Labels, float] = {}
    for tick in range(0, len(firing) * STEP, TICK):
        if tick % STEP == 0:
            now = firing[tick // STEP]
            for labels in now - now_firing:
                began[labels] = tick
            for labels in now | now_firing:
                _insert(groups, config["route"], labels, tick, ended=labels not in now)
            now_firing = now
        sources = [labels for labels in now_firing if began[labels] < tick]
        for key, group in list(groups.items()):
            if group.next_flush > tick:
                continue
            group.next_flush = tick + group.route.interval
            message = _flush(key, group, sent.get(key), tick, config, sources, active)
            if message is not None:
                sent[key] = _Sent(tick, message.firing, message.resolved)
                found.append(message)
            group.alerts = {one: end for one, end in group.alerts.items() if end is None}
            if not group.alerts:
                del groups[key]
    return found


def _insert(
    groups: dict[tuple[tuple[int, ...], Labels], _Group],
    top: Mapping[str, Any],
    labels: Labels,
    at: float,
    *,
    ended: bool,
) -> None:
    known = dict(labels)
    for route in routes(top, labels):
        key = (
            route.place,
            frozenset((name, known[name]) for name in route.group_by if name in known),
        )
        if key not in groups:
            if ended:
                continue
            groups[key] = _Group(route, at + route.wait)
        groups[key].alerts[labels] = at if ended else None


def _flush(
    key: tuple[tuple[int, ...], Labels],
    group: _Group,
    last: _Sent | None,
    now: float,
    config: Mapping[str, Any],
    sources: Sequence[Labels],
    active: Mapping[str, bool],
) -> Notification | None:
    """Return what is sent of a group, None where nothing is: all of it is inhibited, known or not due."""
    if group.route.times and not any(active[name] for name in group.route.times):
        return None
    heard = {
        one: end
        for one, end in group.alerts.items()
        if not inhibited(config["inhibit_rules"], one, sources)
    }
    if not heard:
        return None
    firing = frozenset(one for one, end in heard.items() if end is None)
    resolved = frozenset(one for one, end in heard.items() if end is not None)
    if last is None:
        due = bool(firing)
    elif not firing <= last.firing:
        due = True
    elif not firing:
        due = bool(last.firing)
    else:
        due = not resolved <= last.resolved or last.at <= now - group.route.repeat
    return Notification(now, group.route.receiver, key, firing, resolved) if due else None


def inhibited(
    rules: Iterable[Mapping[str, Any]], labels: Labels, sources: Sequence[Labels]
) -> bool:
    """Return whether an alert is inhibited by one of those that fire."""
    target = dict(labels)
    for rule in rules:
        if not fits(rule["target_matchers"], labels):
            continue
        both = fits(rule["source_matchers"], labels)
        for one in sources:
            if (
                fits(rule["source_matchers"], one)
                and _same(rule["equal"], dict(one), target)
                and not (both and fits(rule["target_matchers"], one))
            ):
                return True
    return False


def _same(names: Iterable[str], source: Mapping[str, str], target: Mapping[str, str]) -> bool:
    return all(source.get(name, "") == target.get(name, "") for name in names)
