"""Evaluates metric queries: the lines of all windows are read once, then each step counts its own."""

from __future__ import annotations

import bisect
import math
import operator
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from itertools import accumulate

from standins.shared.labels import LabelSet, label_set, show
from standins.shared.logql import pipeline
from standins.shared.logql.syntax import (
    COMPARISONS,
    SETS,
    Binary,
    Grouping,
    LogQuery,
    MetricQuery,
    Number,
    RangeAggregation,
    Vector,
    VectorAggregation,
)
from standins.shared.units import NANOSECONDS

Lines = Iterable[tuple[int, str, LabelSet]]
"""Time, text and labels of lines after their stages."""

Load = Callable[[LogQuery, int, int], Lines]
"""Returns the lines of a query with `start < time <= end`, in nanoseconds."""

Values = dict[LabelSet, float]


class QueryError(Exception):
    """A valid LogQL query that cannot be answered; the text is Loki's."""


class Evaluator:
    """Evaluates one query at instants between `start` and `end` (nanoseconds), with lines from `load`."""

    def __init__(
        self, query: MetricQuery, start: int, end: int, load: Load, max_series: int
    ) -> None:
        self._query = query
        self._max_series = max_series
        self._windows: dict[int, Mapping[LabelSet, _Series]] = {}
        self._read(query, start, end, load)

    def at(self, instant: int) -> Values | float:
        """Return the value of every series at this instant, or the number if the query is one.

        Raises QueryError for more series than the limit.
        """
        result = self._value(self._query, instant)
        if not isinstance(result, float) and len(result) > self._max_series:
            raise QueryError(f"maximum of series ({self._max_series}) reached for a single query")
        return result

    def _read(self, query: MetricQuery, start: int, end: int, load: Load) -> None:
        match query:
            case RangeAggregation():
                first = start - query.offset - query.window
                lines = load(query.log, first, end - query.offset)
                self._windows[id(query)] = _series(query, lines)
            case VectorAggregation():
                self._read(query.inner, start, end, load)
            case Binary():
                self._read(query.left, start, end, load)
                self._read(query.right, start, end, load)

    def _value(self, query: MetricQuery, instant: int) -> Values | float:
        match query:
            case Number():
                return query.value
            case Vector():
                return {(): query.value}
            case RangeAggregation():
                return self._window(query, instant)
            case VectorAggregation():
                inner = self._value(query.inner, instant)
                return _aggregate(query, {} if isinstance(inner, float) else inner)
            case Binary():
                return _binary(
                    query, self._value(query.left, instant), self._value(query.right, instant)
                )

    def _window(self, query: RangeAggregation, instant: int) -> Values:
        end = instant - query.offset
        seconds = query.window / NANOSECONDS
        divisor = seconds if query.function in {"rate", "bytes_rate"} else 1.0
        values = {}
        for labels, series in self._windows[id(query)].items():
            total = series.total(end - query.window, end)
            if total is not None:
                values[labels] = total / divisor
        if query.function == "absent_over_time":
            return {} if values else {_equal(query.log): 1.0}
        return values


class _Series:
    """The lines of one series: their times and running total."""

    def __init__(self, points: list[tuple[int, int]]) -> None:
        points.sort()
        self._times = [time for time, _ in points]
        self._totals = list(accumulate((amount for _, amount in points), initial=0))

    def total(self, after: int, until: int) -> float | None:
        """Return the sum over `after < time <= until`, or None if there is no line."""
        first = bisect.bisect_right(self._times, after)
        last = bisect.bisect_right(self._times, until)
        return float(self._totals[last] - self._totals[first]) if last > first else None


