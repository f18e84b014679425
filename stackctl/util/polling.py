"""Polls until a condition holds or time is up."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")


async def until(
    ask: Callable[[], Awaitable[T]],
    satisfied: Callable[[T], bool],
    *,
    seconds: float,
    pause: float,
) -> T:
    """Call `ask` until its result satisfies the condition or `seconds` have passed, and return the last result.

    `pause` is the number of seconds between two calls. An exception from `ask` ends the wait.
    """
    deadline = time.monotonic() + seconds
    while True:
        answer = await ask()
        if satisfied(answer) or time.monotonic() >= deadline:
            return answer
        await asyncio.sleep(pause)
