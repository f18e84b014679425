"""What proves that a stack is up: every service is ready, and Grafana takes the password."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from stackctl.docker.models import ContainerState, ListedContainer
from stackctl.errors import StackctlError
from stackctl.images.choice import Resolved
from stackctl.lifecycle import grafana
from stackctl.project.container_metrics import Obstacle
from stackctl.project.project import Project
from stackctl.readiness import wait
from stackctl.readiness.observer import Observer
from stackctl.readiness.wait import Progress
from stackctl.render.rendering import Rendering

if TYPE_CHECKING:
    from stackctl.docker.engine import Engine
    from stackctl.lifecycle.attach import Missing


@dataclass(frozen=True, slots=True)
class Up:
    """The result of an `up`: the image set, the configuration, each service's readiness, and what changed."""

    resolved: Resolved
    rendering: Rendering
    services: list[Progress]
    changed: tuple[str, ...]
    """Services whose containers were created, replaced or started."""
    left_out: tuple[str, ...]
    """The services of an attached bot-core that are not monitored."""
    missing: tuple[Missing, ...]
    """Services of bot-core that were not found where the settings expect them."""
    unseen: Obstacle | None
    """Why there are no container metrics; None if there are."""


def wait_for_readiness(
    project: Project,
    engine: Engine,
    containers: Mapping[str, ContainerState | ListedContainer],
    timeout: float,
    observer: Observer,
) -> list[Progress]:
    """Wait for the services of the recorded state, except those of an attached bot-core."""
    observer.step("waiting for readiness")
    return asyncio.run(
        wait.wait(
            [one for one in project.services if one.profile != "attached"],
            engine,
            project.settings,
            timeout=timeout,
            changed=observer.progress,
            containers=containers,
        )
    )


def set_grafana_password(
    project: Project,
    engine: Engine,
    containers: Mapping[str, ContainerState | ListedContainer],
    observer: Observer,
) -> None:
    """Reset Grafana's admin password if Grafana rejects the current one: its data keeps the first password.

    Log in again afterwards, because the reset command can report success although Grafana still rejects the password.
    """
    found = asyncio.run(grafana.login(project))
    if found == "refused":
        observer.step("resetting Grafana's admin password")
        grafana.set_password(engine, containers["grafana"].id)
        found = asyncio.run(grafana.login(project))
    if found == "refused":
        raise StackctlError(
            "Grafana reset the admin password, but rejects the new one",
            remedy="if another user is now called admin, rename that user; otherwise wait five minutes, because"
            " Grafana locks the account after five wrong passwords, and run `stackctl up` again",
        )
    if found == "locked":
        observer.note(
            "Grafana has locked the admin account for up to five minutes, after five wrong passwords; the current"
            " password is right"
        )
