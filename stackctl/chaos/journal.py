"""The journal of open faults. Faults are recorded before they are injected, so that they can always be undone."""

from __future__ import annotations

import datetime as dt
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from stackctl.errors import StackctlError
from stackctl.project.state import StateFolder

FILE = "chaos.json"

_SHOWN = 80
"""How many characters of an unreadable record to show."""

Details = Mapping[str, str]


class NotSteady(StackctlError):
    """The service is not in the state that a fault requires, so the fault would prove nothing."""


@dataclass(frozen=True, slots=True)
class OpenFault:
    """An open fault: its kind, container, start time (UTC) and process.

    `details` is what undoing it needs in addition.
    """

    kind: str
    service: str
    container: str
    since: str
    pid: int
    details: Details = field(default_factory=dict)
    born: float | None = None
    """When that process started, in Unix seconds, because its ID may be reused."""

    def describe(self) -> str:
        """Return a description for a line of output."""
        return f"{self.kind} of {self.service}, since {self.since}"

    @property
    def abandoned(self) -> bool:
        """Whether the process that injected it has ended, so that no process will undo it."""
        import psutil

        try:
            process = psutil.Process(self.pid)
            if process.status() == psutil.STATUS_ZOMBIE:
                return True
            # Older versions of stackctl did not record it.
            return self.born is not None and process.create_time() != self.born
        except psutil.NoSuchProcess:
            return True
        except psutil.AccessDenied:
            return False


class Journal:
    """The open faults of one project, in its state folder."""

    def __init__(self, state: StateFolder) -> None:
        self._state = state

    def open_faults(self) -> list[OpenFault]:
        """Return the open faults, oldest first. Raises StackctlError if the file is not a journal."""
        return [row for row in self._rows() if isinstance(row, OpenFault)]

    def unreadable(self) -> list[str]:
        """Return a line for each unreadable record, which stays until the user removes it."""
        path = self._state.folder / FILE
        return [
            f"record {number} of {path} is not readable: {json.dumps(row)[:_SHOWN]};"
            " undo the fault yourself, then remove the record"
            for number, row in enumerate(self._rows(), 1)
            if not isinstance(row, OpenFault)
        ]

    def begin(
        self, kind: str, service: str, container: str, details: Details | None = None
    ) -> OpenFault:
        """Record a fault that this process is about to inject.

        Raises NotSteady if the service already has an open fault, even if another process adds one concurrently.
        """
        import psutil

        since = dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
        born = psutil.Process().create_time()
        fault = OpenFault(kind, service, container, since, os.getpid(), details or {}, born)
        with self._state.alone():
            rows = self._rows()
            self.require_none(service)
            self._write([*rows, fault])
        return fault

    def require_none(self, service: str) -> None:
        """Raise NotSteady if the service has an open fault."""
        for other in self.open_faults():
            if other.service == service:
                raise NotSteady(
                    f"{service} already has an open fault: {other.describe()}",
                    remedy="stackctl chaos heal",
                )

    def end(self, fault: OpenFault) -> None:
        """Remove a fault that was undone; do nothing if it is not recorded."""
        with self._state.alone():
            self._write([row for row in self._rows() if row != fault])

    def _rows(self) -> list[OpenFault | object]:
        """Return the records; invalid ones are returned as they are."""
        rows = self._state.read_json(FILE).get("faults", [])
        if not isinstance(rows, list):
            path = self._state.folder / FILE
            raise StackctlError(
                f"{path} is not a journal of faults",
                remedy=f"inspect it, recover the services that it names yourself, then remove {path}",
            )
        return [_record(row) for row in rows]

    def _write(self, rows: list[OpenFault | object]) -> None:
        content: dict[str, Any] = {
            "faults": [asdict(row) if isinstance(row, OpenFault) else row for row in rows]
        }
        self._state.write_json(FILE, content)


def _record(row: object) -> OpenFault | object:
    # Imported here: every command reads the journal, and most find no fault in it.
    from pydantic import TypeAdapter, ValidationError

    try:
        return TypeAdapter(OpenFault).validate_python(row)
    except ValidationError:
        return row
