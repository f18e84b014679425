"""Whether a stack can be verified now, and whether a container's state explains a failed check."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import time
from collections.abc import Callable, Collection, Coroutine, Iterable, Mapping
from typing import Any, TypeVar

import httpx

from stackctl import __version__
from stackctl.chaos.journal import Journal
from stackctl.clients.base import DEFAULT_TIMEOUT, local_http_client
from stackctl.clients.exposition import values
from stackctl.config.settings import Settings
from stackctl.docker.engine import Engine
from stackctl.docker.models import ContainerState
from stackctl.errors import NotRunning, NotSettled, StackctlError
from stackctl.project import process_lock
from stackctl.project.project import Project
from stackctl.services.catalog import Alive, Service
from stackctl.util.redaction import redacted
from stackctl.verify.model import Obstacle

T = TypeVar("T")

START_SECONDS = 60.0
"""How long a service may take to start: the start_period in the compose files."""
_LISTING_SECONDS = 1.0
"""How long a listing of the containers is reused."""
_INSIDE = {"prometheus": 9090, "alertmanager": 9093, "grafana": 3000, "loki": 3100}
"""The services that checks query, and their ports inside their containers."""
_NAMED = 5
"""How many services a message lists."""


def require_settled(project: Project) -> None:
    """Raise NotSettled while another command is changing the project."""
    holder = process_lock.standing(project.state).holder
    if holder is not None:
        raise NotSettled(
            f"{holder} is changing this project",
            remedy="run `stackctl verify` when it has finished",
        )


def require_running(
    project: Project,
    engine: Engine,
    containers: Mapping[str, ContainerState],
    needed: Collection[str] | None,
) -> None:
    """Raise NotRunning if services of the stack are not running.

    `containers` are the engine's; `needed` are the services that matter, None for all. Services of an attached bot-core
    do not count: the checks report them.
    """
    services = [one for one in project.services if one.profile != "attached"]
    own = {name: state for name, state in containers.items() if not state.attached}
    if not own:
        others = engine.inventory().other_projects()
        aside = f"; running projects: {', '.join(others)} (`-p {others[0]}`)" if others else ""
        raise NotRunning(
            f"project {project.name} is not running", remedy=f"`stackctl up` starts it{aside}"
        )
    if not any(state.running or state.status in {"paused", "restarting"} for state in own.values()):
        raise NotRunning(
            f"project {project.name} is stopped: none of its {len(own)} containers are running",
            remedy="`stackctl up` starts them",
        )
    relevant = [one for one in services if needed is None or one.name in needed]
    absent = {
        one.name: reason
        for one in relevant
        for reason in [_why_not(one, containers.get(one.name))]
        if reason is not None
    }
    if absent:
        raise NotRunning(
            _sentence(absent, len(relevant)), remedy=_remedy(project, absent, containers)
        )


async def require_ours(
    engine: Engine, settings: Settings, containers: Mapping[str, ContainerState]
) -> None:
    """Raise StackctlError if a service's address is served by something other than the service's container.

    It compares the start times of the processes, which have a resolution of a hundredth of a second. If either of them
    does not answer, nothing is raised: the checks report that.
    """

    async def inside(service: str) -> float | None:
        url = f"http://127.0.0.1:{_INSIDE[service]}/metrics"
        command = ("wget", "-q", "-O", "-", url)
        with contextlib.suppress(StackctlError):
            return _began(await asyncio.to_thread(engine.execute, containers[service].id, command))
        return None

    async def outside(service: str) -> float | None:
        async with local_http_client(DEFAULT_TIMEOUT) as client:
            with contextlib.suppress(httpx.HTTPError):
                return _began((await client.get(f"{settings.url(service)}/metrics")).text)
        return None

    async def compare(service: str) -> None:
        ours = await inside(service)
        there = None if ours is None else await outside(service)
        if there is not None and ours != there:
            raise StackctlError(
                f"{settings.url(service)} is not served by {service} of project {settings.project}",
                remedy="`docker ps` shows which container publishes that port; `stackctl up` publishes this project's",
            )

    running = [name for name in _INSIDE if name in containers and containers[name].running]
    await asyncio.gather(*map(compare, running))


async def beside(condition: Coroutine[Any, Any, None], work: Coroutine[Any, Any, T]) -> T:
    """Return what some work comes to. A condition is examined beside it: where that raises, the work ends at once."""
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(condition)
            done = group.create_task(work)
    except BaseExceptionGroup as several:
        raise several.exceptions[0] from None
    return done.result()


def _began(text: str) -> float | None:
    with contextlib.suppress(ValueError):
        return next(iter(values(text, "process_start_time_seconds")), None)
    return None


def other_version(project: Project) -> str | None:
    """Return a note if another version of stackctl started the stack; None if it was this one."""
    version = project.choices.version
    if version == __version__:
        return None
    other = f"stackctl {version}" if version else "an older stackctl"
    return (
        f"this stack was started by {other}, but this is stackctl {__version__}, so checks may fail because of"
        " differences between them; `stackctl up` updates the stack"
    )


def _why_not(service: Service, state: ContainerState | None) -> str | None:
    """Return why a service is not running, None if it is; a service of bot-core may also have exited with code 0."""
    if state is None:
        return "has no container"
    match state.status:
        case "running":
            return None
        case "exited" if isinstance(service.probe, Alive) and state.exit_code == 0:
            return None
        case "exited" | "dead":
            return f"exited with code {state.exit_code}"
        case "restarting":
            return f"is in a crash loop, exit code {state.exit_code}"
        case "created":
            return "was never started"
        case status:
            return f"is {status}"


def _sentence(absent: Mapping[str, str], number: int) -> str:
    listed = [f"{name} {reason}" for name, reason in absent.items()]
    if len(absent) == 1:
        return listed[0]
    more = len(listed) - _NAMED
    named = ", ".join(listed[:_NAMED]) + (f" and {more} more" if more > 0 else "")
    return f"{len(absent)} of {number} services are not running: {named}"


def _remedy(
    project: Project, absent: Mapping[str, str], containers: Mapping[str, ContainerState]
) -> str:
    """Return the remedy for the first cause: recover from a fault, read a crashed service's log, start the rest."""
    faults = [one for one in Journal(project.state).open_faults() if one.service in absent]
    if faults:
        return f"a fault is open, {faults[0].describe()}: recover with `stackctl chaos heal`"
    states = {name: containers[name] for name in absent if name in containers}
    paused = [state.name for state in states.values() if state.status == "paused"]
    if paused:
        return f"resume it with `docker unpause {paused[0]}`"
    crashed = [name for name, state in states.items() if state.exit_code and not state.running]
    if crashed:
        return f"`stackctl logs {crashed[0]}` shows why, `stackctl up` starts it again"
    return "`stackctl up` starts what is missing"


