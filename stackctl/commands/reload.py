"""`stackctl reload`."""

from __future__ import annotations

import click

from stackctl.commands.session import Session, pass_session
from stackctl.errors import StackctlError


@click.command(epilog="\b\nExamples:\n  stackctl reload")
@pass_session
def reload(session: Session) -> None:
    """Apply a changed configuration to the running services without a restart.

    Every program validates the new configuration first; if one rejects it, nothing changes. Prometheus, Alertmanager
    and the blackbox exporter are reloaded; Grafana and Prometheus pick up changed dashboards and targets by themselves.
    Changes that need a new container, such as ports, images or Loki's configuration, are applied by `stackctl up`.
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
            "configuration rejected, nothing was changed",
            remedy="fix the errors above",
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
            session.out.print(f"{name} reloaded")

        asyncio.run(reload.reload(session.running.settings, reload.reloadable(changed), done))
        unattended = reload.unattended(changed)
        reload.note_read(project.state, unattended)
    for name in unattended:
        session.out.print(f"{name} changed: picked up within seconds")
    waiting = reload.waiting(changed)
    if waiting:
        session.err.print(f"to be applied by `stackctl up`: {', '.join(waiting)}", style="yellow")
    if not changed:
        session.out.print("nothing has changed")
