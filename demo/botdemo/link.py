"""Connections to services that may be unreachable: retried with backoff, and logged once when their state changes."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator
from typing import Protocol

Session = Callable[[Callable[[], None]], Awaitable[None]]
"""Uses a connection until it ends. It calls its argument once the service has responded."""

log = logging.getLogger("botdemo.link")


class Background(Protocol):
    """A task that runs next to the web server."""

    async def run(self) -> None:
        """Run until cancelled."""


def backoff(first: float = 0.5, limit: float = 10.0) -> Iterator[float]:
    """Yield delays in seconds, each twice the last, up to `limit`."""
    delay = first
    while True:
        yield delay
        delay = min(limit, delay * 2)


class Link:
    """Keeps a session with one service going.

    `failures` are the exceptions that mean an unreachable service; any other is a bug and propagates.
    """

    def __init__(
        self,
        neighbour: str,
        session: Session,
        failures: tuple[type[Exception], ...],
        delays: Callable[[], Iterator[float]] = backoff,
    ) -> None:
        self._neighbour = neighbour
        self._session = session
        self._failures = failures
        self._delays = delays
        self._waits = delays()
        self._connected: bool | None = None

    async def run(self) -> None:
        """Run session after session until cancelled."""
        while True:
            try:
                await self._session(self._established)
                self._lost("the connection was closed")
            except self._failures as error:
                self._lost(f"{type(error).__name__}: {error}")
            except asyncio.CancelledError:
                # A client library may cancel its caller when its connection breaks.
                if _stopping():
                    raise
                self._lost("the connection broke")
            await asyncio.sleep(next(self._waits))

    def _established(self) -> None:
        self._waits = self._delays()
        if not self._connected:
            log.info("connected to %s", self._neighbour)
        self._connected = True

    def _lost(self, reason: str) -> None:
        if self._connected is not False:
            log.warning("%s cannot be reached, trying again: %s", self._neighbour, reason)
        self._connected = False


def _stopping() -> bool:
    """Return whether this task itself was cancelled."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
