"""Bringing the stack up and taking it down. Nothing here prints: what happens goes to an observer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from stackctl import readiness
from stackctl.backup import unfinished
from stackctl.chaos import faults
from stackctl.chaos.journal import Journal
from stackctl.clients.grafana import GrafanaClient
from stackctl.errors import ServiceError, StackctlError
from stackctl.readiness import Progress
from stackctl.stack import doctor, image_lock, images, services
from stackctl.stack.images import Choice, Resolved
from stackctl.stack.lock import exclusive
from stackctl.stack.project import Choices, Project
from stackctl.stack.render import Rendering, render


@dataclass(frozen=True, slots=True)
class Observer:
    """Where progress goes: a step that begins, a note to keep, a service's readiness."""

    step: Callable[[str], None]
    note: Callable[[str], None]
    progress: Callable[[Progress], None]


@dataclass(frozen=True, slots=True)
class Up:
    """What `up` did: the image set in use, the configuration, each service's readiness, what it created."""

    resolved: Resolved
    rendering: Rendering
    services: list[Progress]
    changed: tuple[str, ...]
    """Services whose container was created or replaced."""


def up(project: Project, *, choice: Choice, demo: bool, timeout: float, observer: Observer) -> Up:
    """Bring the stack up and wait until every service is ready.

    `timeout` is the deadline for readiness in seconds. Raises StackctlError: with the doctor's failures, where
    an image cannot be had, where Compose fails, or NotReady.
    """
    with exclusive(project.state, "up") as killed:
        unfinished.refuse(project.state)
        if killed == "down":
            # The engine goes on stopping what a `down` had told it to stop before it was cut off.
            observer.note("finishing the `down` that was cut off")
            project.engine(demo=True).down(volumes=False)
        chosen = services.select(demo=demo)
        engine = project.engine(demo=demo)
        observer.step("checking this machine")
        _refuse_failures(doctor.examine(engine, project.settings, chosen))
        observer.step("choosing the images")
        previous = project.choices
        resolved = images.resolve(
            engine,
            project.settings,
            choice=choice,
            previous=previous.images,
            demo=demo,
            progress=observer.step,
            lock=image_lock.read(),
        )
        if resolved.reason:
            observer.note(resolved.reason)
        rendering = render(
            project.settings, project.secrets, project.state, images=resolved.variables, demo=demo
        )
        project.keep(Choices(demo=demo, images=resolved.name, pins=resolved.pins))
        engine = project.engine(demo=demo)
        for leftover in engine.remove_leftovers():
            observer.note(f"removed {leftover}, left by an `up` that was interrupted")
        before = engine.containers()
        observer.step("starting the containers")
        engine.up(pull=resolved.name == "upstream")
        after = engine.containers()
        changed = tuple(
            name
            for name, state in after.items()
            if name not in before or before[name].id != state.id
        )
        observer.step("waiting for readiness")
        ready = asyncio.run(
            readiness.wait(
                chosen, engine, project.settings, timeout=timeout, changed=observer.progress
            )
        )
        if asyncio.run(_refuses_password(project)):
            observer.step("setting Grafana's password")
            engine.grafana_reset_password(after["grafana"].id)
        return Up(resolved, rendering, ready, changed)


def down(project: Project, *, volumes: bool, timeout: int | None, observer: Observer) -> list[str]:
    """Heal open faults, then stop and remove the project's containers, and with `volumes` its data.

    Gives the names of the containers that were removed. `timeout` is Docker's: seconds before a SIGKILL.
    """
    with exclusive(project.state, "down"):
        if not project.state.compose_env.is_file():
            render(project.settings, project.secrets, project.state, images={}, demo=True)
        # The demo's services go too, whether or not the last `up` had them.
        engine = project.engine(demo=True)
        found = engine.containers()
        for fault in faults.heal_all(engine, Journal(project.state)):
            observer.note(f"healed: {fault.describe()}")
        if found:
            observer.step(f"stopping {len(found)} containers")
        engine.down(volumes=volumes, timeout=timeout)
        return sorted(state.name for state in found.values())


def _refuse_failures(findings: list[doctor.Finding]) -> None:
    failures = [finding for finding in findings if finding.level == "failure"]
    if not failures:
        return
    first, *rest = failures
    others = "".join(f"\n{one.message}; {one.remedy}" for one in rest)
    raise StackctlError(f"{first.message}", remedy=f"{first.remedy}{others}")


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
