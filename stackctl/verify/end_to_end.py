"""Section 9.5 of the plan: load, its metrics and log lines, and the dashboards."""

from __future__ import annotations

import asyncio
import time

from stackctl.clients.prometheus import PrometheusClient
from stackctl.errors import ServiceError
from stackctl.util.polling import until
from stackctl.verify.model import Check, Context, Finding, skipped

_SCRAPE_WAIT = 30.0
_PAUSE = 0.5


async def _scraped(prometheus: PrometheusClient, endpoint: str) -> float:
    """Return how many requests to an endpoint Prometheus has counted."""
    query = f'sum(http_requests_total{{job="rust-core-engine", endpoint="{endpoint}"}})'
    return sum(sample.value[1] for sample in await prometheus.query(query))


def _no_load() -> Finding:
    return skipped(
        "an application to put load on",
        "rust-core-engine is not running, or has no port on this machine",
    )


async def _load(context: Context) -> Finding:
    if context.load is None:
        return _no_load()
    load = context.load
    made = (await load.outcome()).made
    others = {what: number for what, number in made.answers.items() if what != "200"}
    return Finding(
        made.answers["200"] >= load.requests,
        f"{load.requests} requests to {load.path}, {load.concurrency} at a time, return HTTP 200",
        ", ".join(f"{number} times {what}" for what, number in others.items())
        or f"{made.answers['200']} times 200 in {made.seconds:.1f} s, run {load.run}",
        "stackctl logs rust-core-engine",
    )


async def _metrics(context: Context) -> Finding:
    if context.load is None:
        return _no_load()
    load = context.load
    outcome = await load.outcome()
    expected = outcome.before + load.requests
    known = await until(
        lambda: _scraped(context.prometheus, load.path),
        lambda number: number >= expected,
        seconds=_SCRAPE_WAIT,
        pause=_PAUSE,
    )
    grown = known - outcome.before
    return Finding(
        grown >= load.requests,
        f"http_requests_total grows by {load.requests} or more",
        f"it grew by {grown:.0f}",
        "stackctl verify prometheus.targets",
    )


async def _logs(context: Context) -> Finding:
    if context.load is None:
        return _no_load()
    load = context.load
    outcome = await load.outcome()
    query = f'{{job="rust-core-engine"}} |= "health" |= "{load.run}"'

    async def count() -> int:
        streams = await context.loki.query_range(
            query, start=outcome.started, end=time.time_ns(), limit=load.requests + 1
        )
        return sum(len(stream.entries) for stream in streams)

    lines = await until(
        count, lambda number: number >= load.requests, seconds=_SCRAPE_WAIT, pause=_PAUSE
    )
    return Finding(
        lines == load.requests,
        f"{load.requests} log lines with `health` and this run's ID in Loki",
        f"{lines} lines of {query}",
        f"stackctl logs {context.log_collector}",
    )


async def _dashboards(context: Context) -> Finding:
    # Grafana serves the same page for any address and renders in the browser: check what the browser would load.
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
        f"each of the {len(uids)} dashboards opens with its panels",
        "; ".join(wrong) or f"{len(uids)} dashboards",
        "stackctl logs grafana",
    )


_PLAN = "9.5 End-to-End Test: "

CHECKS = (
    Check(
        "end-to-end.load",
        "The application answers load",
        _PLAN + "Generate load",
        "rust-core-engine",
        _load,
        slow=True,
    ),
    Check(
        "end-to-end.metrics",
        "The load appears in the metrics",
        _PLAN + "Check metrics appear in Prometheus",
        "prometheus",
        _metrics,
        slow=True,
    ),
    Check(
        "end-to-end.logs",
        "The load appears in the logs",
        _PLAN + "Check logs appear in Loki",
        "promtail",
        _logs,
        slow=True,
    ),
    Check(
        "end-to-end.dashboards",
        "Dashboards open",
        _PLAN + "View in Grafana dashboard",
        "grafana",
        _dashboards,
    ),
)
