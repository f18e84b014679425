"""Sends entries to Loki in batches, each until Loki has it or the retries are over."""

from __future__ import annotations

import asyncio
import json
import logging
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

import aiohttp

from standins.promtail import VERSION
from standins.promtail.metrics import Metrics
from standins.promtail.stages import Entry
from standins.shared.labels import LabelSet, label_set
from standins.shared.logs import fields
from standins.shared.units import NANOSECONDS

_log = logging.getLogger("standins.promtail.client")

_QUEUE = 2000
_NO_TENANT = ""
_TOO_LONG = "line_too_long"
_REASONS = ("ingester_error", "rate_limited", _TOO_LONG)


@dataclass(frozen=True, slots=True)
class LineLimit:
    """`limits_config`: the longest line in bytes, 0 for any, and whether a longer one is cut or dropped."""

    size: int = 0
    truncate: bool = False


@dataclass(frozen=True, slots=True)
class ClientConfig:
    """One entry of `clients`; times in nanoseconds, sizes in bytes."""

    url: str
    batch_wait: int
    batch_size: int
    timeout: int
    min_backoff: int
    max_backoff: int
    max_retries: int
    external_labels: Mapping[str, str]
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Outgoing:
    """An entry to send, and what to call once it is Loki's, or given up."""

    time: int
    line: str
    labels: LabelSet
    done: Callable[[], None]


class Client:
    """Takes entries, and sends them while `run` runs."""

    def __init__(
        self, config: ClientConfig, metrics: Metrics, limit: LineLimit | None = None
    ) -> None:
        self._config = config
        self._limit = limit or LineLimit()
        self._metrics = metrics
        self._host = urlsplit(config.url).netloc
        self._queue: asyncio.Queue[Outgoing] = asyncio.Queue(_QUEUE)
        for counter in (metrics.encoded_bytes, metrics.sent_bytes, metrics.sent_entries):
            counter.labels(self._host)
        for reason in _REASONS:
            metrics.dropped_bytes.labels(self._host, _NO_TENANT, reason)
            metrics.dropped_entries.labels(self._host, _NO_TENANT, reason)
            metrics.mutated_bytes.labels(self._host, _NO_TENANT, reason)
            metrics.mutated_entries.labels(self._host, _NO_TENANT, reason)

    async def put(self, entry: Entry, done: Callable[[], None]) -> None:
        """Take an entry; waits while too many are waiting already."""
        line = self._limited(entry.line)
        if line is None:
            done()
            return
        labels = {**self._config.external_labels, **entry.labels}
        await self._queue.put(Outgoing(entry.time, line, label_set(labels), done))

    def _limited(self, line: str) -> str | None:
        """Return the line, cut where it is too long, or None where it is then dropped."""
        limit, text = self._limit, line.encode()
        over = len(text) - limit.size
        if not limit.size or over <= 0:
            return line
        labels = (self._host, _NO_TENANT, _TOO_LONG)
        if not limit.truncate:
            self._metrics.dropped_entries.labels(*labels).inc()
            self._metrics.dropped_bytes.labels(*labels).inc(len(text))
            return None
        self._metrics.mutated_entries.labels(*labels).inc()
        self._metrics.mutated_bytes.labels(*labels).inc(over)
        return text[: limit.size].decode(errors="ignore")

    async def run(self) -> None:
        """Send batches for ever."""
        limits = aiohttp.ClientTimeout(total=self._config.timeout / NANOSECONDS)
        headers = {**self._config.headers, "User-Agent": f"promtail/{VERSION}"}
        async with aiohttp.ClientSession(timeout=limits, headers=headers) as session:
            while True:
                await self._deliver(session, await self._batch())

    async def _batch(self) -> list[Outgoing]:
        batch = [await self._queue.get()]
        size = len(batch[0].line)
        deadline = time.monotonic() + self._config.batch_wait / NANOSECONDS
        while size < self._config.batch_size:
            left = deadline - time.monotonic()
            if left <= 0:
                break
            try:
                # Without a timer for each of the entries that are there already.
                entry = (
                    self._queue.get_nowait()
                    if not self._queue.empty()
                    else await asyncio.wait_for(self._queue.get(), left)
                )
            except TimeoutError:
                break
            batch.append(entry)
            size += len(entry.line)
        return batch

    async def _deliver(self, session: aiohttp.ClientSession, batch: list[Outgoing]) -> None:
        body = _encode(batch)
        self._metrics.encoded_bytes.labels(self._host).inc(len(body))
        backoff = self._config.min_backoff / NANOSECONDS
        for attempt in range(self._config.max_retries + 1):
            status, problem = await self._send(session, body)
            if not problem:
                self._metrics.sent_bytes.labels(self._host).inc(len(body))
                self._metrics.sent_entries.labels(self._host).inc(len(batch))
                break
            retryable = status < 0 or status == 429 or status >= 500
            if not retryable or attempt == self._config.max_retries:
                self._give_up(batch, body, status, problem)
                break
            _log.warning(
                "error sending batch, will retry", extra=fields(status=status, error=problem)
            )
            self._metrics.batch_retries.labels(self._host, _NO_TENANT).inc()
            await asyncio.sleep(random.uniform(backoff / 2, backoff))  # noqa: S311 only spreads the load
            backoff = min(backoff * 2, self._config.max_backoff / NANOSECONDS)
        for entry in batch:
            entry.done()

    async def _send(self, session: aiohttp.ClientSession, body: bytes) -> tuple[int, str]:
        began = time.monotonic()
        status, problem = -1, ""
        try:
            async with session.post(
                self._config.url, data=body, headers={"Content-Type": "application/json"}
            ) as answer:
                status = answer.status
                if status // 100 != 2:
                    text = (await answer.content.read(1024)).decode(errors="replace")
                    first = text.partition("\n")[0]
                    problem = f"server returned HTTP status {status}: {first}"
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            problem = str(error) or type(error).__name__
        seconds = time.monotonic() - began
        self._metrics.request_seconds.labels(str(status), self._host).observe(seconds)
        return status, problem

    def _give_up(self, batch: list[Outgoing], body: bytes, status: int, problem: str) -> None:
        reason = "rate_limited" if status == 429 else "ingester_error"
        labels = (self._host, _NO_TENANT, reason)
        self._metrics.dropped_entries.labels(*labels).inc(len(batch))
        self._metrics.dropped_bytes.labels(*labels).inc(len(body))
        _log.error("final error sending batch", extra=fields(status=status, error=problem))


def _encode(batch: list[Outgoing]) -> bytes:
    streams: dict[LabelSet, list[list[str]]] = {}
    for entry in batch:
        streams.setdefault(entry.labels, []).append([str(entry.time), entry.line])
    document = {
        "streams": [
            {"stream": dict(labels), "values": values} for labels, values in streams.items()
        ]
    }
    return json.dumps(document, separators=(",", ":")).encode()
