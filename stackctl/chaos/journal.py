"""The journal of open faults. A fault is written here before it is done, so that it can be healed whatever happens."""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from stackctl.errors import StackctlError
from stackctl.stack.state import State

FILE = "chaos.json"

Details = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class OpenFault:
    """A fault that was begun and not healed: what, to which container, since when (UTC), by which process.

    `details` is what its healing needs beside that.
    """

    kind: str
    service: str
    container: str
    since: str
    pid: int
    details: Details = field(default_factory=dict)

    def describe(self) -> str:
        """Give it in words, for a line of output."""
        return f"{self.kind} of {self.service}, since {self.since}"

    @property
    def abandoned(self) -> bool:
        """Tell whether the process that did it is gone, so that nobody is going to heal it."""
        import psutil

        return not psutil.pid_exists(self.pid)


class Journal:
    """The open faults of one project, in its state folder."""

    def __init__(self, state: State) -> None:
        self._state = state

    def open_faults(self) -> list[OpenFault]:
        """Give the open faults, oldest first. Raises StackctlError where the journal cannot be read."""
        rows = self._state.read_json(FILE).get("faults", [])
        try:
            return [OpenFault(**row) for row in rows]
        except TypeError:
            path = self._state.folder / FILE
            raise StackctlError(
                f"{path} is not a journal of faults",
                remedy=f"look at it, start what it names by hand, and remove {path}",
            ) from None

    def begin(
        self, kind: str, service: str, container: str, details: Details | None = None
    ) -> OpenFault:
        """Write down a fault that this process is about to do."""
        since = dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
        fault = OpenFault(kind, service, container, since, os.getpid(), details or {})
        with self._state.alone():
            self._write([*self.open_faults(), fault])
        return fault

    def end(self, fault: OpenFault) -> None:
        """Strike out a fault that is healed; no harm if it is not there."""
        with self._state.alone():
            self._write([one for one in self.open_faults() if one != fault])

    def _write(self, faults: list[OpenFault]) -> None:
        content: dict[str, Any] = {"faults": [asdict(fault) for fault in faults]}
        self._state.write_json(FILE, content)
