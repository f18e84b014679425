"""Answers queries: reads the parameters as Loki does, runs the query in a thread, and returns the data."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from standins.loki.config import Limits
from standins.loki.evaluate import Evaluator, Lines, QueryError, Values
from standins.loki.store import Part, Store
from standins.shared import units
from standins.shared.labels import LabelSet, label_set
from standins.shared.logql import pipeline
from standins.shared.logql.parser import parse
from standins.shared.logql.syntax import (
    Binary,
    LogQuery,
    MetricQuery,
    RangeAggregation,
    VectorAggregation,
)
from standins.shared.units import NANOSECONDS

_MAX_POINTS = 11_000
_DEFAULT_LIMIT = 100
_DEFAULT_SINCE = 3600 * NANOSECONDS
_LOOK_BACK = 30 * NANOSECONDS
_MILLISECOND = 1_000_000
_LOOK_EVERY = 2000
_MAX_LINES = 2_000_000


class QueryTimeoutError(Exception):
    """The query took longer than `query_timeout`; the text is Loki's."""

    def __init__(self) -> None:
        super().__init__(
            "Request timed out, decrease the duration of the request or add more label matchers "
            "(prefer exact match over regex match) to reduce the amount of data processed."
        )


@dataclass(frozen=True, slots=True)
class Bounds:
    """The time range of a request, in nanoseconds."""

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Request:
    """One query; `step` is 0 for an instant query, whose time is `bounds.end`."""

    query: str
    bounds: Bounds
    step: int
    limit: int
    forward: bool


@dataclass(slots=True)
class _Work:
    """The amount that a query has read, and its deadline."""

    deadline: float
    lines: int = 0
    size: int = 0
    cancelled: threading.Event = field(default_factory=threading.Event)

    def read(self, line: str) -> None:
        self.lines += 1
        self.size += len(line)
        if self.lines % _LOOK_EVERY == 0 and (
            time.monotonic() > self.deadline or self.cancelled.is_set()
        ):
            raise QueryTimeoutError
        if self.lines > _MAX_LINES:
            raise QueryError(
                f"the stand-in reads at most {_MAX_LINES} lines: select fewer streams or a shorter time range"
            )


def bounds(form: Mapping[str, str], now: int) -> Bounds:
    """Read start, end and since: by default the hour before now. Raises ValueError."""
    since = units.duration(form["since"]) if form.get("since") else _DEFAULT_SINCE
    end = _timestamp(form.get("end", ""), now, "end")
    return Bounds(_timestamp(form.get("start", ""), min(end, now) - since, "start"), end)


def range_request(form: Mapping[str, str], now: int) -> Request:
    """Read a range query's parameters. Raises ValueError with Loki's text."""
    times = bounds(form, now)
    if times.end < times.start:
        raise ValueError("end timestamp must not be before or equal to start time")
    step = _step(form.get("step", ""), times)
    if step <= 0:
        raise ValueError(
            "zero or negative query resolution step widths are not accepted. Try a positive integer"
        )
    if (times.end - times.start) // step > _MAX_POINTS:
        raise ValueError(
            "exceeded maximum resolution of 11,000 points per time series. "
            "Try increasing the value of the step parameter"
        )
    return Request(form.get("query", ""), times, step, _limit(form), _forward(form))


def instant_request(form: Mapping[str, str], now: int) -> Request:
    """Read an instant query's parameters. Raises ValueError with Loki's text."""
    at = _timestamp(form.get("time", ""), now, "time")
    return Request(form.get("query", ""), Bounds(at, at), 0, _limit(form), _forward(form))


