"""Puts load on the application, once per run, for all checks that examine its traces."""

from __future__ import annotations

import asyncio
import time
import uuid
from dataclasses import dataclass, field

from stackctl.clients import load
from stackctl.clients.base import HttpClient
from stackctl.services.applications import Target

REQUESTS = 1000
AT_ONCE = 10


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of a load, and the application's request count before it."""

    made: load.Outcome
    started: int
    """Unix nanoseconds."""
    before: float


@dataclass
class LoadRunner:
    """The load of a run, started by the first check that needs its outcome. Its requests carry the run's ID."""

    url: str
    target: Target
    """Where Prometheus scrapes the application, and at which path."""
    path: str
    requests: int = REQUESTS
    concurrency: int = AT_ONCE
    run: str = field(default_factory=lambda: uuid.uuid4().hex)
    _done: asyncio.Task[Outcome] | None = None

    async def outcome(self) -> Outcome:
        """Return the outcome of the load, which runs first unless another check has started it."""
        # A load that failed before its first request does not count: the next check starts it again.
        if self._done is None or (self._done.done() and self._done.exception()):
            self._done = asyncio.create_task(self._make())
        return await asyncio.shield(self._done)

    async def _make(self) -> Outcome:
        # Not from Prometheus, which is some seconds behind and, after a restart, still has the old counters.
        async with _Application(self.url) as application:
            before = await application.counted(self.target.path, self.path)
        started = time.time_ns()
        made = await load.put(
            self.url + self.path,
            requests=self.requests,
            concurrency=self.concurrency,
            run=self.run,
        )
        return Outcome(made, started, before)


class _Application(HttpClient):
    """A client of the application's own metrics."""

    service = "rust-core-engine"

    async def counted(self, metrics: str, endpoint: str) -> float:
        """Return how many requests to an endpoint the application has counted, from its metrics page."""
        counters = await self._counters(metrics, "http_requests_total")
        return sum(one.value for one in counters if one.labels.get("endpoint") == endpoint)
