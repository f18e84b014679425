"""What is examined beside the checks: its failure ends them, and its success changes nothing."""

from __future__ import annotations

import asyncio

import pytest

from stackctl.errors import StackctlError
from stackctl.verify.standing import beside


async def nothing() -> None:
    await asyncio.sleep(0)


async def refusal() -> None:
    raise StackctlError("another stack answers")


def test_work_beside_a_condition_that_holds() -> None:
    async def work() -> int:
        await asyncio.sleep(0.01)
        return 7

    assert asyncio.run(beside(nothing(), work())) == 7


def test_a_condition_that_fails_ends_the_work_at_once() -> None:
    ended = []

    async def work() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            ended.append(True)

    with pytest.raises(StackctlError, match="another stack answers"):
        asyncio.run(beside(refusal(), work()))
    assert ended == [True]


def test_the_error_of_the_work_is_raised_as_it_is() -> None:
    async def work() -> None:
        raise KeyError("oops")

    with pytest.raises(KeyError):
        asyncio.run(beside(nothing(), work()))
