"""Options that several commands take, and their types."""

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
        """Return the number; fail as click does if it is none."""
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


VERSIONS = click.option(
    "--versions",
    type=click.Choice(get_args(Versions)),
    help="Release of each image: the plan's, the current one, or the plan's where it can serve"
    " (default: STACKCTL_VERSIONS, and what runs).",
)


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
    """Add the options that choose the monitored bot-core to a command: the demo services, or a running bot-core."""
    for option in reversed(JOIN_OPTIONS):
        command = option(command)
    return command


class _File(click.Path):
    """A file by its path. A bare `-`, which elsewhere is stdin or stdout, is refused: it would be a file named `-`."""

    def convert(
        self,
        value: str | os.PathLike[str],
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> Any:
        """Return the path; fail as click does if it is a dash."""
        if os.fspath(value) == "-":
            self.fail(
                "'-' is not a file here: name one, or write ./- for a file of that name", param, ctx
            )
        return super().convert(value, param, ctx)


FILE = _File(path_type=Path)


class _Duration(click.ParamType[float]):
    """Seconds, from a duration as Prometheus writes it: 90s, 3m, 1h30m; ten years at most."""

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
