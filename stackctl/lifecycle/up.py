"""Bringing the stack up and taking it down. Nothing here prints: what happens goes to an observer."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace

from stackctl.chaos import faults
from stackctl.chaos.journal import Journal
from stackctl.clients.grafana import GrafanaClient
from stackctl.docker import named_volumes
from stackctl.errors import EngineError, ServiceError, SeveralErrors, StackctlError
from stackctl.images import lockfile, resolve
from stackctl.images.resolve import Choice, Resolved
from stackctl.lifecycle import attach, demo_data, preflight, reload
from stackctl.lifecycle.attach import Missing
from stackctl.project import config_volumes, engine_overrides, unfinished_restore
from stackctl.project.process_lock import exclusive
from stackctl.project.project import Project, ProjectState, UpRequest
from stackctl.readiness import wait
from stackctl.readiness.observer import Observer
from stackctl.readiness.wait import Progress
from stackctl.render.configuration import Rendering, render

# The new password travels inside the container only: on the command line of no process.
_SET_PASSWORD = (
    "grafana cli admin reset-admin-password --password-from-stdin < /run/secrets/grafana_password"  # noqa: S105
)


@dataclass(frozen=True, slots=True)
class Up:
    """What `up` did: the image set in use, the configuration, each service's readiness, what it created."""

    resolved: Resolved
    rendering: Rendering
    services: list[Progress]
    changed: tuple[str, ...]
    """Services whose container was created or replaced."""
    left_out: tuple[str, ...]
    """The services of bot-core that are not watched, where others are."""
    missing: tuple[Missing, ...]
    """What is not where it is watched."""


def up(
    project: Project, *, choice: Choice, request: UpRequest, timeout: float, observer: Observer
) -> Up:
    """Bring the stack up and wait until every service is ready.

    `timeout` is the deadline for readiness in seconds. Raises StackctlError: with the doctor's failures, where
    an image cannot be had, where Compose fails, or NotReady.
    """
    with exclusive(project.state, "up") as hold:
        unfinished_restore.refuse(project.state)
        if hold.down_cut_off:
            # The engine goes on stopping what a `down` had told it to stop before it was cut off.
            engine = project.whole_engine()
            # Somebody may have started their own under this name since.
            _refuse_failures(
                list(preflight.foreign_containers(engine.inventory(), project.choices.app_services))
            )
            observer.note("finishing the `down` that was cut off")
            engine.down()
            hold.settle()
        chosen = attach.next_state(project, request)
        engine = project.engine(chosen)
        observer.step("checking this machine")
        own = [one for one in project.services_of(chosen) if one.profile != "attached"]
        _refuse_failures(preflight.examine(engine, project.settings, own, chosen.app_services))
        observer.step("choosing the images")
        resolved = resolve.resolve(
            engine,
            project.settings,
            choice=choice,
            previous=chosen.images,
            demo=chosen.demo,
            progress=observer.step,
            lock=lockfile.read(),
        )
        if resolved.reason:
            observer.note(resolved.reason)
        present = project.present(chosen)
        rendering = render(
            project.settings,
            project.secrets,
            project.state,
            images=resolved.variables,
            present=present,
        )
        attach.write_join_file(project.state, chosen)
        chosen = replace(chosen, images=resolved.name, pins=resolved.pins)
        info = engine.info()
        engine = project.engine(chosen)
        project.keep(replace(chosen, volumes=attach.created_volumes(engine, chosen)))
        # Anew: the images may have taken minutes.
        inventory = engine.inventory()
        before = inventory.own
        for leftover in inventory.leftovers():
            engine.remove(leftover)
            observer.note(f"removed {leftover}, left by an `up` that was interrupted")
        engine.remove_scratch(inventory)
        stale = config_volumes.kept(project.state)
        made = engine_overrides.adapt(engine, info, project.settings, project.state)
        if chosen.demo and demo_data.renew(project, engine):
            observer.note("MongoDB of the demo begins empty: its password is another")
        observer.step("starting the containers")
        engine.up(pull=resolved.name == "upstream" or bool(chosen.app_files))
        reload.note_started(project.state)
        if stale:
            config_volumes.remove(engine, but=made)
        after = engine.containers()
        changed = tuple(
            name for name, state in after.items() if not state.attached and state.id not in before
        )
        observer.step("waiting for readiness")
        ready = asyncio.run(
            wait.wait(
                own,
                engine,
                project.settings,
                timeout=timeout,
                changed=observer.progress,
                containers=after,
            )
        )
        if asyncio.run(_refuses_password(project)):
            observer.step("setting Grafana's password")
            engine.execute(after["grafana"].id, ["sh", "-c", _SET_PASSWORD])
        return Up(
            resolved,
            rendering,
            ready,
            changed,
            present.left_out if chosen.joined else (),
            _missing(project, chosen, observer) if chosen.joined else (),
        )


def _missing(project: Project, chosen: ProjectState, observer: Observer) -> tuple[Missing, ...]:
    """Say what of bot-core is not where it is watched; that it cannot be looked at is a note, for the stack is up."""
    try:
        return attach.survey(project, chosen).missing
    except EngineError as error:
        observer.note(f"it cannot be seen whether all of bot-core is there: {error.line}")
        return ()


def down(project: Project, *, volumes: bool, timeout: int | None, observer: Observer) -> list[str]:
    """Heal open faults, then stop and remove the project's containers, and with `volumes` its data.

    Gives the names of the containers that were removed. `timeout` is Docker's: seconds before a SIGKILL.
    """
    with exclusive(project.state, "down") as hold:
        if not project.state.compose_env.is_file():
            render(
                project.settings,
                project.secrets,
                project.state,
                images={},
                present=project.present(),
            )
        # The demo's services go too, whether or not the last `up` had them.
        engine = project.whole_engine()
        inventory = engine.inventory()
        _refuse_failures(
            list(preflight.foreign_containers(inventory, project.choices.app_services))
        )
        found = {name: state for name, state in engine.containers().items() if not state.attached}
        for fault in faults.heal_all(engine, Journal(project.state)):
            observer.note(f"healed: {fault.describe()}")
        if found:
            observer.step(f"stopping {len(found)} containers")
        chosen = project.choices
        # Without its container nothing tells whose such a volume is.
        unnamed = engine.unnamed_volumes() if volumes else {}
        engine.down(timeout=timeout)
        engine.remove_networks(chosen.app_networks)
        config_volumes.remove(engine)
        engine.remove_scratch(inventory)
        if volumes:
            named_volumes.remove([*engine.volumes(chosen.volumes), *unnamed])
            chosen = replace(chosen, volumes=())
        project.keep(replace(chosen, request=UpRequest()))
        hold.settle()
        return sorted(state.name for state in found.values())


def _refuse_failures(findings: list[preflight.Finding]) -> None:
    failures = [
        StackctlError(finding.message, remedy=finding.remedy)
        for finding in findings
        if finding.level == "failure"
    ]
    if failures:
        raise SeveralErrors(failures)


async def _refuses_password(project: Project) -> bool:
    """Tell whether Grafana, which keeps the password of its first start, does not take the present one."""
    password = project.secrets.get("GRAFANA_PASSWORD")
    async with GrafanaClient(project.settings.url("grafana"), password=password) as grafana:
        try:
            await grafana.current_user()
        except ServiceError as error:
            if error.status == 401:
                return True
            raise
    return False
