"""`stackctl reload`."""

from __future__ import annotations

import click

from stackctl.commands.session import Session, pass_session
from stackctl.errors import StackctlError


@click.command(epilog="\b\nExamples:\n  stackctl reload")
@pass_session
def reload(session: Session) -> None:
    """Have the running programs read a changed configuration, without a gap in what they record.

    Every program checks the new configuration first: if one refuses it, nothing changes. Prometheus, Alertmanager
    and the blackbox exporter are told to read theirs again; changed dashboards and targets are found by Grafana and
    Prometheus themselves. Whatever can only be changed with a new container, such as ports, images or Loki's
    configuration, waits for `stackctl up`.
    """
    import asyncio

    from stackctl.commands.render import passes_checks
    from stackctl.images import sets
    from stackctl.lifecycle import reload
    from stackctl.project import config_volumes
    from stackctl.project.process_lock import exclusive
    from stackctl.render.configuration import render

    project = session.project
    choices = project.choices
    session.require_running()
    if not passes_checks(session, choices):
        raise StackctlError(
            "a program refuses the configuration, so nothing was changed",
            remedy="correct what it says above",
        )
    with exclusive(project.state, "reload"):
        render(
            project.settings,
            project.secrets,
            project.state,
            images=sets.variables_of(project.settings, choices),
            releases=choices.releases,
            present=project.present(),
        )
        config_volumes.refresh(project.engine(), project.state, config_volumes.kept(project.state))
        changed = reload.changed(project.state)

        def done(name: str) -> None:
            reload.note_read(project.state, reload.files_of(name, changed))
            session.out.print(f"{name} has read its configuration again")

        asyncio.run(reload.reload(session.running.settings, reload.reloadable(changed), done))
        unattended = reload.unattended(changed)
        reload.note_read(project.state, unattended)
    for name in unattended:
        session.out.print(f"{name} is found changed by its reader within seconds")
    waiting = reload.waiting(changed)
    if waiting:
        session.err.print(f"for `stackctl up`: {', '.join(waiting)}", style="yellow")
    if not changed:
        session.out.print("nothing has changed")
