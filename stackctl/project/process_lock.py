"""One command at a time changes a project. The lock is the kernel's, so it ends with the process that holds it."""

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
    """The lock as a command has it. `down_cut_off` tells of a `down` that nothing has finished since."""

    down_cut_off: bool
    _keep: Callable[[Hold], None]

    def settle(self) -> None:
        """Put on record that the `down` that was cut off has been finished."""
        self.down_cut_off = False
        self._keep(self)


@dataclass(frozen=True, slots=True)
class Standing:
    """What the lock's record says to a command that does not take the lock."""

    holder: str | None = None
    """The command that is at work on the project, with its process."""
    down_cut_off: bool = False


def standing(state: StateFolder) -> Standing:
    """Return who holds the project's lock, and whether a `down` was cut off. Neither takes nor creates the lock."""
    try:
        with (state.folder / "lock").open("rb", buffering=0) as stream:
            record = _read(stream)
    except FileNotFoundError:
        return Standing()
    if _is_at_work(record):
        return Standing(_holder(record))
    return Standing(down_cut_off=_cut_off(record))


def busy(holder: str) -> StackctlError:
    """Return the error for a project that another command is at work on."""
    return StackctlError(
        f"{holder} is at work on this project",
        remedy="wait for it to end, or use another project with -p",
    )


def _cut_off(record: Mapping[str, Any]) -> bool:
    return record.get("command") == "down" or record.get("down_cut_off") is True


def _is_at_work(record: Mapping[str, Any]) -> bool:
    """Return whether the process of a record still runs: its number may have gone to a younger process since."""
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

    Raises StackctlError that names the holder, its process and since when, if another process has it. After a
    holder that was killed this removes what it was writing, and waits for the `docker compose` that it may have left
    behind, which is not in the lock.
    """
    # Not "a+", with which every write is at the end.
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
        # Others are told of this holder while it waits, too.
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
            # What Ctrl-C or SIGTERM cut off stays on record, as what was killed does: the engine may still be at it.
            _write(stream, record, hold)
            raise
        _write(stream, {}, hold)


def _read(stream: IO[bytes]) -> dict[str, Any]:
    """Return the record of a holder that has not ended, or of a `down` that was cut off; empty where neither is."""
    stream.seek(0)
    text = stream.read()
    if not text:
        return {}
    try:
        record = json.loads(text)
    except ValueError:
        record = None
    # One that was killed while it wrote leaves half of it.
    return record if isinstance(record, dict) else {"command": "unknown"}


def _write(stream: IO[bytes], record: Mapping[str, Any], hold: Hold) -> None:
    whole = {**record, "down_cut_off": True} if hold.down_cut_off else record
    data = json.dumps(whole).encode() if whole else b""
    # Never empty in between, as one that was killed then would leave no record.
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
            f"a docker compose of a stackctl that was killed (pid {alive[0].pid}) is still at work on this project",
            remedy="wait for it, or end it",
        )
