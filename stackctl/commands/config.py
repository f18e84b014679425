"""`stackctl config`."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass

import click

from stackctl.commands import complete
from stackctl.commands.session import Session, pass_session
from stackctl.errors import StackctlError, UsageError
from stackctl.ui.console import print_document, print_json

_HIDDEN = "****"


@click.command(
    epilog="\b\nExamples:\n  stackctl config\n  stackctl config GRAFANA_PORT\n"
    "  stackctl config --format env > copy.env"
)
@click.argument("name", required=False, shell_complete=complete.settings)
@click.option(
    "--format",
    "output",
    type=click.Choice(["table", "json", "env"]),
    default="table",
    show_default=True,
    help="Output format; env is a settings file.",
)
@pass_session
def config(session: Session, name: str | None, output: str) -> None:
    """Show all settings and where they come from, or only the value of NAME.

    Secrets are shown as ****. Exits with 1 if NAME has no value.
    """
    from stackctl.config.registry import SETTINGS
    from stackctl.util.suggest import nearest

    if name is not None:
        if name not in SETTINGS:
            raise UsageError(f"unknown setting {name!r}", remedy=nearest(name, list(SETTINGS)))
        if output != "table":
            raise UsageError("--format cannot be combined with NAME", remedy="omit one of them")
        print_document(_value(session, name))
        return
    for doubt, remedy in session.project.settings.doubts():
        session.err.print(
            f"stackctl: {doubt}; {remedy}", style="yellow", markup=False, soft_wrap=True
        )
    rows = _rows(session)
    if output == "json":
        print_json([asdict(row) for row in rows])
    elif output == "env":
        print_document("\n".join(map(_line, rows)))
    else:
        from rich.table import Table
        from rich.text import Text

        table = Table(box=None, pad_edge=False)
        table.add_column("setting", no_wrap=True)
        table.add_column("value", overflow="fold")
        table.add_column("from", overflow="fold")
        for row in rows:
            style = "dim" if row.origin in {"default", "not set"} else ""
            table.add_row(row.name, Text(row.value or ""), row.origin, style=style)
        session.out.print(table)


@dataclass(frozen=True)
class Row:
    """A setting in the output of `config`, with the values of secrets hidden."""

    name: str
    value: str | None
    origin: str
    secret: bool


def _rows(session: Session) -> list[Row]:
    from stackctl.config.registry import GENERATED_SECRETS, GROUPS

    values = session.project.settings.values
    rows = []
    for row in (row for group in GROUPS.values() for row in group):
        text, origin = values[row.name].text, values[row.name].origin
        if text is None and row.name in GENERATED_SECRETS:
            origin = "generated"
        hidden = origin == "generated" or not isinstance(text, str | None)
        shown = _HIDDEN if hidden else session.project.settings[row.name]
        rows.append(Row(row.name, shown, origin, row.secret))
    return rows


def _value(session: Session, name: str) -> str:
    from stackctl.config.registry import GENERATED_SECRETS, SETTINGS
    from stackctl.project.secrets import STORE

    project = session.project
    origin = project.settings.values[name].origin
    if SETTINGS[name].secret and origin != "not set":
        raise StackctlError(
            f"{name} is a secret and is not printed", remedy=f"read it from {origin}"
        )
    if name in GENERATED_SECRETS:
        raise StackctlError(
            f"{name} is a secret and is not printed",
            remedy=f"it was generated and is stored in {project.state.folder / STORE}",
        )
    value = project.settings[name]
    if value is None:
        raise StackctlError(f"{name} is not set", remedy="set it in .env or in the environment")
    return value


def _line(row: Row) -> str:
    """Return a setting's line in a .env file, commented out if it is not set or a secret."""
    if row.value is None or row.secret:
        return f"#{row.name}={row.value or ''}"
    if re.fullmatch(r"[\w.:/@+,-]+", row.value):
        return f"{row.name}={row.value}"
    return "{}='{}'".format(row.name, row.value.replace("\\", "\\\\").replace("'", "\\'"))
