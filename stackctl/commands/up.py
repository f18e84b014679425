"""`stackctl up`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from stackctl.commands.options import Finite, join_options
from stackctl.commands.session import Session, pass_session
from stackctl.commands.urls import print_urls
from stackctl.errors import EngineError

if TYPE_CHECKING:
    from stackctl.docker.engine import Engine
    from stackctl.images.resolve import Choice


@click.command(
    epilog="\b\nExamples:\n  stackctl up\n  stackctl up --no-demo\n  stackctl up --images local --verify\n"
    "  stackctl up --attach bot-core_default\n  stackctl up --app-file ../bot-core/docker-compose.yml"
)
@click.option(
    "--images",
    type=click.Choice(["auto", "upstream", "local"]),
    default="auto",
    show_default=True,
    help="Image set: upstream where it can be had, else local; or one of them.",
)
@join_options
@click.option(
    "--timeout",
    type=Finite(min=1),
    default=180.0,
    show_default=True,
    metavar="SECONDS",
    help="How long services may take to become ready.",
)
@click.option("--verify", "then_verify", is_flag=True, help="Run `stackctl verify` afterwards.")
@pass_session
@click.pass_context
def up(
    ctx: click.Context,
    session: Session,
    images: Choice,
    demo: bool | None,
    network: str | None,
    app_files: tuple[Path, ...],
    timeout: float,
    then_verify: bool,
) -> None:
    """Bring the stack up and wait until every service is ready.

    What is there already is kept: a second `up` changes nothing and says so.
    """
    from stackctl.lifecycle import up
    from stackctl.project.project import UpRequest
    from stackctl.readiness.observer import Observer
    from stackctl.readiness.wait import NotReady
    from stackctl.ui.progress import Display

    project = session.project
    with Display(session.err) as display:
        observer = Observer(display.step, display.note, display.progress)
        try:
            done = up.up(
                project,
                choice=images,
                request=UpRequest(demo, network, app_files),
                timeout=timeout,
                observer=observer,
            )
        except NotReady as failure:
            engine = project.engine()
            for one in failure.progress:
                display.note(f"{one.service}: {one.reason}")
                if one.container is not None:
                    display.note(_last_words(engine, one.container))
            raise
    slowest = max(done.services, key=lambda one: one.seconds)
    if done.changed:
        session.out.print(
            f"{len(done.services)} services ready ({len(done.changed)} started), the last,"
            f" {slowest.service}, after {slowest.seconds:.1f} s. Images: {done.resolved.name}."
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
            f"{channels}: alerts go to the demo's notification-sink instead."
            if project.choices.demo
            else f"No alert will reach {channels}."
        )
        session.err.print(f"{where} For the real ones set {', '.join(missing)}.", style="yellow")
    for gap in done.missing:
        session.err.print(f"{gap.message}; {gap.remedy}", style="yellow", markup=False)
    if done.left_out:
        session.err.print(
            f"Left out, as not there: {', '.join(done.left_out)}, with {len(done.rendering.alerts_left_out)}"
            f" alerts and {len(done.rendering.panels_left_out)} panels.",
            style="yellow",
        )
    session.out.print()
    print_urls(session)
    if then_verify:
        from stackctl.commands.verify import verify

        ctx.invoke(verify)


def _last_words(engine: Engine, container: str) -> str:
    """Return the last lines of a container's log, or why there are none: it may have been removed."""
    try:
        return engine.last_logs(container, 15).rstrip() or "(it logged nothing)"
    except EngineError as error:
        return f"(its log cannot be read: {error.message})"
