"""What the commands share: the session of one call, the consoles, and clients with the project's addresses."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from time import sleep
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import click

from stackctl.errors import ServiceError, StackctlError, UsageError
from stackctl.values.durations import format_duration, parse_duration

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.table import Table

    from stackctl.project.project import Project

_F = TypeVar("_F", bound=Callable[..., Any])

_ENDLESS = 10_000
"""More columns than any table has."""

FORMAT = click.option(
    "--format",
    "output",
    type=click.Choice(["table", "json"]),
    default="table",
    show_default=True,
    help="How to print it.",
)

_LONGEST = 10 * 365 * 24 * 3600


class Finite(click.FloatRange):
    """A number from `min` to `max`, where click's own range also takes `nan`, which is neither below nor above."""

    def __init__(self, min: float, max: float = _LONGEST) -> None:  # noqa: A002 - click's names
        super().__init__(min=min, max=max)

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Give the number, or fail as click does."""
        number: float = super().convert(value, param, ctx)
        if math.isnan(number):
            self.fail(f"{value!r} is not a number", param, ctx)
        return number


WATCH = click.option(
    "-w",
    "--watch",
    "every",
    type=Finite(min=1),
    metavar="SECONDS",
    help="Show it anew every so often, until Ctrl-C.",
)


def confirm(question: str) -> None:
    """Ask before something that cannot be undone.

    Raises StackctlError where the answer is no, or nobody is there to give one.
    """
    try:
        agreed = click.confirm(question, err=True)
    except click.Abort:
        if sys.stdin.isatty():
            raise
        click.echo(err=True)
        agreed = False
    if not agreed:
        raise StackctlError("nothing was changed", remedy="--yes goes on without asking")


JOIN_OPTIONS: tuple[Callable[[_F], _F], ...] = (
    click.option(
        "--demo/--no-demo", default=None, help="bot-core's stand-ins too (on unless bot-core is)."
    ),
    click.option(
        "--attach",
        "network",
        metavar="NETWORK",
        help="Watch the bot-core that runs on this Docker network, in the demo's place.",
    ),
    click.option(
        "--app-file",
        "app_files",
        multiple=True,
        type=click.Path(path_type=Path),
        metavar="FILE",
        help="bot-core's own Compose file, merged with ours (repeatable), in the demo's place.",
    ),
)


def join_options(command: _F) -> _F:
    """Give a command the options that say which bot-core is watched: the demo, or one that runs."""
    for option in reversed(JOIN_OPTIONS):
        command = option(command)
    return command


class _Duration(click.ParamType[float]):
    """Seconds, from a duration in Prometheus' notation: 90s, 3m, 1h30m; ten years at most."""

    name = "duration"

    def convert(
        self, value: str | float, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        if isinstance(value, float):
            return value
        try:
            seconds = parse_duration(value)
        except ValueError as reason:
            self.fail(f"{value!r}: {reason}", param, ctx)
        if seconds > _LONGEST:
            self.fail(f"{value} is longer than {format_duration(_LONGEST)}", param, ctx)
        return seconds


DURATION = _Duration()


@dataclass
class Session:
    """One call of stackctl: the group's options, and from them the project and the consoles."""

    name: str | None
    env_file: Path | None

    @cached_property
    def project(self) -> Project:
        """The project that the options name; a fault that nobody will heal is told on the way."""
        from stackctl.chaos.journal import Journal
        from stackctl.project.project import open_project

        project = open_project(name=self.name, env_file=self.env_file)
        journal = Journal(project.state)
        notes = [
            f"an unhealed fault: {fault.describe()}; `stackctl chaos heal` ends it"
            for fault in journal.open_faults()
            if fault.abandoned
        ]
        for note in (*notes, *journal.unreadable()):
            self.err.print(
                f"stackctl: {note}",
                style="yellow",
                markup=False,
                highlight=False,
                soft_wrap=True,
            )
        return project

    @cached_property
    def out(self) -> Console:
        """Where results go."""
        from rich.console import Console

        return Console(highlight=False)

    @cached_property
    def err(self) -> Console:
        """Where progress and notes go."""
        from rich.console import Console

        return Console(stderr=True, highlight=False)


pass_session = click.make_pass_decorator(Session)


def print_markdown(session: Session, text: str) -> None:
    """Print Markdown for reading on a terminal, and as it is anywhere else."""
    from rich.markdown import Markdown

    if session.out.is_terminal:
        session.out.print(Markdown(text))
    else:
        click.echo(text, nl=False)


def print_table(session: Session, table: Table) -> None:
    """Print a table as wide as the terminal, and anywhere else as wide as it is: a pipe has no width."""
    from rich.measure import Measurement

    out = session.out
    if out.is_terminal:
        out.print(table)
        return
    width = out.width
    out.width = Measurement.get(out, out.options.update(width=_ENDLESS), table).maximum
    out.print(table)
    out.width = width


def watch(
    session: Session, seconds: float, output: str, view: Callable[[], RenderableType]
) -> NoReturn:
    """Show a view anew every so many seconds, on the whole terminal or, without one, one below the other.

    Ctrl-C ends it, which is no news: exit code 130 without a word. A service that does not answer shows in the place of
    the view, and is asked again. Raises UsageError for an `output` that is not the table.
    """
    from rich.live import Live
    from rich.table import Table
    from rich.text import Text

    from stackctl.commands import EXIT_INTERRUPTED

    if output != "table":
        raise UsageError("--watch shows the table", remedy="leave --watch or --format out")
    with Live(console=session.out, screen=session.out.is_terminal, auto_refresh=False) as live:
        try:
            while True:
                try:
                    shown = view()
                except ServiceError as error:
                    shown = Text(error.line, style="red")
                if session.out.is_terminal:
                    live.update(shown, refresh=True)
                elif isinstance(shown, Table):
                    print_table(session, shown)
                else:
                    session.out.print(shown)
                sleep(seconds)
        except KeyboardInterrupt:
            raise click.exceptions.Exit(EXIT_INTERRUPTED) from None
