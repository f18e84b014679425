"""The lock that lets one command at a time change a project. The kernel releases it when its process ends."""

from __future__ import annotations

import contextlib
import datetime as dt
import fcntl
import json
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import IO, Any

from stackctl.errors import StackctlError
from stackctl.project.state import PRIVATE_FILE, StateFolder

_ORPHAN_SECONDS = 120.0


@dataclass
class Hold:
    """A held lock. `down_cut_off` is whether a `down` was interrupted and not finished since."""

    down_cut_off: bool
    _keep: Callable[[Hold], None]

    def settle(self) -> None:
        """Record that the interrupted `down` has been finished."""
        self.down_cut_off = False
        self._keep(self)


@dataclass(frozen=True, slots=True)
class Standing:
    """What the lock's record shows to a command that does not take the lock."""

    holder: str | None = None
    """The command that is changing the project, with its process; None if there is none."""
    down_cut_off: bool = False


def standing(state: StateFolder) -> Standing:
    """Return who holds the project's lock and whether a `down` was interrupted, without taking or creating the lock."""
    try:
        with (state.folder / "lock").open("rb", buffering=0) as stream:
            record = _read(stream)
    except FileNotFoundError:
        return Standing()
    if _is_at_work(record):
        return Standing(_holder(record))
    return Standing(down_cut_off=_cut_off(record))


def busy(holder: str) -> StackctlError:
    """Return the error for a project that another command is changing."""
    return StackctlError(
        f"{holder} is changing this project",
        remedy="wait for it to finish, or choose another project with -p",
    )


def _cut_off(record: Mapping[str, Any]) -> bool:
    return record.get("command") == "down" or record.get("down_cut_off") is True


def _is_at_work(record: Mapping[str, Any]) -> bool:
    """Return whether a record's process is still running; its ID may have been reused by a later process."""
    if not record:
        return False
    import psutil

    try:
        since = dt.datetime.fromisoformat(record["since"]).timestamp()
        return psutil.Process(record["pid"]).create_time() < since + 1
    except (KeyError, TypeError, ValueError, psutil.NoSuchProcess):
        return False


@contextlib.contextmanager
def exclusive(state: StateFolder, command: str) -> Iterator[Hold]:
    """Hold the project's lock while the body runs.

    Raises StackctlError, which names the holder and its process, if another process holds it. After a killed holder it
    removes half-written files, and waits for a `docker compose` that is still running, as the lock does not cover it.
    """
    # Not "a+", which would append every write.
    descriptor = os.open(state.folder / "lock", os.O_RDWR | os.O_CREAT, PRIVATE_FILE)
    with os.fdopen(descriptor, "r+b", buffering=0) as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise busy(_holder(_read(stream))) from None
        before = _read(stream)
        killed = before.get("command")
        started = dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
        record = {"command": command, "pid": os.getpid(), "since": started}
        hold = Hold(
            _cut_off(before),
            lambda hold: _write(stream, record, hold),
        )
        # Written before the wait, so that other commands can name this holder during it.
        _write(stream, record, hold)
        if killed is not None:
            try:
                _await_orphans(state.folder.name)
            except BaseException:
                _write(stream, before, hold)
                raise
            state.sweep()
        try:
            yield hold
        except Exception:
            _write(stream, {}, hold)
            raise
        except BaseException:
            # An interrupted command stays on record, as a killed one does: the engine may still be working on it.
            _write(stream, record, hold)
            raise
        _write(stream, {}, hold)


def _read(stream: IO[bytes]) -> dict[str, Any]:
    """Return the record of a holder that has not finished, or of an interrupted `down`; empty if there is neither."""
    stream.seek(0)
    text = stream.read()
    if not text:
        return {}
    try:
        record = json.loads(text)
    except ValueError:
        record = None
    # A holder that was killed while writing leaves half a record.
    return record if isinstance(record, dict) else {"command": "unknown"}


def _write(stream: IO[bytes], record: Mapping[str, Any], hold: Hold) -> None:
    whole = {**record, "down_cut_off": True} if hold.down_cut_off else record
    data = json.dumps(whole).encode() if whole else b""
    # Overwritten in place: if the file were emptied first, a holder killed at that moment would leave no record.
    os.pwrite(stream.fileno(), data, 0)
    stream.truncate(len(data))


def _holder(record: Mapping[str, Any]) -> str:
    try:
        return f"stackctl {record['command']} (pid {record['pid']}, since {record['since']})"
    except KeyError:
        return "another stackctl"


def _await_orphans(project: str) -> None:
    import psutil

    orphans = []
    for process in psutil.process_iter(["cmdline"]):
        words = process.info["cmdline"] or []
        if "compose" in words and project in words and "--project-name" in words:
            orphans.append(process)
    _, alive = psutil.wait_procs(orphans, timeout=_ORPHAN_SECONDS)
    if alive:
        raise StackctlError(
            f"a docker compose (pid {alive[0].pid}) left behind by a killed stackctl is still changing this project",
            remedy="wait for it to finish, or kill it",
        )
