"""The parts of a parsed query."""

from __future__ import annotations

from dataclasses import dataclass

from standins.shared.labels import Matcher
from standins.shared.logql.pipeline import Stage


@dataclass(frozen=True, slots=True)
class LogQuery:
    """Streams selected by matchers, and the stages for their lines."""

    matchers: tuple[Matcher, ...]
    stages: tuple[Stage, ...] = ()


@dataclass(frozen=True, slots=True)
class RangeAggregation:
    """A function over the lines of a window: `rate(log [5m] offset 1m)`; times in nanoseconds."""

    function: str
    log: LogQuery
    window: int
    offset: int = 0


@dataclass(frozen=True, slots=True)
class Grouping:
    """`by (names)`, or `without (names)`."""

    without: bool
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class VectorAggregation:
    """`sum by (x) (inner)`, `topk(3, inner)`."""

    function: str
    inner: MetricQuery
    grouping: Grouping | None = None
    parameter: int = 0


@dataclass(frozen=True, slots=True)
class Binary:
    """`left op right`; with `as_bool`, a comparison returns 0 or 1 instead of filtering."""

    op: str
    left: MetricQuery
    right: MetricQuery
    as_bool: bool = False


@dataclass(frozen=True, slots=True)
class Number:
    """A number in the query."""

    value: float


@dataclass(frozen=True, slots=True)
class Vector:
    """`vector(1)`: one series without labels."""

    value: float


MetricQuery = RangeAggregation | VectorAggregation | Binary | Number | Vector
Query = LogQuery | MetricQuery

COMPARISONS = frozenset({"==", "!=", ">", ">=", "<", "<="})
SETS = frozenset({"and", "or", "unless"})
