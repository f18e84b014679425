"""`stackctl render`."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import click

from stackctl.commands.options import VERSIONS
from stackctl.commands.session import Session, pass_session
from stackctl.errors import StackctlError

if TYPE_CHECKING:
    from stackctl.project.project import ProjectState
    from stackctl.services.releases import Versions


@click.command(
    epilog="\b\nExamples:\n  stackctl render\n  stackctl render --check\n  stackctl -p other render"
)
@click.option(
    "--check",
    is_flag=True,
    help="Write nothing; let every program validate its configuration. Exits with 1 if one rejects it.",
)
@VERSIONS
@pass_session
@click.pass_context
def render(ctx: click.Context, session: Session, check: bool, versions: Versions | None) -> None:
    """Write the configuration, secrets and compose.env of the next `up` without starting anything.

    Prints their folder. Its compose.env is the --env-file for the compose files.
    """
    from stackctl.images import lockfile, releases, sets
    from stackctl.lifecycle import attach
    from stackctl.project.process_lock import exclusive
    from stackctl.project.project import UpRequest
    from stackctl.render.configuration import render as write

    project = session.project
    choices = replace(
        attach.next_state(project, UpRequest()),
        releases=releases.settle(project, versions, lock=lockfile.read()),
    )
    if check:
        if not passes_checks(session, choices):
            ctx.exit(1)
        return
    with exclusive(project.state, "render"):
        done = write(
            project.settings,
            project.secrets,
            project.state,
            images=sets.variables_of(project.settings, choices),
            releases=choices.releases,
            present=project.present(choices),
        )
    for channel, missing in done.left_out.items():
        session.err.print(f"{channel} is not configured: set {', '.join(missing)}", style="yellow")
    session.err.print(f"{len(done.changed)} files changed")
    session.out.print(str(project.state.folder), soft_wrap=True)


def passes_checks(session: Session, choices: ProjectState) -> bool:
    """Return whether every program accepts the configuration for this state, and print the results.

    The programs are those of the project's image set or, without one, of the set that is present. Raises StackctlError
    if an image is missing.
    """
    import tempfile
    from pathlib import Path

    from stackctl.images import resolve
    from stackctl.render import validate
    from stackctl.render.configuration import write_configuration

    project = session.project
    engine = project.whole_engine()
    references = resolve.references_in_use(engine, project.settings, choices)
    missing = [one for one in sorted(validate.images(references)) if engine.image_id(one) is None]
    if missing:
        raise StackctlError(
            f"cannot validate the configuration without {', '.join(missing)}",
            remedy="`stackctl up` obtains the images, `stackctl up --dry-run` shows how",
        )
    passed = True
    with tempfile.TemporaryDirectory(prefix="stackctl-check-") as name:
        folder = Path(name)
        write_configuration(
            project.settings, project.state, folder, choices.releases, project.present(choices)
        )
        for verdict in validate.check(engine, references, folder):
            passed &= verdict.ok
            if verdict.ok:
                session.out.print(f"{verdict.service}: {verdict.subject} valid", style="green")
            else:
                session.out.print(f"{verdict.service}: {verdict.subject} rejected:", style="red")
                session.out.print(verdict.output, markup=False, soft_wrap=True)
    return passed
