"""`--watch`: a view that is refreshed until Ctrl-C."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from time import sleep
from typing import TYPE_CHECKING, NoReturn

import click

from stackctl.errors import (
    EXIT_INTERRUPTED,
    NotRunning,
    NotSettled,
    ServiceError,
    UsageError,
)
from stackctl.ui.console import on_screen

if TYPE_CHECKING:
    from rich.console import Console, RenderableType


def watch(
    out: Console, seconds: float, output: str, view: Callable[[], RenderableType]
) -> NoReturn:
    """Show a view and refresh it every `seconds`, on the whole terminal or, in a pipe, one after the other.

    Ctrl-C ends it with exit code 130 and no message. While the stack is not running or a service does not respond, the
    error is shown instead of the view.
    Raises UsageError for an `output` other than the table.
    """
    from rich.live import Live
    from rich.text import Text

    if output != "table":
        raise UsageError("--watch requires --format table", remedy="omit --watch or --format")
    screen = (
        Live(console=out, screen=True, auto_refresh=False)
        if on_screen(out)
        else contextlib.nullcontext()
    )
    with screen as live:
        try:
            while True:
                try:
                    shown = view()
                except (ServiceError, NotRunning, NotSettled) as error:
                    shown = Text(error.line, style="red")
                if live is not None:
                    live.update(shown, refresh=True)
                else:
                    out.print(shown)
                sleep(seconds)
        except KeyboardInterrupt:
            raise click.exceptions.Exit(EXIT_INTERRUPTED) from None
