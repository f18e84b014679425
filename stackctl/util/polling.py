"""Asking again and again: what the waits for an answer share."""

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
    """Poll until an answer satisfies the condition or `seconds` have passed, and return the last answer.

    There is a `pause`, in seconds, between two questions. What `ask` raises ends the wait.
    """
    deadline = time.monotonic() + seconds
    while True:
        answer = await ask()
        if satisfied(answer) or time.monotonic() >= deadline:
            return answer
        await asyncio.sleep(pause)