class Prepared:
    """A parsed query with the parts of the store that it reads; `run` can be called in another thread."""

    def __init__(self, request: Request, store: Store, limits: Limits, align_steps: bool) -> None:
        """Parse and look up. Raises ParseError, QueryError, ValueError."""
        self._parsed = parse(request.query)
        self._limits = limits
        times = request.bounds
        if not request.step and isinstance(self._parsed, LogQuery):
            # The lines at an instant are those of the 30 s before it (Loki's querier.engine.max_look_back_period).
            times = Bounds(times.end - _LOOK_BACK, times.end)
        if request.step and align_steps and not isinstance(self._parsed, LogQuery):
            times = Bounds(
                times.start // request.step * request.step, times.end // request.step * request.step
            )
        self._request = Request(request.query, times, request.step, request.limit, request.forward)
        self._work = _Work(time.monotonic() + limits.query_timeout / NANOSECONDS)
        if limits.max_query_length and times.end - times.start > limits.max_query_length:
            raise ValueError(
                "the query time range exceeds the limit (query length: "
                f"{units.show_duration(times.end - times.start)}, limit: "
                f"{units.show_duration(limits.max_query_length)})"
            )
        if isinstance(self._parsed, LogQuery) and request.limit > limits.max_entries:
            raise ValueError(
                "max entries limit per query exceeded, limit > max_entries_limit "
                f"({request.limit} > {limits.max_entries})"
            )
        self._parts = {
            id(log): store.select(log.matchers, start, end)
            for log, start, end in _reads(self._parsed, times)
        }

    def cancel(self) -> None:
        """Make a running query stop soon, because nobody waits for it any more."""
        self._work.cancelled.set()

    def run(self) -> dict[str, Any]:
        """Return the `data` of Loki's response. Raises QueryError, QueryTimeoutError."""
        began = time.monotonic()
        result: Sequence[Any]
        if isinstance(self._parsed, LogQuery):
            result = self._streams(self._parsed)
            kind, entries = "streams", sum(len(stream["values"]) for stream in result)
        else:
            kind, result = self._numbers(self._parsed)
            entries = len(result)
        seconds = time.monotonic() - began
        return {"resultType": kind, "result": result, "stats": self._stats(seconds, entries)}

    def _streams(self, query: LogQuery) -> list[dict[str, Any]]:
        request = self._request
        sign = 1 if request.forward else -1

        def edge(part: Part) -> int:
            return part.first if request.forward else -part.last

        found: list[tuple[int, LabelSet, str]] = []
        for part in sorted(self._parts[id(query)], key=edge):
            full = len(found) >= request.limit
            if full and edge(part) > sign * found[-1][0]:
                break
            found += self._part(query, part)
            found.sort(key=lambda entry: sign * entry[0])
            del found[request.limit :]
        streams: dict[LabelSet, list[list[str]]] = {}
        for at, labels, line in found:
            streams.setdefault(labels, []).append([str(at), line])
        return [
            {"stream": dict(labels), "values": values} for labels, values in sorted(streams.items())
        ]

    def _part(self, query: LogQuery, part: Part) -> Iterator[tuple[int, LabelSet, str]]:
        for stream, entries in part.read().items():
            left = self._request.limit
            ordered = entries if self._request.forward else reversed(entries)
            for at, line in ordered:
                kept, labels = self._through(query, stream, line)
                if kept is not None:
                    yield at, labels, kept
                    left -= 1
                    if not left:
                        break

    def _through(self, query: LogQuery, stream: LabelSet, line: str) -> tuple[str | None, LabelSet]:
        self._work.read(line)
        if not query.stages:
            return line, stream
        labels = dict(stream)
        kept = pipeline.run(query.stages, line, labels)
        return kept, label_set(labels)

    def _numbers(self, query: MetricQuery) -> tuple[str, Sequence[Any]]:
        times, step = self._request.bounds, self._request.step
        evaluator = Evaluator(query, times.start, times.end, self._lines, self._limits.max_series)
        if not step:
            value = evaluator.at(times.end)
            if isinstance(value, float):
                # Loki 2.9 writes only this time in milliseconds.
                return "scalar", [times.end // _MILLISECOND, _number(value)]
            return "vector", [
                {"metric": dict(labels), "value": [_moment(times.end), _number(one)]}
                for labels, one in _ordered(value)
            ]
        series: dict[LabelSet, list[list[Any]]] = {}
        for at in range(times.start, times.end + 1, step):
            values = _vector(evaluator.at(at))
            for labels, one in values.items():
                series.setdefault(labels, []).append([_moment(at), _number(one)])
            if len(series) > self._limits.max_series:
                raise QueryError(
                    f"maximum of series ({self._limits.max_series}) reached for a single query"
                )
            if time.monotonic() > self._work.deadline or self._work.cancelled.is_set():
                raise QueryTimeoutError
        return "matrix", [
            {"metric": dict(labels), "values": points} for labels, points in sorted(series.items())
        ]

    def _lines(self, query: LogQuery, start: int, end: int) -> Lines:
        for part in self._parts[id(query)]:
            for stream, entries in part.read().items():
                for at, line in entries:
                    if start < at <= end:
                        kept, labels = self._through(query, stream, line)
                        if kept is not None:
                            yield at, kept, labels

    def _stats(self, seconds: float, entries: int) -> dict[str, Any]:
        rate = 1 / seconds if seconds > 0 else 0
        return {
            "summary": {
                "bytesProcessedPerSecond": int(self._work.size * rate),
                "linesProcessedPerSecond": int(self._work.lines * rate),
                "totalBytesProcessed": self._work.size,
                "totalLinesProcessed": self._work.lines,
                "execTime": round(seconds, 6),
                "queueTime": 0,
                "subqueries": 0,
                "totalEntriesReturned": entries,
                "splits": 0,
                "shards": 0,
            }
        }


def _reads(query: LogQuery | MetricQuery, times: Bounds) -> Iterator[tuple[LogQuery, int, int]]:
    """Yield each log query in it with the time range that it reads, excluding the end."""
    match query:
        case LogQuery():
            # The range excludes its end.
            yield query, times.start, times.end
        case RangeAggregation():
            start = times.start - query.offset - query.window
            yield query.log, start + 1, times.end - query.offset + 1
        case VectorAggregation():
            yield from _reads(query.inner, times)
        case Binary():
            yield from _reads(query.left, times)
            yield from _reads(query.right, times)


def _vector(value: Values | float) -> Values:
    return {(): value} if isinstance(value, float) else value


def _ordered(values: Values) -> Sequence[tuple[LabelSet, float]]:
    return sorted(values.items(), key=lambda item: item[0])


def _moment(nanoseconds: int) -> float | int:
    seconds = nanoseconds // _MILLISECOND / 1000
    return int(seconds) if seconds.is_integer() else seconds


def _number(value: float) -> str:
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    return str(int(value)) if value.is_integer() and abs(value) < 1e21 else repr(value)


def _timestamp(text: str, default: int, name: str) -> int:
    if not text:
        return default
    try:
        if "." in text and "T" not in text:
            return round(float(text) * 1000) * (NANOSECONDS // 1000)
        if text.lstrip("-").isdigit():
            return int(text) * (NANOSECONDS if len(text) <= 10 else 1)
        return units.rfc3339(text)
    except ValueError as error:
        raise ValueError(f"could not parse '{name}' parameter: {error}") from None


def _step(text: str, times: Bounds) -> int:
    if not text:
        return max((times.end - times.start) // NANOSECONDS // 250, 1) * NANOSECONDS
    try:
        return round(float(text) * NANOSECONDS)
    except ValueError:
        pass
    try:
        return units.duration(text)
    except ValueError:
        raise ValueError(f'cannot parse "{text}" to a valid duration') from None


def _limit(form: Mapping[str, str]) -> int:
    text = form.get("limit") or str(_DEFAULT_LIMIT)
    if not text.lstrip("-").isdigit():
        raise ValueError(f'strconv.Atoi: parsing "{text}": invalid syntax')
    if int(text) <= 0:
        raise ValueError("limit must be a positive value")
    return int(text)


def _forward(form: Mapping[str, str]) -> bool:
    text = form.get("direction") or "backward"
    if text.lower() not in {"forward", "backward"}:
        raise ValueError(f"invalid direction '{text}'")
    return text.lower() == "forward"
