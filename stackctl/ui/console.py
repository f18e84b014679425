"""The consoles that commands print on, and how tables and Markdown are printed there.

rich is imported where it is used: `stackctl --help` and Tab completion work without it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

_ENDLESS = 10_000
"""More columns than any table has."""


def stdout() -> Console:
    """Return a console for results."""
    from rich.console import Console

    return Console(highlight=False)


def stderr() -> Console:
    """Return a console for progress and notes."""
    from rich.console import Console

    return Console(stderr=True, highlight=False)


def print_markdown(out: Console, text: str) -> None:
    """Render Markdown on a terminal, and print its source anywhere else."""
    from rich.markdown import Markdown

    if out.is_terminal:
        out.print(Markdown(text))
    else:
        click.echo(text, nl=False)


def print_table(out: Console, table: Table) -> None:
    """Print a table at the terminal's width, and at its own width anywhere else: a pipe has no width."""
    from rich.measure import Measurement

    if out.is_terminal:
        out.print(table)
        return
    width = out.width
    out.width = Measurement.get(out, out.options.update(width=_ENDLESS), table).maximum
    out.print(table)
    out.width = width
