"""`stackctl doctor`."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from stackctl.commands.options import FORMAT, join_options
from stackctl.commands.session import Session, pass_session
from stackctl.errors import EngineError
from stackctl.ui.console import print_json

if TYPE_CHECKING:
    from stackctl.lifecycle.preflight import Finding
    from stackctl.project.project import Project, ProjectState

_MARKS = {
    "ok": ("ok", "green"),
    "skipped": ("skip", "dim"),
    "warning": ("warn", "yellow"),
    "failure": ("FAIL", "red"),
}


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
    """Check Docker, Compose, memory, disk, clock, ports and settings. Exits with 1 if `up` would refuse to start.

    With --attach or --app-file, or if the stack was started with them, also check which services of bot-core are
    running, and their ports and metrics paths.
    """
    from rich.table import Table
    from rich.text import Text

    from stackctl.images import lockfile, releases
    from stackctl.lifecycle import attach
    from stackctl.lifecycle import preflight as examination
    from stackctl.lifecycle.requested import requested_state
    from stackctl.project.project import UpRequest
    from stackctl.ui.marks import marks

    project = session.project
    chosen = requested_state(project.settings, UpRequest(demo, network, app_files), project.choices)
    trouble: EngineError | None = None
    try:
        chosen = attach.discover(project, chosen)
    except EngineError as error:
        trouble = error
    engine = project.engine(chosen)
    findings = examination.examine(
        engine, project.settings, project.services_of(chosen), chosen.app_services, chosen.images
    )
    if findings[0].level != "failure":
        upcoming = replace(chosen, releases=releases.settle(project, lock=lockfile.read()))
        metrics = project.container_metrics(engine, upcoming)
        findings.append(examination.containers_seen(metrics))
    if chosen.joined and findings[0].level != "failure":
        findings += (
            [examination.unjoined("failure", trouble)] if trouble else _bot_core(project, chosen)
        )
    if output == "json":
        print_json([asdict(finding) for finding in findings])
    else:
        table = Table.grid(padding=(0, 2))
        arrow = marks(session.out.encoding).remedy
        for finding in findings:
            mark, style = _MARKS[finding.level]
            remedy = f"\n{arrow} {finding.remedy}" if finding.remedy else ""
            table.add_row(Text(mark, style=style), finding.subject, Text(finding.message + remedy))
        session.out.print(table)
    if any(finding.level == "failure" for finding in findings):
        ctx.exit(1)


def _bot_core(project: Project, chosen: ProjectState) -> list[Finding]:
    from stackctl.lifecycle import attach
    from stackctl.lifecycle import preflight as examination

    try:
        seen = attach.survey(project, chosen)
    except EngineError as error:
        return [examination.unjoined("warning", error)]
    return list(examination.joined(seen, project.present(chosen)))
