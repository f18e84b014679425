"""A panel's queries with variables filled in, and their results from Prometheus and Loki."""

from __future__ import annotations

import asyncio
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from stackctl.clients.loki import LokiClient
from stackctl.clients.prometheus import PrometheusClient
from stackctl.errors import ServiceError
from stackctl.snapshot.dashboard import Dashboard, Panel, Target
from stackctl.snapshot.timerange import SCRAPE_INTERVAL, TimeRange

_AT_ONCE = 8


@dataclass(frozen=True, slots=True)
class Series:
    """A series of a result: its query, its name in the legend, and (Unix seconds, value) pairs."""

    ref_id: str
    name: str
    labels: Mapping[str, str]
    points: Sequence[tuple[float, float]]

    @property
    def last(self) -> float:
        """The newest value that is a number; NaN if there is none."""
        numbers = (value for _, value in reversed(self.points) if not math.isnan(value))
        return next(numbers, math.nan)


@dataclass(frozen=True, slots=True)
class Line:
    """A log line: its query, its time in Unix nanoseconds, and the labels of its stream."""

    ref_id: str
    timestamp: int
    labels: Mapping[str, str]
    text: str


@dataclass(frozen=True, slots=True)
class Answer:
    """The results of a panel's queries, or why they failed. `expressions` are the queries that were sent."""

    expressions: Mapping[str, str]
    series: Sequence[Series] = ()
    lines: Sequence[Line] = ()
    failure: str | None = None

    @property
    def empty(self) -> bool:
        """Whether there is nothing to show."""
        return not self.series and not self.lines

    @property
    def without_data(self) -> list[str]:
        """The queries that returned neither a number nor a line; a series of only NaN does not count."""
        found = {one.ref_id for one in self.series if not math.isnan(one.last)}
        found |= {line.ref_id for line in self.lines}
        return [ref_id for ref_id in self.expressions if ref_id not in found]


def expand(expression: str, dashboard: Dashboard, times: TimeRange) -> str:
    """Fill in the dashboard's variables with their defaults, and Grafana's own from the time range."""
    values = {
        "__interval": f"{times.step}s",
        "__interval_ms": str(times.step * 1000),
        # grafana.com/docs/grafana/latest/datasources/prometheus/template-variables
        "__rate_interval": f"{max(times.step + SCRAPE_INTERVAL, 4 * SCRAPE_INTERVAL)}s",
        "__range": f"{round(times.seconds)}s",
        "__range_s": str(round(times.seconds)),
        "__range_ms": str(round(times.seconds * 1000)),
        **{variable.name: variable.default for variable in dashboard.templating.variables},
    }

    def value(found: re.Match[str]) -> str:
        return values.get(found[1] or found[2], found[0])

    return re.sub(r"\$(?:(\w+)|\{(\w+)(?::\w+)?\})", value, expression)


async def ask(
    dashboard: Dashboard, times: TimeRange, prometheus: PrometheusClient, loki: LokiClient
) -> list[Answer]:
    """Run the queries of all panels, and return an answer for each panel.

    A failed query is reported in its panel's answer, and the other panels are still shown.
    """
    limit = asyncio.Semaphore(_AT_ONCE)

    async def ask_panel(panel: Panel) -> Answer:
        expressions = {
            target.ref_id: expand(target.expr, dashboard, times) for target in panel.targets
        }
        try:
            async with limit:
                if panel.datasource.type == "loki":
                    return Answer(expressions, lines=await _lines(loki, panel, expressions, times))
                series = [
                    one
                    for target in panel.targets
                    for one in await _series(prometheus, target, expressions[target.ref_id], times)
                ]
                return Answer(expressions, series)
        except ServiceError as error:
            return Answer(expressions, failure=error.message)

    return await asyncio.gather(*map(ask_panel, dashboard.panels))


async def _series(
    prometheus: PrometheusClient, target: Target, expression: str, times: TimeRange
) -> list[Series]:
    end = times.end.timestamp()
    # A range with one point is an instant query at a chosen time.
    start, step = (end, 1) if target.instant else (times.start.timestamp(), times.step)
    found = await prometheus.query_range(expression, start=start, end=end, step=step)
    return [
        Series(target.ref_id, _legend(target, one.metric, expression), one.metric, one.values)
        for one in found
        if one.values
    ]


async def _lines(
    loki: LokiClient, panel: Panel, expressions: Mapping[str, str], times: TimeRange
) -> list[Line]:
    """Return the newest lines first."""
    lines = [
        Line(target.ref_id, entry.timestamp, stream.labels, entry.line)
        for target in panel.targets
        for stream in await loki.query_range(
            expressions[target.ref_id],
            start=int(times.start.timestamp() * 1e9),
            end=int(times.end.timestamp() * 1e9),
            limit=target.max_lines,
        )
        for entry in stream.entries
    ]
    return sorted(lines, key=lambda line: line.timestamp, reverse=True)


def _legend(target: Target, labels: Mapping[str, str], expression: str) -> str:
    """Return a series' name: the legend with labels filled in, else the labels, else the query."""
    if target.legend_format and target.legend_format != "__auto":
        fill = re.sub(
            r"\{\{\s*(\w+)\s*\}\}", lambda found: labels.get(found[1], ""), target.legend_format
        )
        return " ".join(fill.split())
    pairs = ", ".join(f'{name}="{value}"' for name, value in labels.items() if name != "__name__")
    name = labels.get("__name__", "")
    return f"{name}{{{pairs}}}" if pairs else name or expression
