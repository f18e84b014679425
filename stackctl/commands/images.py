"""`stackctl images`."""

from __future__ import annotations

import json

import click

from stackctl.commands.common import FORMAT, Session, pass_session


@click.group(epilog="\b\nExamples:\n  stackctl images list\n  stackctl images build")
def images() -> None:
    """List the images of both sets, or build the local one."""


@images.command(
    "list", epilog="\b\nExamples:\n  stackctl images list\n  stackctl images list --format json"
)
@FORMAT
@pass_session
def list_(session: Session, output: str) -> None:
    """Show every image of both sets, and whether it is on this machine."""
    from rich.table import Table

    from stackctl.stack.images import inventory

    project = session.project
    rows = inventory(project.whole_engine(), project.settings)
    if output == "json":
        session.out.print_json(json.dumps(rows))
        return
    table = Table(box=None, pad_edge=False)
    for heading in ("image", "upstream", "there", "local", "there"):
        table.add_column(heading, overflow="fold")
    for row in rows:
        local = f"{row['local']} (stand-in)" if row["standin"] else str(row["local"])
        table.add_row(
            str(row["name"]),
            str(row["upstream"]),
            "yes" if row["upstream_present"] else "no",
            local,
            "yes" if row["local_present"] else "no",
        )
    session.out.print(table)


@images.command(epilog="\b\nExamples:\n  stackctl images build")
@pass_session
def build(session: Session) -> None:
    """Build the local set from Debian's packages. What has not changed is not built again."""
    from stackctl.report.progress import Display
    from stackctl.stack import images as sets

    with Display(session.err) as display:
        sets.build(session.project.whole_engine(), display.step)
    session.out.print(f"{len(sets.catalogue())} images built.")
