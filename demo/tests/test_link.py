"""A missing neighbour is tried again, ever more slowly, and told of once."""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import Callable, Iterator, Sized

import pytest

from botdemo.backends import take_signal
from botdemo.link import Link, Session, backoff
from botdemo.simulation.analysis import Signal


def run(link: Link, sessions: Sized, until: int) -> None:
    """Run a link for a hundred turns of the loop, in which at least `until` of its `sessions` are held."""

    async def bounded() -> None:
        task = asyncio.create_task(link.run())
        for _ in range(100):
            await asyncio.sleep(0)
        assert len(sessions) >= until
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(bounded())


def scripted(*outcomes: BaseException | None) -> tuple[Session, list[BaseException | None]]:
    """Return a session that follows a script: an exception to raise, or None to connect and be closed."""
    held: list[BaseException | None] = []

    async def session(established: Callable[[], None]) -> None:
        outcome = outcomes[min(len(held), len(outcomes) - 1)]
        held.append(outcome)
        if outcome is None:
            established()
        else:
            raise outcome

    return session, held


def at_once() -> Iterator[float]:
    return itertools.repeat(0.0)


def told(caplog: pytest.LogCaptureFixture) -> list[tuple[int, str]]:
    return [(record.levelno, record.getMessage()) for record in caplog.records]


def test_backoff_doubles_up_to_its_limit() -> None:
    assert list(itertools.islice(backoff(0.5, 3.0), 5)) == [0.5, 1.0, 2.0, 3.0, 3.0]


def test_each_change_of_state_is_told_of_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="botdemo")
    refused = ConnectionRefusedError("refused")
    session, held = scripted(refused, refused, refused, None, refused, refused)
    run(Link("redis", session, (OSError,), at_once), held, until=6)
    assert told(caplog) == [
        (
            logging.WARNING,
            "redis cannot be reached, trying again: ConnectionRefusedError: refused",
        ),
        (logging.INFO, "connected to redis"),
        (logging.WARNING, "redis cannot be reached, trying again: the connection was closed"),
    ]


def test_delays_begin_anew_after_a_connection() -> None:
    used: list[int] = []

    def delays() -> Iterator[float]:
        for delay in itertools.count(1):
            used.append(delay)
            yield 0.0

    session, held = scripted(OSError(), OSError(), None, OSError())
    run(Link("redis", session, (OSError,), delays), held, until=4)
    assert used[:4] == [1, 2, 1, 2]


def test_an_exception_that_is_no_missing_neighbour_passes() -> None:
    session, _ = scripted(ZeroDivisionError())
    with pytest.raises(ZeroDivisionError):
        asyncio.run(Link("redis", session, (OSError,), at_once).run())


def test_a_library_that_cancels_its_caller_ends_the_session_and_not_the_link(
    caplog: pytest.LogCaptureFixture,
) -> None:
    session, held = scripted(asyncio.CancelledError(), None)
    run(Link("rabbitmq", session, (OSError,), at_once), held, until=2)
    assert told(caplog)[0] == (
        logging.WARNING,
        "rabbitmq cannot be reached, trying again: the connection broke",
    )


class Message:
    """A message of the broker that notes what becomes of it."""

    def __init__(self, body: bytes) -> None:
        self.body = body
        self.fate = ""

    async def ack(self) -> None:
        self.fate = "acknowledged"

    async def reject(self) -> None:
        self.fate = "rejected"


def test_a_signal_is_received_and_acknowledged() -> None:
    signal = Signal("BTCUSDT", "LONG", 0.71, "lstm-trend", "2025-11-18T12:00:00.000+00:00")
    received: list[Signal] = []
    message = Message(signal.to_json().encode())
    asyncio.run(take_signal(received.append, message))
    assert (received, message.fate) == ([signal], "acknowledged")


def test_another_message_is_rejected_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    received: list[Signal] = []
    message = Message(b"{}")
    asyncio.run(take_signal(received.append, message))
    assert (received, message.fate) == ([], "rejected")
    assert "discarded a message from trading.signals: not a signal" in caplog.text
