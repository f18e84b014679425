"""Stops the stack in named steps, which are reported to an observer."""

from __future__ import annotations

from dataclasses import replace

from stackctl.chaos import faults
from stackctl.chaos.journal import Journal
from stackctl.docker import named_volumes
from stackctl.docker.engine import Engine
from stackctl.images import sets
from stackctl.lifecycle import preflight
from stackctl.project import config_volumes
from stackctl.project.process_lock import exclusive
from stackctl.project.project import Project, UpRequest
from stackctl.readiness.observer import Observer
from stackctl.render.configuration import render


def down(project: Project, *, volumes: bool, timeout: int | None, observer: Observer) -> list[str]:
    """Recover from open faults, then stop and remove the project's containers and, with `volumes`, its data.

    Return the names of the removed containers. `timeout` is Docker's: seconds before a SIGKILL. Raises StackctlError if
    another command is changing the project, the project contains foreign containers, or the engine fails.
    """
    with exclusive(project.state, "down") as hold:
        _ensure_compose_env(project)
        # Remove the demo services too, whether or not the last `up` started them.
        engine = project.whole_engine()
        inventory = engine.inventory()
        preflight.refuse_failures(
            preflight.foreign_containers(inventory, project.choices.app_services)
        )
        containers = [one.name for one in engine.containers().values() if not one.attached]
        _heal_faults(project, engine, observer)
        if containers:
            observer.step(f"stopping {len(containers)} containers")
        # Once its container is gone, nothing shows which project an unnamed volume belongs to.
        unnamed = list(engine.unnamed_volumes()) if volumes else []
        engine.down(timeout=timeout)
        engine.remove_networks(project.choices.app_networks)
        config_volumes.remove(engine)
        engine.remove_scratch(inventory)
        if volumes:
            _remove_data(project, engine, unnamed)
        project.keep(replace(project.choices, request=UpRequest(), addresses={}))
        hold.settle()
        return sorted(containers)


def finish(project: Project, observer: Observer) -> None:
    """Finish an interrupted `down`: the engine continues to stop what it had begun to stop.

    Raises SeveralErrors if foreign containers were started in the project since.
    """
    engine = project.whole_engine()
    preflight.refuse_failures(
        preflight.foreign_containers(engine.inventory(), project.choices.app_services)
    )
    observer.note("finishing an interrupted `down`")
    engine.down()


def _ensure_compose_env(project: Project) -> None:
    """Render the configuration if there is none: Compose cannot read its files without compose.env."""
    if not project.state.compose_env.is_file():
        state = project.choices
        render(
            project.settings,
            project.secrets,
            project.state,
            images=sets.variables_of(project.settings, state),
            releases=state.releases,
            present=project.present(),
        )


def _heal_faults(project: Project, engine: Engine, observer: Observer) -> None:
    for fault in faults.heal_all(engine, Journal(project.state)):
        observer.note(f"recovered: {fault.describe()}")


def _remove_data(project: Project, engine: Engine, unnamed: list[str]) -> None:
    """Remove the data volumes and the record of those that were created for bot-core's files."""
    state = project.choices
    named_volumes.remove([*engine.volumes(state.volumes), *unnamed])
    project.keep(replace(state, volumes=()))
