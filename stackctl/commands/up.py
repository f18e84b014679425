"""`stackctl up`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from stackctl.commands.options import VERSIONS, Finite, join_options
from stackctl.commands.session import Session, pass_session
from stackctl.commands.urls import print_urls
from stackctl.errors import EngineError, SeveralErrors, StackctlError, UsageError
from stackctl.ui.console import print_json

if TYPE_CHECKING:
    from stackctl.docker.engine import Engine
    from stackctl.images.choice import Choice
    from stackctl.project.project import UpRequest
    from stackctl.services.releases import Versions


@click.command(
    epilog="\b\nExamples:\n  stackctl up\n  stackctl up --dry-run\n  stackctl up --no-demo\n"
    "  stackctl up --images local --verify\n  stackctl up --attach bot-core_default\n"
    "  stackctl up --app-file ../bot-core/docker-compose.yml"
)
@click.option(
    "--images",
    type=click.Choice(["auto", "upstream", "local"]),
    default="auto",
    show_default=True,
    help="Image set: upstream, local, or upstream if available, else local.",
)
@VERSIONS
@join_options
@click.option(
    "--timeout",
    type=Finite(min=1),
    default=180.0,
    show_default=True,
    metavar="SECONDS",
    help="How long to wait for services to become ready.",
)
@click.option("--verify", "then_verify", is_flag=True, help="Run `stackctl verify` afterwards.")
@click.option("--dry-run", is_flag=True, help="Print what `up` would do, and change nothing.")
@click.option(
    "--format",
    "output",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="Output format of --dry-run.",
)
@pass_session
@click.pass_context
def up(
    ctx: click.Context,
    session: Session,
    images: Choice,
    versions: Versions | None,
    demo: bool | None,
    network: str | None,
    app_files: tuple[Path, ...],
    timeout: float,
    then_verify: bool,
    dry_run: bool,
    output: str,
) -> None:
    """Start the stack and wait until every service is ready.

    Existing containers and data are kept: a second `up` without changes does nothing.

    With --dry-run, print what would be pulled, built, written, created and removed, and why, without changing any file,
    image or container. Exits with 1 if `up` would refuse to start.

    The JSON object has `ok` and `failures`, a list of objects with `message` and `remedy`. Where `ok` is true it also
    has `changes` (false if there is nothing to change), `warnings`, `request`, `images` (`set`, `releases` by image,
    `reason`, `falls_back`, `pull`, `build`), `compose_update` (`before` and `now`, if an update of Docker Compose
    replaces every container; else null), `files` (`added`, `changed`, `removed`, by path in the state folder),
    `containers` (`create`, `recreate`, `dependents`, `start`, `remove`, by service; `recreate` is null until images
    are built), `volumes` (`reset`, `upgrade`, `remove`), `cleanup` (`unfinished_down`, `containers`),
    `grafana_password` (keep, set or unknown), `notifications` (`on`, `off` with the missing settings), `services`,
    and `not_monitored` (`services`, `missing`, `alerts`, `panels`).
    """
    from stackctl.lifecycle import up
    from stackctl.project import container_metrics
    from stackctl.project.project import UpRequest
    from stackctl.readiness.observer import Observer
    from stackctl.readiness.wait import NotReady
    from stackctl.ui.progress import Display

    request = UpRequest(demo, network, app_files)
    if dry_run:
        if then_verify:
            raise UsageError(
                "--verify cannot be combined with --dry-run", remedy="omit one of them"
            )
        _print_plan(session, images, versions, request, output)
        return
    if output != "text":
        raise UsageError("--format requires --dry-run", remedy="add --dry-run")
    project = session.project
    with Display(session.err) as display:
        observer = Observer(display.step, display.note, display.progress)
        try:
            done = up.up(
                project,
                choice=images,
                versions=versions,
                request=request,
                timeout=timeout,
                observer=observer,
            )
        except NotReady as failure:
            engine = project.engine()
            for one in failure.progress:
                display.note(f"{one.service}: {one.reason}")
                if one.container is not None:
                    display.note(project.redacted(_last_words(engine, one.container)))
            raise
    slowest = max(done.services, key=lambda one: one.seconds)
    if done.changed:
        session.out.print(
            f"{len(done.services)} services ready ({len(done.changed)} started) after {slowest.seconds:.1f} s,"
            f" {slowest.service} last. Images: {done.resolved.name}."
        )
    else:
        session.out.print(
            f"{len(done.services)} services ready, nothing to change. Images: {done.resolved.name}."
        )
    standins = [one.service for one in done.services if one.standin]
    if standins:
        session.out.print(f"Stand-ins: {', '.join(standins)}.")
    if done.rendering.left_out:
        missing = [name for names in done.rendering.left_out.values() for name in names]
        channels = ", ".join(done.rendering.left_out)
        where = (
            f"{channels} not configured: alerts go to the demo's notification-sink."
            if project.choices.demo
            else f"{channels} not configured: nobody is notified there."
        )
        session.err.print(f"{where} To configure them, set {', '.join(missing)}.", style="yellow")
    for gap in done.missing:
        session.err.print(f"{gap.message}; {gap.remedy}", style="yellow", markup=False)
    if done.left_out:
        session.err.print(
            f"Not monitored (not found): {', '.join(done.left_out)}. Left out: {len(done.rendering.alerts_left_out)}"
            f" alerts and {len(done.rendering.panels_left_out)} panels.",
            style="yellow",
        )
    if done.unseen is not None:
        reason, remedy = container_metrics.reason(done.unseen)
        session.err.print(
            f"No container metrics: {reason}; {remedy}. Their alerts and panels are left out.",
            style="yellow",
            markup=False,
        )
    session.out.print()
    print_urls(session)
    if then_verify:
        from stackctl.commands.verify import verify

        ctx.invoke(verify)


def _print_plan(
    session: Session,
    images: Choice,
    versions: Versions | None,
    request: UpRequest,
    output: str,
) -> None:
    """Print what `up` would do. Raises StackctlError if it would refuse to start."""

    from stackctl.lifecycle import up
    from stackctl.ui import plan as ui
    from stackctl.ui.progress import Display

    project = session.untouched_project
    try:
        with Display(session.err) as display:
            plan = up.dry_run(
                project, choice=images, versions=versions, request=request, step=display.step
            )
    except UsageError:
        raise
    except StackctlError as error:
        if output == "json":
            failures = [
                {"message": one.message, "remedy": one.remedy}
                for one in (error.errors if isinstance(error, SeveralErrors) else [error])
            ]
            print_json({"ok": False, "failures": failures})
        raise
    rehearsal = plan.facts.rehearsal
    assert rehearsal is not None  # noqa: S101 - a dry run rehearses
    if output == "json":
        print_json(ui.as_json(plan, rehearsal))
        return
    session.out.print(ui.as_text(plan, rehearsal))
    session.out.print()
    session.out.print(
        f"`stackctl up` would make these changes to the project {project.name}."
        if plan.has_changes
        else f"Nothing to change in the project {project.name}.",
        markup=False,
    )


def _last_words(engine: Engine, container: str) -> str:
    """Return a container's failed health check and the end of its log, or why they are not available.

    The container may have been removed.
    """
    try:
        state = engine.container(container)
        check = str(state.failed_check) if state and state.failed_check else ""
        log = engine.last_logs(container, 15).rstrip()
    except EngineError as error:
        return f"(cannot read its log: {error.message})"
    return "\n".join(filter(None, (check, log))) or "(its log is empty)"
