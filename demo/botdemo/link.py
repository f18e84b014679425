"""Connections to neighbours that may be missing: tried again with backoff, told of once when they come or go."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator
from typing import Protocol

Session = Callable[[Callable[[], None]], Awaitable[None]]
"""Uses a connection for as long as it lasts. It calls its argument once the neighbour has answered."""

log = logging.getLogger("botdemo.link")


class Background(Protocol):
    """What runs beside the web server."""

    async def run(self) -> None:
        """Run until it is cancelled."""


def backoff(first: float = 0.5, limit: float = 10.0) -> Iterator[float]:
    """Give delays in seconds, each twice the last, up to `limit`."""
    delay = first
    while True:
        yield delay
        delay = min(limit, delay * 2)


class Link:
    """Keeps a session with one neighbour going.

    `failures` are the exceptions that tell of a neighbour that is missing; any other is a mistake and passes.
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
        """Run session after session until it is cancelled."""
        while True:
            try:
                await self._session(self._established)
                self._lost("the connection was closed")
            except self._failures as error:
                self._lost(f"{type(error).__name__}: {error}")
            except asyncio.CancelledError:
                # A client library may cancel whoever waits for it when its connection breaks.
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
    """Tell whether it is this task that was told to stop."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
