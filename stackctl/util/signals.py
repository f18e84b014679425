"""Delays SIGINT, SIGTERM and SIGHUP while something must not be interrupted, and lets them end a sleep."""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from collections.abc import Callable, Iterator
from types import FrameType

_SLICE_SECONDS = 0.5


def sleep(seconds: float) -> None:
    """Sleep for `seconds`, and no longer than half a second after a signal whose handler raises an exception.

    A signal that arrives between the interpreter's last look at its flag and the system call does not cut
    `time.sleep` short: its handler would run only when the whole time is over.
    """
    deadline = time.monotonic() + seconds
    while (left := deadline - time.monotonic()) > 0:
        time.sleep(min(left, _SLICE_SECONDS))


@contextlib.contextmanager
def held_back(insisted: Callable[[], None] = lambda: None) -> Iterator[list[int]]:
    """Delay signals that would end this process while the body runs, and yield the list of those received.

    The first one is raised again at the end; `insisted` is called at each further one. Python delivers signals to the
    main thread only, so in other threads nothing is delayed.
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
        # Keep ignored signals ignored, as under nohup.
        if signal.getsignal(number) is not signal.SIG_IGN
    }
    try:
        yield came
    finally:
        for number, handler in kept.items():
            signal.signal(number, handler)
        if came:
            signal.raise_signal(came[0])
