"""Runs stackctl as a user does: its streams and its exit code, in a process of its own or, quicker, in this one."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from unittest import mock

from stackctl.cli import main


def stackctl(
    *arguments: str,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    timeout: float = 60,
    text_input: str | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run a command in a process of its own, and return what it printed and how it ended.

    `env` is added to this process's environment.
    """
    return subprocess.run(
        [sys.executable, "-m", "stackctl", *arguments],
        cwd=cwd,
        env={**os.environ, **(env or {})},
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
        input=text_input,
    )


def run_here(
    *arguments: str, env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a command in this process by the program's own entry point, and return the same as `stackctl` does.

    It starts without the half second that a process takes. `env` is added to the environment; that, the streams and
    the signals' handlers are afterwards as they were. What a program that the command starts prints is not in the
    result.
    """
    with tempfile.TemporaryDirectory() as folder:
        # Files and no buffers: the program may replace its stderr by file descriptor.
        out, err = Path(folder) / "out", Path(folder) / "err"
        with (
            out.open("w", encoding="utf-8") as stdout,
            err.open("w", encoding="utf-8") as stderr,
            Path(os.devnull).open(encoding="utf-8") as stdin,
            mock.patch.dict(os.environ, env or {}),
            mock.patch.multiple(
                sys, argv=["stackctl", *arguments], stdin=stdin, stdout=stdout, stderr=stderr
            ),
            _handlers_kept(),
        ):
            try:
                main()
            except SystemExit as end:
                code = end.code
        assert isinstance(code, int), f"main ended with {code!r}"
        return subprocess.CompletedProcess(
            arguments, code, out.read_text(encoding="utf-8"), err.read_text(encoding="utf-8")
        )


_HANDLED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextlib.contextmanager
def _handlers_kept() -> Iterator[None]:
    handlers = {number: signal.getsignal(number) for number in _HANDLED}
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
