"""`stackctl doctor`."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import click

from stackctl.commands.common import FORMAT, Session, join_options, pass_session

_MARKS = {"ok": ("ok", "green"), "warning": ("warn", "yellow"), "failure": ("FAIL", "red")}


@click.command(
    epilog="\b\nExamples:\n  stackctl doctor\n  stackctl doctor --format json\n"
    "  stackctl doctor --attach bot-core_default"
)
@FORMAT
@join_options
@pass_session
@click.pass_context
def doctor(
    ctx: click.Context,
    session: Session,
    output: str,
    demo: bool | None,
    network: str | None,
    app_files: tuple[Path, ...],
) -> None:
    """Look at Docker, Compose, memory, disk, clock, ports and settings. Exit 1 if `up` would refuse.

    With --attach or --app-file, or where the stack was started so, also at what of bot-core is there: its services,
    their ports and their metrics paths.
    """
    from rich.table import Table
    from rich.text import Text

    from stackctl.stack import doctor as examination
    from stackctl.stack import joining
    from stackctl.stack.project import Wish

    project = session.project
    chosen = joining.planned(project, Wish(demo, network, app_files))
    engine = project.engine(chosen)
    findings = examination.examine(
        engine, project.settings, project.services_of(chosen), chosen.app_services
    )
    if chosen.joined and findings[0].level != "failure":
        findings += examination.joined(joining.missing(project, chosen), project.present(chosen))
    if output == "json":
        session.out.print_json(json.dumps([asdict(finding) for finding in findings]))
    else:
        table = Table.grid(padding=(0, 2))
        for finding in findings:
            mark, style = _MARKS[finding.level]
            remedy = f"\n→ {finding.remedy}" if finding.remedy else ""
            table.add_row(Text(mark, style=style), finding.subject, Text(finding.message + remedy))
        session.out.print(table)
    if any(finding.level == "failure" for finding in findings):
        ctx.exit(1)
