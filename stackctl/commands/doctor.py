"""`stackctl doctor`."""

from __future__ import annotations

import json
from dataclasses import asdict

import click

from stackctl.commands.common import FORMAT, Session, pass_session

_MARKS = {"ok": ("ok", "green"), "warning": ("warn", "yellow"), "failure": ("FAIL", "red")}


@click.command(epilog="\b\nExamples:\n  stackctl doctor\n  stackctl doctor --format json")
@FORMAT
@pass_session
@click.pass_context
def doctor(ctx: click.Context, session: Session, output: str) -> None:
    """Look at Docker, Compose, memory, disk, clock, ports and settings. Exit 1 if `up` would refuse."""
    from rich.table import Table
    from rich.text import Text

    from stackctl.stack import doctor as examination

    project = session.project
    findings = examination.examine(project.engine(), project.settings, project.services)
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