def _series(query: RangeAggregation, lines: Lines) -> Mapping[LabelSet, _Series]:
    in_bytes = query.function.startswith("bytes_")
    points: dict[LabelSet, list[tuple[int, int]]] = defaultdict(list)
    for time, line, labels in lines:
        points[labels].append((time, len(line.encode()) if in_bytes else 1))
    for labels in points:
        error = dict(labels).get(pipeline.ERROR)
        if error:
            raise QueryError(
                f"pipeline error: '{error}' for series: '{show(labels)}'.\n"
                "Use a label filter to intentionally skip this error. "
                f'(e.g | __error__!="{error}").\n'
                'To skip all potential errors you can match empty errors.(e.g __error__="")\n'
                "The label filter can also be specified after unwrap. "
                '(e.g | unwrap latency | __error__="" )\n'
            )
    return {labels: _Series(found) for labels, found in points.items()}


def _equal(query: LogQuery) -> LabelSet:
    """Return the labels that a selector requires by `=`, which are those of an absent series."""
    others = {matcher.name for matcher in query.matchers if matcher.op != "="}
    return label_set(
        {
            matcher.name: matcher.value
            for matcher in reversed(query.matchers)
            if matcher.name not in others
        }
    )


def _aggregate(query: VectorAggregation, values: Values) -> Values:
    groups: dict[LabelSet, list[tuple[LabelSet, float]]] = defaultdict(list)
    for labels, value in values.items():
        groups[_group(query.grouping, labels)].append((labels, value))
    if query.function in {"topk", "bottomk"}:
        chosen: Values = {}
        for members in groups.values():
            members.sort(key=lambda member: member[1], reverse=query.function == "topk")
            chosen |= dict(members[: query.parameter])
        return chosen
    reduce = _REDUCE[query.function]
    return {group: reduce([value for _, value in members]) for group, members in groups.items()}


_REDUCE: Mapping[str, Callable[[list[float]], float]] = {
    "sum": sum,
    "avg": lambda values: sum(values) / len(values),
    "max": max,
    "min": min,
    "count": lambda values: float(len(values)),
}


def _group(grouping: Grouping | None, labels: LabelSet) -> LabelSet:
    if grouping is None:
        return ()
    return label_set(
        {name: value for name, value in labels if (name in grouping.names) != grouping.without}
    )


def _binary(query: Binary, left: Values | float, right: Values | float) -> Values | float:
    if isinstance(left, float) and isinstance(right, float):
        return _number(query.op, left, right)
    if query.op in SETS and not isinstance(left, float) and not isinstance(right, float):
        return _set(query.op, left, right)
    pairs: dict[LabelSet, tuple[float, float, float]] = {}
    if isinstance(right, float):
        pairs = {key: (value, right, value) for key, value in _values(left).items()}
    elif isinstance(left, float):
        pairs = {key: (left, value, value) for key, value in right.items()}
    else:
        pairs = {key: (left[key], right[key], left[key]) for key in left.keys() & right.keys()}
    if query.op not in COMPARISONS or query.as_bool:
        return {key: _number(query.op, one, other) for key, (one, other, _) in pairs.items()}
    compare = pipeline.OPERATORS[query.op]
    return {key: kept for key, (one, other, kept) in pairs.items() if compare(one, other)}


def _values(operand: Values | float) -> Values:
    return {} if isinstance(operand, float) else operand


def _set(op: str, left: Values, right: Values) -> Values:
    if op == "and":
        return {key: value for key, value in left.items() if key in right}
    if op == "unless":
        return {key: value for key, value in left.items() if key not in right}
    return right | left


def _number(op: str, left: float, right: float) -> float:
    if op in COMPARISONS:
        return float(pipeline.OPERATORS[op](left, right))
    return _ARITHMETIC[op](left, right)


_ARITHMETIC: Mapping[str, Callable[[float, float], float]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    # Unlike PromQL, LogQL has no infinite value here.
    "/": lambda left, right: left / right if right else math.nan,
    "%": lambda left, right: math.fmod(left, right) if right else math.nan,
    "^": lambda left, right: float(left**right) if left or right >= 0 else math.inf,
}
