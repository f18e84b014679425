"""One command at a time changes a project. The lock is the kernel's, so it ends with the process that holds it."""

from __future__ import annotations

import contextlib
import datetime as dt
import fcntl
import json
import os
from collections.abc import Iterator

from stackctl.errors import StackctlError
from stackctl.stack.state import State

_ORPHAN_SECONDS = 120.0


@contextlib.contextmanager
def exclusive(state: State, command: str) -> Iterator[str | None]:
    """Hold the project's lock while the body runs, and give the command that was cut off while it held it, if any.

    Raises StackctlError that names the holder, its process and since when, if another process has it. After a
    holder that was killed this waits for the `docker compose` that it may have left behind, which is not in the lock.
    """
    path = state.folder / "lock"
    with path.open("a+", encoding="utf-8") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            stream.seek(0)
            raise StackctlError(
                f"{_holder(stream.read())} is at work on this project",
                remedy="wait for it to end, or use another project with -p",
            ) from None
        stream.seek(0)
        killed = _command(stream.read())
        if killed is not None:
            _await_orphans(state.folder.name)
        stream.truncate(0)
        started = dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
        json.dump({"command": command, "pid": os.getpid(), "since": started}, stream)
        stream.flush()
        try:
            yield killed
        except Exception:
            stream.truncate(0)
            raise
        # What Ctrl-C or SIGTERM cut off stays on record, as what was killed does: the engine may still be at it.
        stream.truncate(0)


def _command(text: str) -> str | None:
    """Give the command of a holder that did not strike itself out; an empty text is one that did."""
    if not text:
        return None
    try:
        return str(json.loads(text)["command"])
    except (ValueError, KeyError, TypeError):
        return "unknown"


def _holder(text: str) -> str:
    try:
        holder = json.loads(text)
        return f"stackctl {holder['command']} (pid {holder['pid']}, since {holder['since']})"
    except (ValueError, KeyError, TypeError):
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
