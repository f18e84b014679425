"""The consoles that commands print on, and how JSON and Markdown are printed there.

rich is imported where it is used: `stackctl --help` and Tab completion work without it.
"""

from __future__ import annotations

import json
import re
from typing import IO, TYPE_CHECKING, Any, cast

import click

if TYPE_CHECKING:
    from rich.console import Console

_ENDLESS = 10_000
"""More columns than any line has."""

_PADDING = re.compile(r" +((?:\x1b\[[\d;]*m)*)$", re.MULTILINE)
"""Spaces at the end of a line, the ends of colours after them aside."""


def stdout() -> Console:
    """Return a console for results."""
    return _console(stderr=False)


def stderr() -> Console:
    """Return a console for progress and notes."""
    return _console(stderr=True)


def on_screen(console: Console) -> bool:
    """Return whether a console is a terminal whose cursor can be moved, on which a display can change in place.

    Not what rich calls a terminal: FORCE_COLOR makes one of a pipe, and TERM=dumb is one without a cursor.
    """
    return console.file.isatty() and not console.is_dumb_terminal


def print_json(value: Any) -> None:
    """Print a value as JSON on stdout, the same bytes whatever the terminal, the locale and the environment are."""
    print_document(json.dumps(value, indent=2, ensure_ascii=False))


def print_document(text: str) -> None:
    """Print a document for programs on stdout, in UTF-8: never coloured, wrapped or converted."""
    # A lone surrogate can come from a file name; it has no place in UTF-8.
    click.echo(text.encode(errors="replace"))


def print_markdown(out: Console, text: str) -> None:
    """Render Markdown on a terminal, and print its source anywhere else."""
    from rich.markdown import Markdown

    if on_screen(out):
        out.print(Markdown(text))
    else:
        click.echo(text, nl=False)


def _console(*, stderr: bool) -> Console:
    """Return a console; a pipe has no width at which a line would have to be wrapped or shortened."""
    from rich.console import Console

    console = Console(stderr=stderr, highlight=False)
    if not console.file.isatty():
        console.file = cast("IO[str]", _Unpadded(console.file))
        # Both: rich has a size of its own for a dumb terminal unless it is given a whole one.
        console.size = (_ENDLESS, _ENDLESS)
    return console


class _Unpadded:
    """A stream on which no line ends in spaces: tables fill their cells with them, up to the longest of a column."""

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write text of whole lines, as consoles do."""
        return self._stream.write(_PADDING.sub(r"\1", text))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)
