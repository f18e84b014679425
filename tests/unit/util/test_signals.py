"""Signals that are held back while a body runs, and raised again after it."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator

import pytest

from stackctl.util.signals import held_back, sleep

NUMBERS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@pytest.fixture
def caught() -> Iterator[list[int]]:
    """The signals that reach this process's own handlers."""
    numbers: list[int] = []
    kept = {one: signal.signal(one, lambda number, _: numbers.append(number)) for one in NUMBERS}
    yield numbers
    for number, handler in kept.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", NUMBERS)
def test_a_signal_comes_once_the_body_has_ended(caught: list[int], number: int) -> None:
    with held_back() as came:
        signal.raise_signal(number)
        assert (caught, came) == ([], [number])
    assert caught == [number]
    signal.raise_signal(number)
    assert caught == [number, number]


def test_it_comes_after_an_error_of_the_body_too(caught: list[int]) -> None:
    def body() -> None:
        with held_back():
            signal.raise_signal(signal.SIGTERM)
            raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        body()
    assert caught == [signal.SIGTERM]


def test_only_the_first_of_several_is_raised_anew_and_each_further_one_insists(
    caught: list[int],
) -> None:
    insisted: list[str] = []
    with held_back(lambda: insisted.append("again")) as came:
        signal.raise_signal(signal.SIGTERM)
        assert insisted == []
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
    assert came == [signal.SIGTERM, signal.SIGINT, signal.SIGINT]
    assert insisted == ["again", "again"]
    assert caught == [signal.SIGTERM]


def test_who_ignores_a_signal_goes_on_to(caught: list[int]) -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with held_back() as came:
        signal.raise_signal(signal.SIGHUP)
    assert came == []
    assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    assert caught == []


def test_a_thread_holds_nothing_back(caught: list[int]) -> None:
    seen: list[object] = []

    def body() -> None:
        before = signal.getsignal(signal.SIGTERM)
        with held_back() as came:
            seen.extend([came, signal.getsignal(signal.SIGTERM) is before])

    thread = threading.Thread(target=body)
    thread.start()
    thread.join()
    assert seen == [[], True]


def test_a_sleep_looks_for_signals_every_half_second(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    slept: list[float] = []

    def tick(seconds: float) -> None:
        nonlocal now
        slept.append(seconds)
        now += seconds

    monkeypatch.setattr(time, "sleep", tick)
    monkeypatch.setattr(time, "monotonic", lambda: now)
    sleep(600.2)
    assert max(slept) <= 0.5
    assert now == pytest.approx(700.2)
