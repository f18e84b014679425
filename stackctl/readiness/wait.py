"""Probes every service until it is ready, cannot become ready, or the deadline has passed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Literal

from stackctl.clients.base import local_http_client
from stackctl.config.settings import Settings
from stackctl.docker.engine import Engine
from stackctl.docker.models import ContainerState, ListedContainer
from stackctl.errors import StackctlError
from stackctl.readiness import probes
from stackctl.readiness.probes import Hopeless, NotYet, Prober
from stackctl.services.catalog import Service

_PAUSE = 0.3


@dataclass(frozen=True, slots=True)
class Progress:
    """A service's progress: its state, the seconds since the wait began, and the last reason for waiting."""

    service: str
    state: Literal["waiting", "ready", "failed"]
    seconds: float
    reason: str
    standin: bool = False
    container: str | None = None


class NotReady(StackctlError):
    """Some services did not become ready. `progress` lists them with their last reasons."""

    def __init__(self, progress: list[Progress], waited: float) -> None:
        names = ", ".join(one.service for one in progress)
        super().__init__(
            f"not ready after {waited:.0f} s: {names}",
            remedy=f"stackctl logs {progress[0].service}",
        )
        self.progress = progress


async def wait(
    services: Iterable[Service],
    engine: Engine,
    settings: Settings,
    *,
    timeout: float,
    changed: Callable[[Progress], None],
    containers: Mapping[str, ContainerState | ListedContainer] | None = None,
) -> list[Progress]:
    """Wait until every service is ready, and return how long each took.

    `timeout` is the deadline for all of them, in seconds. `changed` is called whenever a service's progress changes.
    `containers` are the engine's, if the caller has just listed them. Raises NotReady, once every service is ready,
    hopeless or out of time, if any of them is not ready.
    """
    began = time.monotonic()
    if containers is None:
        containers = await asyncio.to_thread(engine.containers)
    async with local_http_client(probes.TIMEOUT) as client:
        prober = Prober(engine, settings, client)
        tasks = [
            _wait_one(service, containers.get(service.name), prober, began, timeout, changed)
            for service in services
        ]
        results = await asyncio.gather(*tasks)
    unready = [one for one in results if one.state != "ready"]
    if unready:
        raise NotReady(unready, time.monotonic() - began)
    return results


async def _wait_one(
    service: Service,
    container: ContainerState | ListedContainer | None,
    prober: Prober,
    began: float,
    timeout: float,
    changed: Callable[[Progress], None],
) -> Progress:
    current = Progress(
        service.name,
        "waiting",
        0.0,
        "starting",
        standin=bool(container and container.standin),
        container=container.name if container else None,
    )

    def report(state: Literal["waiting", "ready", "failed"], reason: str) -> Progress:
        nonlocal current
        new = replace(current, state=state, reason=reason, seconds=time.monotonic() - began)
        if (new.state, new.reason) != (current.state, current.reason):
            changed(new)
        current = new
        return new

    if container is None:
        return report("failed", "no container")
    while True:
        try:
            await prober.probe(service, container.id)
        except NotYet as reason:
            report("waiting", str(reason))
        except (Hopeless, StackctlError) as reason:
            return report("failed", str(reason))
        else:
            return report("ready", "ready")
        if time.monotonic() - began > timeout:
            return report("failed", f"{current.reason} (gave up after {timeout:.0f} s)")
        await asyncio.sleep(_PAUSE)
