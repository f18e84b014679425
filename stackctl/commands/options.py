"""Options shared by several commands, and their types."""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, get_args

import click

from stackctl.errors import StackctlError
from stackctl.services.releases import Versions
from stackctl.values.durations import format_duration, parse_duration

_F = TypeVar("_F", bound=Callable[..., Any])

FORMAT = click.option(
    "--format",
    "output",
    type=click.Choice(["table", "json"]),
    default="table",
    show_default=True,
    help="Output format.",
)

_LONGEST = 10 * 365 * 24 * 3600


class Finite(click.FloatRange):
    """A number from `min` to `max`. Unlike click's range, it rejects `nan`."""

    def __init__(self, min: float, max: float = _LONGEST) -> None:  # noqa: A002 - click's names
        super().__init__(min=min, max=max)

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Return the number, or fail as click does."""
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
    help="Refresh every SECONDS, until Ctrl-C.",
)


def confirm(question: str) -> None:
    """Ask for confirmation of something that cannot be undone.

    Raises StackctlError if the answer is no or there is none.
    """
    try:
        agreed = click.confirm(question, err=True)
    except click.Abort:
        if sys.stdin.isatty():
            raise
        click.echo(err=True)
        agreed = False
    if not agreed:
        raise StackctlError("nothing was changed", remedy="add --yes to skip the confirmation")


VERSIONS = click.option(
    "--versions",
    type=click.Choice(get_args(Versions)),
    help="Image releases: the plan's, the current ones, or the plan's unless the engine requires a current one"
    " (default: STACKCTL_VERSIONS, else those in use).",
)


JOIN_OPTIONS: tuple[Callable[[_F], _F], ...] = (
    click.option(
        "--demo/--no-demo",
        default=None,
        help="Run the demo services (default: unless bot-core is attached).",
    ),
    click.option(
        "--attach",
        "network",
        metavar="NETWORK",
        help="Monitor the bot-core on this Docker network instead of the demo services.",
    ),
    click.option(
        "--app-file",
        "app_files",
        multiple=True,
        type=click.Path(path_type=Path),
        metavar="FILE",
        help="Run bot-core from its own Compose file instead of the demo services (repeatable).",
    ),
)


def join_options(command: _F) -> _F:
    """Add options to a command that choose what to monitor: the demo services or a real bot-core."""
    for option in reversed(JOIN_OPTIONS):
        command = option(command)
    return command


class _File(click.Path):
    """The path of a file. It rejects `-`, which elsewhere means stdin or stdout and here would be a file's name."""

    def convert(
        self,
        value: str | os.PathLike[str],
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> Any:
        """Return the path, or fail as click does."""
        if os.fspath(value) == "-":
            self.fail("'-' is not supported here; use ./- for a file of that name", param, ctx)
        return super().convert(value, param, ctx)


FILE = _File(path_type=Path)


class _Duration(click.ParamType[float]):
    """Seconds, from a duration in Prometheus' notation, such as 90s or 1h30m; at most ten years."""

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
