"""Calls from one of the demo's services to another, over real HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import aiohttp

from botdemo.link import Link

_TIMEOUT_SECONDS = 5.0


def http_link(
    neighbour: str,
    url: str,
    call: Callable[[aiohttp.ClientSession], Awaitable[None]],
    interval: float,
) -> Link:
    """Make `call` to the service at `url` every `interval` seconds; a status of 400 or above is a failure."""

    async def session(established: Callable[[], None]) -> None:
        async with aiohttp.ClientSession(
            url,
            timeout=aiohttp.ClientTimeout(total=_TIMEOUT_SECONDS),
            raise_for_status=True,
        ) as client:
            while True:
                await call(client)
                established()
                await asyncio.sleep(interval)

    return Link(neighbour, session, (aiohttp.ClientError, OSError, TimeoutError))
