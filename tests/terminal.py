"""`make terminal`: the README's picture of a terminal, from commands that run against the running stack.

rich draws it as an SVG in docs/images/terminal.svg. Options after -- are passed to stackctl, such as `-- -p other`.
"""

from __future__ import annotations

import argparse
import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from collections.abc import Sequence
from contextlib import suppress
from io import StringIO
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import DIMMED_MONOKAI
from rich.text import Text

PICTURE = Path(__file__).resolve().parents[1] / "docs" / "images" / "terminal.svg"
CALLS = ("verify prometheus", "chaos stop rust-core-engine --expect ServiceDown")
_COLUMNS, _LINES = 100, 50
_WEB_FONTS = re.compile(r"\s*@font-face \{.*?\}", re.DOTALL)


def run(command: Sequence[str]) -> str:
    """Return what a command writes to stdout if that is a terminal; its progress on stderr is discarded.

    Raises subprocess.CalledProcessError if it fails.
    """
    ours, terminal = pty.openpty()
    with os.fdopen(ours, "rb", buffering=0) as screen:
        fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", _LINES, _COLUMNS, 0, 0))
        environment = {**os.environ, "TERM": "xterm-256color"}
        with subprocess.Popen(
            command, env=environment, stdout=terminal, stderr=subprocess.DEVNULL
        ) as process:
            os.close(terminal)
            written = b""
            with suppress(OSError):  # Linux reports the end of a terminal as an I/O error.
                while part := screen.read(1 << 16):
                    written += part
    if process.returncode != 0:
        raise subprocess.CalledProcessError(process.returncode, command)
    return written.decode().replace("\r\n", "\n")


def draw(outputs: Sequence[tuple[str, str]]) -> str:
    """Return an SVG of a terminal with commands and their outputs, which may contain ANSI colors.

    The SVG uses the reader's monospace font: pages that show a picture do not load fonts for it.
    """
    console = Console(record=True, width=_COLUMNS, file=StringIO(), force_terminal=True)
    for call, output in outputs:
        console.print(Text.assemble(("$ ", "green"), (call, "bold")))
        console.print(Text.from_ansi(output.strip("\n")), end="\n\n")
    svg = console.export_svg(title="stackctl", theme=DIMMED_MONOKAI, unique_id="terminal")
    return _WEB_FONTS.sub("", svg)


def main() -> int:
    """Run the commands and draw the picture; return 1, and draw nothing, if a command fails."""
    parser = argparse.ArgumentParser(prog="python -m tests.terminal", description=__doc__)
    parser.add_argument("options", nargs="*", help="options of stackctl, after --")
    stackctl = [sys.executable, "-m", "stackctl", *parser.parse_args().options]
    try:
        outputs = [(f"stackctl {call}", run([*stackctl, *call.split()])) for call in CALLS]
    except subprocess.CalledProcessError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    PICTURE.write_text(draw(outputs), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
