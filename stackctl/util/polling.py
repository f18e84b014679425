"""Asking again and again: what the waits for an answer share."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

from tenacity import AsyncRetrying, RetryCallState, retry_if_result, stop_after_delay, wait_fixed

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

    def last(state: RetryCallState) -> T:
        assert state.outcome is not None  # noqa: S101 - tenacity sets it before it calls
        answer: T = state.outcome.result()
        return answer

    retrying = AsyncRetrying(
        stop=stop_after_delay(seconds),
        wait=wait_fixed(pause),
        retry=retry_if_result(lambda answer: not satisfied(answer)),
        retry_error_callback=last,
    )

    async def attempt() -> T:
        # tenacity awaits coroutine functions only, not a lambda that gives a coroutine.
        return await ask()

    return await retrying(attempt)
