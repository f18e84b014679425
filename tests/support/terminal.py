"""Runs stackctl on a terminal of its own, and gives the screen as a person sees it in the end."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import struct
import sys
import termios
import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from io import StringIO, TextIOWrapper

import pyte

from stackctl.cli import main

_ROWS = 200
"""More than any command prints, so that nothing leaves the screen."""


class TerminalText(StringIO):
    """What is printed, on a stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


@dataclass(frozen=True)
class Screen:
    """How a command ended, what is on the screen after it, and every byte that it wrote there."""

    code: int
    lines: list[str]
    written: bytes

    @property
    def text(self) -> str:
        """What is on the screen without any white space: the same however wide it is."""
        return "".join("".join(self.lines).split())


def on_terminal(
    *arguments: str,
    columns: int = 80,
    env: Mapping[str, str] | None = None,
    stdout: int | None = None,
    stderr: int | None = None,
) -> Screen:
    """Run a command by the program's entry point, with a terminal for all of its streams.

    `env` is added to its environment. `stdout` and `stderr` are open files that the streams go to instead. The command
    runs in a fork, so that what a test has replaced is replaced there too.
    """
    pid, master = pty.fork()
    if pid == 0:
        _child(arguments, env or {}, {1: stdout, 2: stderr})
    fcntl.ioctl(master, termios.TIOCSWINSZ, struct.pack("HHHH", _ROWS, columns, 0, 0))
    screen = pyte.Screen(columns, _ROWS)
    stream = pyte.ByteStream(screen)
    written = bytearray()
    # Linux says EIO once nobody has the other end any more.
    with contextlib.suppress(OSError):
        while chunk := os.read(master, 65536):
            written += chunk
            stream.feed(chunk)
    os.close(master)
    _, status = os.waitpid(pid, 0)
    lines = [line.rstrip() for line in screen.display]
    while lines and not lines[-1]:
        lines.pop()
    return Screen(os.waitstatus_to_exitcode(status), lines, bytes(written))


def _child(
    arguments: tuple[str, ...], env: Mapping[str, str], files: Mapping[int, int | None]
) -> None:
    """Run the command on the streams 0, 1 and 2, and end the process whatever happens: it is a copy of the test's."""
    code = 99
    try:
        # The parent sets the size at the same time.
        while struct.unpack("HHHH", fcntl.ioctl(0, termios.TIOCGWINSZ, bytes(8)))[1] == 0:
            pass
        for stream, file in files.items():
            if file is not None:
                os.dup2(file, stream)
        for name in ("COLUMNS", "LINES", "FORCE_COLOR", "NO_COLOR"):
            os.environ.pop(name, None)
        os.environ["TERM"] = "xterm-256color"
        os.environ.update(env)
        sys.argv = ["stackctl", *arguments]
        sys.stdin = TextIOWrapper(os.fdopen(0, "rb"), encoding="utf-8")
        sys.stdout = TextIOWrapper(os.fdopen(1, "wb"), encoding="utf-8")
        sys.stderr = TextIOWrapper(os.fdopen(2, "wb"), encoding="utf-8", write_through=True)
        try:
            main()
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 98
        sys.stdout.flush()
        sys.stderr.flush()
    except BaseException:  # noqa: BLE001 - it would go on as a second pytest
        os.write(2, traceback.format_exc().encode())
    finally:
        os._exit(code)
