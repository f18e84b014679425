"""Polls until a condition holds or time is up."""

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
    """Call `ask` until its result satisfies the condition or `seconds` have passed, and return the last result.

    `pause` is the number of seconds between two calls. An exception from `ask` ends the wait.
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
        # tenacity awaits only coroutine functions, not a lambda that returns a coroutine.
        return await ask()

    return await retrying(attempt)