class Containers:
    """The states of the containers, for failed checks; listed at most once a second."""

    def __init__(self, listing: Callable[[], Mapping[str, ContainerState]]) -> None:
        self._listing = listing
        self._lock = asyncio.Lock()
        self._expires = 0.0
        self._states: Mapping[str, ContainerState] = {}

    async def obstacle(
        self, services: Iterable[str], *, silent: bool
    ) -> tuple[Obstacle, str] | None:
        """Return why services cannot answer yet, and the reason as text; None if their containers do not explain it.

        `silent` means that they did not respond, as a service without a health check does not while it starts.
        """
        states = await self._now()
        for name in services:
            state = states.get(name)
            if state is None:
                continue
            if not state.running:
                code = f", exit code {state.exit_code}" if state.status == "exited" else ""
                return "not running", f"{name} is {state.status}{code}"
            if _is_starting(state, silent=silent):
                return "still starting", f"{name} is still starting{_failed_check(state)}"
        return None

    async def failed_checks(self, services: Iterable[str]) -> str:
        """Return which of these services' health checks fail and their output, as text; empty if none fails."""
        states = await self._now()
        found = [states[name] for name in services if name in states]
        return "; ".join(
            f"{state.service}'s {redacted(str(state.failed_check))}"
            for state in found
            if state.health == "unhealthy" and state.failed_check
        )

    async def _now(self) -> Mapping[str, ContainerState]:
        async with self._lock:
            if time.monotonic() >= self._expires:
                try:
                    self._states = await asyncio.to_thread(self._listing)
                except StackctlError:
                    # Without an engine the finding cannot be explained and stays as it is.
                    self._states = {}
                self._expires = time.monotonic() + _LISTING_SECONDS
        return self._states


def _failed_check(state: ContainerState) -> str:
    return f", its {redacted(str(state.failed_check))}" if state.failed_check else ""


def _is_starting(state: ContainerState, *, silent: bool) -> bool:
    if state.health == "starting":
        return True
    if state.started is None or not silent:
        return False
    age = (dt.datetime.now(dt.UTC) - state.started).total_seconds()
    return state.health != "unhealthy" and age < START_SECONDS
