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


@contextlib.contextmanager
def exclusive(state: State, command: str) -> Iterator[None]:
    """Hold the project's lock while the body runs.

    Raises StackctlError that names the holder, its process and since when, if another process has it.
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
        stream.truncate(0)
        started = dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
        json.dump({"command": command, "pid": os.getpid(), "since": started}, stream)
        stream.flush()
        try:
            yield
        finally:
            stream.truncate(0)


def _holder(text: str) -> str:
    try:
        holder = json.loads(text)
        return f"stackctl {holder['command']} (pid {holder['pid']}, since {holder['since']})"
    except (ValueError, KeyError, TypeError):
        return "another stackctl"
