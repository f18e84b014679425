"""Puts load on an address: a number of concurrent requests, and their outcome (the plan's `ab -n 1000 -c 10`)."""

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
    """A response larger than MAX_BODY."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """The outcome of a load: the number of responses by status, and of failures by kind."""

    answers: Counter[str]
    seconds: float
    latencies: tuple[float, ...]
    """Seconds from each request to the end of its response, in ascending order, without failures."""

    @property
    def ok(self) -> bool:
        """Whether every response was a 2xx."""
        return all(answer.startswith("2") for answer in self.answers)

    @property
    def rate(self) -> float:
        """Requests per second."""
        return self.answers.total() / self.seconds

    def percentile(self, percent: float) -> float | None:
        """Return a percentile of the latency, in seconds; None if there were no responses."""
        if not self.latencies:
            return None
        return self.latencies[max(math.ceil(len(self.latencies) * percent / 100), 1) - 1]


async def put(url: str, *, requests: int, concurrency: int, run: str | None = None) -> Outcome:
    """Send GET requests to an address, at most `concurrency` at a time.

    With `run`, each request carries this ID and its own number, so that its log line is unique. Failed requests are
    counted in the outcome and raise nothing.
    """
    answers: Counter[str] = Counter()
    latencies: list[float] = []
    left = iter(range(requests))
    began = time.perf_counter()

    async def worker(client: httpx.AsyncClient) -> None:
        for number in left:
            # Loki drops identical lines with the same timestamp, and an application's clock may be coarse.
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
