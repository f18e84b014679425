"""`stackctl verify`."""

from __future__ import annotations

from pathlib import Path

import click

from stackctl.commands.common import Session, pass_session
from stackctl.errors import StackctlError, UsageError


@click.command(
    epilog="\b\nExamples:\n  stackctl verify\n  stackctl verify loki prometheus.targets\n"
    "  stackctl verify --all --drill --report report.html\n"
    "  stackctl verify --format junit > verify.xml"
)
@click.argument("names", nargs=-1, metavar="[SECTION|CHECK]...")
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
    type=click.FloatRange(min=0),
    default=30.0,
    show_default=True,
    metavar="SECONDS",
    help="How long a check is asked again before it has failed.",
)
@click.option("--all", "slow", is_flag=True, help="The slow sections too: notifications, load.")
@click.option(
    "--drill",
    is_flag=True,
    help="The drills too: two services are stopped, and their alerts seen through. Three minutes.",
)
@click.option(
    "--report",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE.html",
    help="Write the results with their evidence as one HTML page too.",
)
@click.option(
    "--send",
    is_flag=True,
    help="Let the notifications section send test alerts to the real channels that are set up.",
)
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
) -> None:
    """Prove that the stack works: the plan's section 9 as a checklist. Exit 1 if a check fails.

    SECTION is one of prometheus, grafana, loki, alertmanager, dashboards, notifications, end-to-end; CHECK an id
    such as prometheus.targets. Without any, everything is checked but what takes longer than a few seconds or puts
    load on the stack; `--all` adds that.
    """
    import asyncio

    from stackctl.report import html, json, junit
    from stackctl.report.terminal import print_report
    from stackctl.verify import runner
    from stackctl.verify.context import open_context, real_channels
    from stackctl.verify.model import Report, Result

    checks = runner.select(names, slow=slow, drill=drill)
    project = session.project
    if any(check.slow and check.section == "notifications" for check in checks):
        real = ", ".join(sorted(real_channels(project.settings)))
        if real and not send:
            raise UsageError(
                f"test alerts would go to the real {real}",
                remedy="give --send if they may, or leave the notifications section out",
            )
        if real:
            session.err.print(f"sending test alerts to the real {real}", style="yellow")
    containers = project.engine().containers()
    if all(state.attached for state in containers.values()):
        raise StackctlError(f"project {project.name} is not up", remedy="stackctl up")
    standins = {name: state.standin for name, state in containers.items()}

    async def run() -> Report:
        waiting = {check.id for check in checks}

        def finished(result: Result) -> None:
            waiting.discard(result.check.id)
            spinner.update(f"waiting for {', '.join(sorted(waiting))}" if waiting else "done")

        async with open_context(project) as context:
            return await runner.run(
                checks,
                context,
                project=project.name,
                images=project.choices.images,
                standins=standins,
                timeout=timeout,
                finished=finished,
            )

    with session.err.status(f"{len(checks)} checks") as spinner:
        done = asyncio.run(run())
    if report is not None:
        html.write(report, done)
        session.err.print(f"report: {report}", markup=False)
    if output == "table":
        print_report(session.out, done)
    else:
        click.echo(json.dumps(done) if output == "json" else junit.dumps(done))
    if not done.ok:
        ctx.exit(1)
