"""Section 9.5 of the plan: load, the metrics and log lines that it leaves, the dashboards."""

from __future__ import annotations

import asyncio
import time
import uuid
from dataclasses import dataclass, field

from stackctl.clients import load
from stackctl.clients.base import HttpClient
from stackctl.clients.prometheus import PrometheusClient
from stackctl.errors import ServiceError
from stackctl.services.applications import Target
from stackctl.util.polling import until
from stackctl.verify.model import Check, Context, Finding, skipped

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
        # A load that could not even begin is no load: whoever asks again makes it.
        if self._done is None or (self._done.done() and self._done.exception()):
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
        counters = await self._counters(metrics, "http_requests_total")
        return sum(one.value for one in counters if one.labels.get("endpoint") == endpoint)


async def _scraped(prometheus: PrometheusClient, endpoint: str) -> float:
    """Give how many requests to an endpoint Prometheus knows of."""
    query = f'sum(http_requests_total{{job="rust-core-engine", endpoint="{endpoint}"}})'
    return sum(sample.value[1] for sample in await prometheus.query(query))


def _no_load() -> Finding:
    return skipped(
        "an application to put load on",
        "rust-core-engine does not run, or has no port on this machine",
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
    # Grafana serves its page for any address, and draws in the browser: what that loads is what tells.
    uids = context.expected_dashboards
    answers = await asyncio.gather(
        *(context.grafana.dashboard(uid) for uid in uids), return_exceptions=True
    )
    wrong = []
    for uid, answer in zip(uids, answers, strict=True):
        if isinstance(answer, ServiceError):
            wrong.append(f"{uid}: {answer.message}")
        elif isinstance(answer, BaseException):
            raise answer
        elif answer.get("uid") != uid or not answer.get("panels"):
            wrong.append(f"{uid}: no panels")
    return Finding(
        bool(uids) and not wrong,
        f"each of {len(uids)} dashboards opens with its panels",
        "; ".join(wrong) or f"{len(uids)} dashboards",
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
        _PLAN + "Check metrics appear in Prometheus",
        "prometheus",
        _metrics,
        slow=True,
    ),
    Check(
        "end-to-end.logs",
        "Load shows in the logs",
        _PLAN + "Check logs appear in Loki",
        "promtail",
        _logs,
        slow=True,
    ),
    Check(
        "end-to-end.dashboards",
        "Dashboards can be opened",
        _PLAN + "View in Grafana dashboard",
        "grafana",
        _dashboards,
    ),
)
