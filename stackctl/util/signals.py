"""Ctrl-C, SIGTERM and a hang-up, held back from what must not be cut off."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType


@contextlib.contextmanager
def held_back(insisted: Callable[[], None] = lambda: None) -> Iterator[list[int]]:
    """Hold back signals that would end this process while the body runs, and yield the numbers of those received.

    The first is raised anew at the end, for whoever sent it wants this process to end; `insisted` is called at each
    further one. Python gives signals to the main thread only: in another one nothing is held back.
    """
    came: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield came
        return

    def hold(number: int, _frame: FrameType | None) -> None:
        if came:
            insisted()
        came.append(number)

    kept = {
        number: signal.signal(number, hold)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        # Who ignores it, as under nohup, goes on to.
        if signal.getsignal(number) is not signal.SIG_IGN
    }
    try:
        yield came
    finally:
        for number, handler in kept.items():
            signal.signal(number, handler)
        if came:
            signal.raise_signal(came[0])
