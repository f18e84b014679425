"""Sends entries to Loki in batches, each until Loki has accepted it or the retries are exhausted."""

from __future__ import annotations

import asyncio
import json
import logging
import random
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

import aiohttp

from standins.promtail.metrics import Metrics
from standins.promtail.program import Program
from standins.promtail.stages import Entry
from standins.shared.labels import LabelSet, label_set
from standins.shared.logs import fields
from standins.shared.units import NANOSECONDS

_log = logging.getLogger("standins.promtail.client")

_QUEUE = 64
"""Entries waiting for a batch: the originals' stages hold about as many. Waiting entries count as read."""
_TOO_LONG = "line_too_long"
_REASONS = ("ingester_error", "rate_limited", _TOO_LONG)


@dataclass(frozen=True, slots=True)
class LineLimit:
    """`limits_config`: the maximum line length in bytes, 0 for no limit, and whether longer lines are truncated."""

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
    """An entry to send."""

    time: int
    line: str
    labels: LabelSet


class Client:
    """Accepts entries, and sends them while `run` runs."""

    def __init__(
        self,
        config: ClientConfig,
        metrics: Metrics,
        program: Program,
        limit: LineLimit | None = None,
    ) -> None:
        self._config = config
        self._agent = f"{program.name}/{program.version}"
        self._limit = limit or LineLimit()
        self._metrics = metrics
        self._host = urlsplit(config.url).netloc
        self._queue: asyncio.Queue[Outgoing] = asyncio.Queue(_QUEUE)
        self._sending: list[Outgoing] = []
        for counter in (metrics.sent_bytes, metrics.sent_entries):
            counter.labels(**metrics.by_host(self._host))
        for reason in _REASONS:
            metrics.dropped_bytes.labels(**metrics.by_reason(self._host, reason))
            metrics.dropped_entries.labels(**metrics.by_reason(self._host, reason))

    async def put(self, entry: Entry) -> None:
        """Accept an entry; wait while too many are already waiting."""
        if (outgoing := self._outgoing(entry)) is not None:
            await self._queue.put(outgoing)

    def _outgoing(self, entry: Entry) -> Outgoing | None:
        line = self._limited(entry.line)
        if line is None:
            return None
        labels = {**self._config.external_labels, **entry.labels}
        return Outgoing(entry.time, line, label_set(labels))

    def _limited(self, line: str) -> str | None:
        """Return the line, truncated if it is too long, or None if it is dropped instead."""
        limit, text = self._limit, line.encode()
        over = len(text) - limit.size
        if not limit.size or over <= 0:
            return line
        if not limit.truncate:
            labels = self._metrics.by_reason(self._host, _TOO_LONG)
            self._metrics.dropped_entries.labels(**labels).inc()
            self._metrics.dropped_bytes.labels(**labels).inc(len(text))
            return None
        self._metrics.mutated_entries.labels(self._host, "", _TOO_LONG).inc()
        self._metrics.mutated_bytes.labels(self._host, "", _TOO_LONG).inc(over)
        return text[: limit.size].decode(errors="ignore")

    async def run(self) -> None:
        """Send batches until cancelled."""
        async with self._session() as session:
            while True:
                self._sending = await self._batch()
                await self._deliver(session, self._sending)
                self._sending = []

    async def drain(self, last: Iterable[Entry]) -> None:
        """Try once to send the accepted entries, after `run` has ended."""
        left = self._sending
        while not self._queue.empty():
            left.append(self._queue.get_nowait())
        left += [one for entry in last if (one := self._outgoing(entry)) is not None]
        if left:
            async with self._session() as session:
                await self._deliver(session, left, retries=0)

    def _session(self) -> aiohttp.ClientSession:
        limits = aiohttp.ClientTimeout(total=self._config.timeout / NANOSECONDS)
        headers = {**self._config.headers, "User-Agent": self._agent}
        return aiohttp.ClientSession(timeout=limits, headers=headers)

    async def _batch(self) -> list[Outgoing]:
        batch = self._sending
        batch.append(await self._queue.get())
        size = len(batch[0].line)
        deadline = time.monotonic() + self._config.batch_wait / NANOSECONDS
        while size < self._config.batch_size:
            left = deadline - time.monotonic()
            if left <= 0:
                break
            try:
                # Without a timer for each of the entries that are already waiting.
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

    async def _deliver(
        self, session: aiohttp.ClientSession, batch: list[Outgoing], retries: int | None = None
    ) -> None:
        body = _encode(batch)
        by_host = self._metrics.by_host(self._host)
        last = self._config.max_retries if retries is None else retries
        backoff = self._config.min_backoff / NANOSECONDS
        for attempt in range(last + 1):
            status, problem = await self._send(session, body)
            if not problem:
                self._metrics.sent_bytes.labels(**by_host).inc(len(body))
                self._metrics.sent_entries.labels(**by_host).inc(len(batch))
                break
            retryable = status < 0 or status == 429 or status >= 500
            if not retryable or attempt == last:
                self._give_up(batch, body, status, problem)
                break
            _log.warning(
                "error sending batch, will retry", extra=fields(status=status, error=problem)
            )
            retried = {**by_host, "tenant": ""}
            self._metrics.batch_retries.labels(**retried).inc()
            await asyncio.sleep(random.uniform(backoff / 2, backoff))  # noqa: S311 only spreads the load
            backoff = min(backoff * 2, self._config.max_backoff / NANOSECONDS)

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
        self._metrics.observe_request(status, self._host, seconds)
        return status, problem

    def _give_up(self, batch: list[Outgoing], body: bytes, status: int, problem: str) -> None:
        reason = "rate_limited" if status == 429 else "ingester_error"
        labels = self._metrics.by_reason(self._host, reason)
        self._metrics.dropped_entries.labels(**labels).inc(len(batch))
        self._metrics.dropped_bytes.labels(**labels).inc(len(body))
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
