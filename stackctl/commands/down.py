"""`stackctl down`."""

from __future__ import annotations

import click

from stackctl.commands.options import confirm
from stackctl.commands.session import Session, pass_session


@click.command(epilog="\b\nExamples:\n  stackctl down\n  stackctl down --volumes --yes")
@click.option(
    "-v", "--volumes", is_flag=True, help="Also remove all data: metrics, logs and Grafana's."
)
@click.option("-y", "--yes", is_flag=True, help="Remove data without asking for confirmation.")
@click.option(
    "-t",
    "--timeout",
    type=click.IntRange(min=0),
    metavar="SECONDS",
    help="How long to wait before SIGKILL (default: Docker's 10).",
)
@pass_session
def down(session: Session, volumes: bool, yes: bool, timeout: int | None) -> None:
    """Stop the stack and remove its containers, after recovering from open faults.

    Data is kept unless you add --volumes.
    """
    from stackctl.lifecycle import down as lifecycle
    from stackctl.readiness.observer import Observer
    from stackctl.ui.progress import Display

    project = session.project
    if volumes and not yes:
        engine = project.whole_engine()
        unnamed = {f"an unnamed volume of {name}" for name in engine.unnamed_volumes().values()}
        lost = [*engine.volumes(project.choices.volumes), *sorted(unnamed)]
        if lost:
            confirm(f"This permanently removes {', '.join(lost)}. Continue?")
    with Display(session.err) as display:
        observer = Observer(display.step, display.note, display.progress)
        removed = lifecycle.down(project, volumes=volumes, timeout=timeout, observer=observer)
    if removed:
        session.out.print(
            f"{len(removed)} containers removed{', including their data' if volumes else ''}."
        )
    else:
        session.out.print(f"Project {project.name} was not running.")
