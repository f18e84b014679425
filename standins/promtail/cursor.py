"""How far a container's log has been read, to the message, though the engine's API counts in times only.

Times repeat, and those of stdout and stderr may be out of order by microseconds. So reading goes on from a second
before the last message, and skips as many messages as had been read within that second.
"""

from __future__ import annotations

import bisect

from standins.shared.units import NANOSECONDS

_OVERLAP = NANOSECONDS


class Cursor:
    """Tells new messages from those that were read before. Raises ValueError for a position that is none."""

    def __init__(self, position: str | None = None) -> None:
        last, _, count = (position or "0+0").partition("+")
        self._last = int(last)
        self._count = int(count)
        self._skip = 0
        self._recent: list[int] = []

    @property
    def position(self) -> str:
        """What the constructor takes: the latest time, and the number of messages in the second up to it."""
        return f"{self._last}+{self._count}"

    def rewind(self) -> int:
        """Get ready for the messages from the time that it gives on, in nanoseconds since 1970."""
        self._skip = self._count
        self._recent.clear()
        return max(self._last - _OVERLAP, 0)

    def is_new(self, time: int) -> bool:
        """Count the next message, by its time; tell whether it comes for the first time."""
        bisect.insort(self._recent, time)
        # With the older files of a log gone, there is less to skip than was read.
        if self._skip and time <= self._last:
            self._skip -= 1
            return False
        self._last = max(self._last, time)
        del self._recent[: bisect.bisect_left(self._recent, self._last - _OVERLAP)]
        self._count = len(self._recent)
        return True
