"""`stackctl verify`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from stackctl.commands import complete
from stackctl.commands.options import FILE, WATCH, Finite
from stackctl.commands.session import Session, pass_session
from stackctl.errors import UsageError
from stackctl.ui.console import print_document
from stackctl.ui.watch import watch

if TYPE_CHECKING:
    from rich.console import RenderableType

    from stackctl.docker.models import ContainerState


@click.command(
    epilog="\b\nExamples:\n  stackctl verify\n  stackctl verify loki prometheus.targets\n"
    "  stackctl verify --watch 10\n  stackctl verify --all --drill --report report.html\n"
    "  stackctl verify --format junit > verify.xml"
)
@click.argument("names", nargs=-1, metavar="[SECTION|CHECK]...", shell_complete=complete.checks)
@click.option(
    "--format",
    "output",
    type=click.Choice(["table", "json", "junit"]),
    default="table",
    show_default=True,
    help="How to print it.",
)
@click.option(
    "--timeout",
    type=Finite(min=0),
    default=30.0,
    show_default=True,
    metavar="SECONDS",
    help="How long a check is asked again before it has failed.",
)
@click.option("--all", "slow", is_flag=True, help="The slow sections too: notifications, load.")
@click.option(
    "--drill",
    is_flag=True,
    help="The drills too: two services are stopped, unless they are not this stack's, and their alerts seen through."
    " Three minutes.",
)
@click.option(
    "--report",
    type=FILE,
    metavar="FILE.html",
    help="Write the results with their evidence as one HTML page too.",
)
@click.option(
    "--send",
    is_flag=True,
    help="Let test alerts and drills notify the real channels that are set up.",
)
@WATCH
@pass_session
@click.pass_context
def verify(
    ctx: click.Context,
    session: Session,
    names: tuple[str, ...],
    output: str,
    timeout: float,
    slow: bool,
    drill: bool,
    report: Path | None,
    send: bool,
    every: float | None,
) -> None:
    """Prove that the stack works: the plan's section 9 as a checklist.

    Exit 1 if a check fails, 3 if the stack is not running, 4 while it starts or another command changes it, 5 if it is
    only too young for a check.

    SECTION is one of prometheus, applications, grafana, loki, alertmanager, notifications, dashboards, end-to-end;
    CHECK an id such as prometheus.targets. Without any, everything is checked but what takes longer than a few seconds
    or puts load on the stack; `--all` adds that. A warning is no failure.
    """
    import asyncio
    from dataclasses import replace

    from stackctl.report.terminal import overview, print_report
    from stackctl.services.catalog import LOG_COLLECTORS, log_collector
    from stackctl.ui.progress import Waiting
    from stackctl.verify import runner, standing
    from stackctl.verify.context import destinations, open_context
    from stackctl.verify.model import Report, Result

    collector = log_collector(session.project.choices.releases)
    checks = tuple(
        replace(check, service=collector) if check.service in LOG_COLLECTORS else check
        for check in runner.select(names, slow=slow, drill=drill)
    )
    if every is not None and (report or any(check.slow or check.drill for check in checks)):
        raise UsageError(
            "--watch is for the quick checks, which put nothing on the stack",
            remedy="leave --all, --drill, --report and the slow sections out",
        )
    project = session.running
    # What is asked once is what others notice.
    telling = any(check.once for check in checks)
    where = destinations(project.settings) if telling else ""
    acting = any(check.once or check.slow or check.drill for check in checks)
    if where and not send:
        raise UsageError(
            f"alerts would go to real channels: {where}",
            remedy="give --send if they may, or leave notifications and drills out",
        )
    if where:
        session.err.print(f"alerts go to real channels: {where}", style="yellow", soft_wrap=True)
    if report is not None:
        from stackctl.report import html

        html.require_writable(report)
    engine = project.engine()
    needed = {check.service for check in checks} if names else None

    def running() -> Mapping[str, ContainerState]:
        """Return the containers. Raises NotSettled or NotRunning where the checks would only find that."""
        standing.require_settled(project)
        containers = engine.containers()
        standing.require_running(project, engine, containers, needed)
        return containers

    containers = running()
    standins = {name: state.standin for name, state in containers.items()}
    if note := standing.other_version(project):
        session.err.print(f"stackctl: {note}", style="yellow", soft_wrap=True, markup=False)

    async def run(
        timeout: float,
        finished: Callable[[Result], None],
        drilled: Callable[[str, str], None] = lambda _service, _state: None,
    ) -> Report:
        if acting:
            # Nothing is to be done to another stack.
            await standing.require_ours(engine, project.settings, containers)
        async with open_context(project, drilled) as context:
            checked = runner.run(
                checks,
                context,
                project=project.name,
                images=project.choices.images,
                standins=standins,
                timeout=timeout,
                finished=finished,
            )
            if acting:
                return await checked
            ours = standing.require_ours(engine, project.settings, containers)
            return await standing.beside(ours, checked)

    def view() -> RenderableType:
        nonlocal containers
        containers = running()
        return overview(session.out, asyncio.run(run(0, lambda _: None)))

    if every is not None:
        watch(session.out, every, output, view)
    with Waiting(session.err, [check.id for check in checks]) as shown:
        done = asyncio.run(run(timeout, lambda result: shown.finished(result.check.id), shown.tell))
    if output == "table":
        print_report(session.out, done)
    elif output == "json":
        from stackctl.report import json

        print_document(json.dumps(done))
    else:
        from stackctl.report import junit

        print_document(junit.dumps(done))
    if report is not None:
        html.write(report, done)
        session.err.print(f"report: {report}", markup=False, soft_wrap=True)
    ctx.exit(done.exit_code)
