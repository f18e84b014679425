"""The consoles that commands print to, and how JSON and Markdown are printed.

rich is imported where it is used, because `--help` and completion do not need it.
"""

from __future__ import annotations

import json
import re
from typing import IO, TYPE_CHECKING, Any, cast

import click

if TYPE_CHECKING:
    from rich.console import Console

_ENDLESS = 10_000
"""More columns than any line needs."""

_PADDING = re.compile(r" +((?:\x1b\[[\d;]*m)*)$", re.MULTILINE)
"""Spaces at the end of a line, before any colour codes."""


def stdout() -> Console:
    """Return a console for results."""
    return _console(stderr=False)


def stderr() -> Console:
    """Return a console for progress and notes."""
    return _console(stderr=True)


def on_screen(console: Console) -> bool:
    """Return whether a console is a terminal with a movable cursor, on which a display can change in place.

    rich's own test is different: with FORCE_COLOR a pipe is a terminal, and so is TERM=dumb, which has no cursor.
    """
    return console.file.isatty() and not console.is_dumb_terminal


def print_json(value: Any) -> None:
    """Print a value as JSON to stdout, independent of the terminal, the locale and the environment."""
    print_document(json.dumps(value, indent=2, ensure_ascii=False))


def print_document(text: str) -> None:
    """Print a document for programs to stdout in UTF-8, without colours, wrapping or conversion."""
    # A lone surrogate, which UTF-8 cannot represent, can come from a file name.
    click.echo(text.encode(errors="replace"))


def print_markdown(out: Console, text: str) -> None:
    """Render Markdown on a terminal; print its source otherwise."""
    from rich.markdown import Markdown

    if on_screen(out):
        out.print(Markdown(text))
    else:
        click.echo(text, nl=False)


def _console(*, stderr: bool) -> Console:
    """Return a console; on a pipe its width is unlimited, so that lines are neither wrapped nor shortened."""
    from rich.console import Console

    console = Console(stderr=stderr, highlight=False)
    if not console.file.isatty():
        console.file = cast("IO[str]", _Unpadded(console.file))
        # Set width and height: otherwise rich assumes its default size for a dumb terminal.
        console.size = (_ENDLESS, _ENDLESS)
    return console


class _Unpadded:
    """A stream that strips trailing spaces, with which tables pad their cells."""

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write text that consists of complete lines, as consoles do."""
        return self._stream.write(_PADDING.sub(r"\1", text))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)
