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
    """What `up` did: the image set in use, the configuration, each service's readiness, what it created."""

    resolved: Resolved
    rendering: Rendering
    services: list[Progress]
    changed: tuple[str, ...]
    """Services whose container was created, replaced or started."""
    left_out: tuple[str, ...]
    """The services of bot-core that are not monitored while others are."""
    missing: tuple[Missing, ...]
    """Services of bot-core that are not where the settings expect them."""
    unseen: Obstacle | None
    """Why there are no metrics of containers; None where there are."""


def wait_for_readiness(
    project: Project,
    engine: Engine,
    containers: Mapping[str, ContainerState | ListedContainer],
    timeout: float,
    observer: Observer,
) -> list[Progress]:
    """Wait for the services of the state that was just recorded, but for those that are somebody else's."""
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
    """Set Grafana's password if it refuses the current one, as it keeps that of its first start.

    Then log in again: the command that sets it can say that it did, and Grafana refuse it all the same.
    """
    found = asyncio.run(grafana.login(project))
    if found == "refused":
        observer.step("setting Grafana's password")
        grafana.set_password(engine, containers["grafana"].id)
        found = asyncio.run(grafana.login(project))
    if found == "refused":
        raise StackctlError(
            "Grafana says that the password of admin was changed, and refuses the new one",
            remedy="if a user other than Grafana's first one is called admin now, rename them; else wait five minutes, "
            "as after five wrong passwords Grafana refuses the right one too, and run stackctl up again",
        )
    if found == "locked":
        observer.note(
            "Grafana refuses admin for up to five minutes, after five wrong passwords; the current one is right"
        )
