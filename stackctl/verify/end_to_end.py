"""Section 9.5 of the plan: load, the metrics and log lines that it leaves, the dashboards."""

from __future__ import annotations

import asyncio
import re
import time
import uuid
from dataclasses import dataclass, field

from stackctl import load
from stackctl.applications import Target
from stackctl.clients.base import HttpClient
from stackctl.clients.prometheus import PrometheusClient
from stackctl.polling import until
from stackctl.verify.model import Check, Context, Finding

REQUESTS = 1000
AT_ONCE = 10
_SCRAPE_WAIT = 30.0
_PAUSE = 0.5


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a load came to, and what was counted `before` it."""

    made: load.Outcome
    started: int
    """Unix nanoseconds."""
    before: float


@dataclass
class Load:
    """One load a run, whichever check asks for it first; its requests carry the run's id."""

    url: str
    target: Target
    """Where Prometheus finds it, under which path."""
    path: str
    run: str = field(default_factory=lambda: uuid.uuid4().hex)
    _done: asyncio.Task[Outcome] | None = None

    async def outcome(self) -> Outcome:
        """Give what the load came to, and make it before, if nobody has."""
        if self._done is None:
            self._done = asyncio.create_task(self._make())
        return await asyncio.shield(self._done)

    async def _make(self) -> Outcome:
        # What Prometheus knows is some seconds old and, after a restart, of the application's last life.
        async with _Application(self.url) as application:
            before = await application.counted(self.target.path, self.path)
        started = time.time_ns()
        made = await load.put(
            self.url + self.path, requests=REQUESTS, concurrency=AT_ONCE, run=self.run
        )
        return Outcome(made, started, before)


class _Application(HttpClient):
    """A client of the application's own metrics."""

    service = "rust-core-engine"

    async def counted(self, metrics: str, endpoint: str) -> float:
        """Give how many requests to an endpoint it has answered, by what it says at its metrics path."""
        text = (await self._request("GET", metrics)).decode(errors="replace")
        pattern = rf'^http_requests_total\{{[^}}]*endpoint="{re.escape(endpoint)}"[^}}]*\}} (\S+)'
        return sum(float(value) for value in re.findall(pattern, text, re.MULTILINE))


async def _scraped(prometheus: PrometheusClient, endpoint: str) -> float:
    """Give how many requests to an endpoint Prometheus knows of."""
    query = f'sum(http_requests_total{{job="rust-core-engine", endpoint="{endpoint}"}})'
    return sum(sample.value[1] for sample in await prometheus.query(query))


def _no_load() -> Finding:
    return Finding(
        True,
        "an application to put load on",
        "not asked: rust-core-engine does not run, or has no port on this machine",
    )


async def _load(context: Context) -> Finding:
    if context.load is None:
        return _no_load()
    made = (await context.load.outcome()).made
    others = {what: number for what, number in made.answers.items() if what != "200"}
    return Finding(
        not others,
        f"{REQUESTS} requests to {context.load.path}, {AT_ONCE} at a time, are answered with 200",
        ", ".join(f"{number} times {what}" for what, number in others.items())
        or f"{made.answers['200']} times 200 in {made.seconds:.1f} s, run {context.load.run}",
        "stackctl logs rust-core-engine",
    )


async def _metrics(context: Context) -> Finding:
    if context.load is None:
        return _no_load()
    outcome, path = await context.load.outcome(), context.load.path
    wanted = outcome.before + REQUESTS
    known = await until(
        lambda: _scraped(context.prometheus, path),
        lambda number: number >= wanted,
        seconds=_SCRAPE_WAIT,
        pause=_PAUSE,
    )
    grown = known - outcome.before
    return Finding(
        grown >= REQUESTS,
        f"http_requests_total grows by {REQUESTS} or more",
        f"it grew by {grown:.0f}",
        "stackctl verify prometheus.targets",
    )


async def _logs(context: Context) -> Finding:
    if context.load is None:
        return _no_load()
    outcome = await context.load.outcome()
    query = f'{{job="rust-core-engine"}} |= "health" |= "{context.load.run}"'

    async def count() -> int:
        streams = await context.loki.query_range(
            query, start=outcome.started, end=time.time_ns(), limit=REQUESTS + 1
        )
        return sum(len(stream.entries) for stream in streams)

    lines = await until(
        count, lambda number: number >= REQUESTS, seconds=_SCRAPE_WAIT, pause=_PAUSE
    )
    return Finding(
        lines == REQUESTS,
        f"{REQUESTS} log lines with `health` and this run's id in Loki",
        f"{lines} lines of {query}",
        "stackctl logs promtail",
    )


async def _dashboards(context: Context) -> Finding:
    pages = await asyncio.gather(
        *(context.grafana.page(f"/d/{uid}") for uid in context.expected_dashboards)
    )
    empty = [uid for uid, page in zip(context.expected_dashboards, pages, strict=True) if not page]
    return Finding(
        bool(pages) and not empty,
        f"a page for each of {len(context.expected_dashboards)} dashboards",
        f"empty: {', '.join(empty)}" if empty else f"{len(pages)} pages",
        "stackctl logs grafana",
    )


_PLAN = "9.5 End-to-End Test: "

CHECKS = (
    Check(
        "end-to-end.load",
        "Load is answered",
        _PLAN + "Generate load",
        "rust-core-engine",
        _load,
        slow=True,
    ),
    Check(
        "end-to-end.metrics",
        "Load shows in the metrics",
        _PLAN + "Verify metrics in Prometheus",
        "prometheus",
        _metrics,
        slow=True,
    ),
    Check(
        "end-to-end.logs",
        "Load shows in the logs",
        _PLAN + "Verify logs in Loki",
        "promtail",
        _logs,
        slow=True,
    ),
    Check(
        "end-to-end.dashboards",
        "Dashboards can be opened",
        _PLAN + "Verify dashboards",
        "grafana",
        _dashboards,
    ),
)
