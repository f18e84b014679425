"""Load on one address: so many requests, so many at a time, and what came of them (the plan's `ab -n 1000 -c 10`)."""

from __future__ import annotations

import asyncio
import math
import time
from collections import Counter
from dataclasses import dataclass

import httpx

from stackctl.clients.base import MAX_BODY, local_http_client

TIMEOUT = 10.0
"""Seconds that a whole request may take."""


class _TooLarge(Exception):
    """An answer that goes on and on."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a load came to: the answers by status, or by kind of failure where there was none."""

    answers: Counter[str]
    seconds: float
    latencies: tuple[float, ...]
    """Seconds from a request to the end of its answer, the shortest first; of those that were answered."""

    @property
    def ok(self) -> bool:
        """Return whether every answer was a 2xx."""
        return all(answer.startswith("2") for answer in self.answers)

    @property
    def rate(self) -> float:
        """Return the requests a second."""
        return self.answers.total() / self.seconds

    def percentile(self, percent: float) -> float | None:
        """Return a percentile of the latency, in seconds; None without an answer."""
        if not self.latencies:
            return None
        return self.latencies[max(math.ceil(len(self.latencies) * percent / 100), 1) - 1]


async def put(url: str, *, requests: int, concurrency: int, run: str | None = None) -> Outcome:
    """GET an address of this machine so many times, never more than `concurrency` at once.

    With `run` each request carries that and its own number, so that its log line can be told from all others.
    Nothing is raised for what the address answers, or if it does not: the outcome has it.
    """
    answers: Counter[str] = Counter()
    latencies: list[float] = []
    left = iter(range(requests))
    began = time.perf_counter()

    async def worker(client: httpx.AsyncClient) -> None:
        for number in left:
            # Loki takes equal lines of one moment for one line, and an application's clock may be coarse.
            params = {"run": run, "number": str(number)} if run else None
            sent = time.perf_counter()
            try:
                status = await _status(client, url, params)
            except (httpx.TimeoutException, TimeoutError):
                answers["Timeout"] += 1
            except _TooLarge:
                answers[f"more than {MAX_BODY // 2**20} MiB"] += 1
            except httpx.HTTPError as error:
                answers[type(error).__name__] += 1
            else:
                answers[str(status)] += 1
                latencies.append(time.perf_counter() - sent)

    async with local_http_client(TIMEOUT) as client:
        await asyncio.gather(*(worker(client) for _ in range(concurrency)))
    return Outcome(answers, time.perf_counter() - began, tuple(sorted(latencies)))


async def _status(client: httpx.AsyncClient, url: str, params: dict[str, str] | None) -> int:
    """Send a GET request, read and discard the whole response, and return its status.

    Raises httpx.HTTPError, TimeoutError after TIMEOUT seconds, _TooLarge for more than MAX_BODY bytes.
    """
    read = 0
    async with asyncio.timeout(TIMEOUT), client.stream("GET", url, params=params) as answer:
        async for chunk in answer.aiter_raw():
            read += len(chunk)
            if read > MAX_BODY:
                raise _TooLarge
    return answer.status_code
