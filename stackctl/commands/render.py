"""`stackctl render`."""

from __future__ import annotations

import click

from stackctl.commands.common import Session, pass_session


@click.command(epilog="\b\nExamples:\n  stackctl render\n  stackctl -p other render")
@pass_session
def render(session: Session) -> None:
    """Write the configuration, the secrets and compose.env without starting anything.

    Prints the folder that has them: compose.env in it is the --env-file of the compose files.
    """
    from stackctl.stack import images
    from stackctl.stack.lock import exclusive
    from stackctl.stack.render import render as write

    project = session.project
    choices = project.choices
    variables = images.variables(choices.images, demo=choices.demo)
    with exclusive(project.state, "render"):
        done = write(
            project.settings, project.secrets, project.state, images=variables, demo=choices.demo
        )
    for channel, missing in done.left_out.items():
        session.err.print(f"{channel} is left out: set {', '.join(missing)}", style="yellow")
    session.err.print(f"{len(done.changed)} files changed")
    session.out.print(str(project.state.folder), soft_wrap=True)
