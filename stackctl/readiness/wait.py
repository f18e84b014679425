"""Readiness: one probe a service, all asked at once until each has answered or the time is over."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Literal

import httpx

from stackctl.clients.base import local_http_client
from stackctl.clients.loki import LokiClient
from stackctl.config.settings import Settings
from stackctl.docker.engine import Engine
from stackctl.docker.models import ContainerState
from stackctl.errors import ServiceError, StackctlError
from stackctl.services.catalog import Alive, ContainerHealth, HttpProbe, LogRoundTrip, Service

_PROBE_TIMEOUT = 3.0
_PAUSE = 0.3
_LOOK_SECONDS = 1.0
_LOOP_RESTARTS = 3
_MAX_BODY = 8 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a service is: its state, the seconds since the wait began, and the last reason for waiting."""

    service: str
    state: Literal["waiting", "ready", "failed"]
    seconds: float
    reason: str
    standin: bool = False
    container: str | None = None


class NotReady(StackctlError):
    """Some services did not become ready. `progress` has each of them with its last reason."""

    def __init__(self, progress: list[Progress], waited: float) -> None:
        names = ", ".join(one.service for one in progress)
        super().__init__(
            f"not ready after {waited:.0f} s: {names}",
            remedy=f"stackctl logs {progress[0].service}",
        )
        self.progress = progress


class _Waiting(Exception):
    """Not ready yet; the text says why."""


class _Failed(Exception):
    """It will not become ready by waiting."""


async def wait(
    services: Iterable[Service],
    engine: Engine,
    settings: Settings,
    *,
    timeout: float,
    changed: Callable[[Progress], None],
    containers: Mapping[str, ContainerState] | None = None,
) -> list[Progress]:
    """Wait until every service is ready, and give how long each took.

    `timeout` is in seconds and one deadline for all; `changed` is called whenever a service's progress
    changes. `containers` are those of the engine, where the caller has just looked at them. Raises NotReady once every
    service is ready, failed for good, or out of time, if not all are ready.
    """
    began = time.monotonic()
    if containers is None:
        containers = await asyncio.to_thread(engine.containers)
    async with local_http_client(_PROBE_TIMEOUT) as client:
        prober = _Prober(engine, settings, client)
        tasks = [
            _wait_one(service, containers.get(service.name), prober, began, timeout, changed)
            for service in services
        ]
        results = await asyncio.gather(*tasks)
    unready = [one for one in results if one.state != "ready"]
    if unready:
        raise NotReady(unready, time.monotonic() - began)
    return results


async def look(
    services: Iterable[Service],
    engine: Engine,
    settings: Settings,
    containers: Mapping[str, ContainerState],
) -> dict[str, str]:
    """Ask every service once, all at the same time, and give "ready" or the reason by service."""
    async with local_http_client(_PROBE_TIMEOUT) as client:
        prober = _Prober(engine, settings, client)

        async def ask(service: Service) -> tuple[str, str]:
            container = containers.get(service.name)
            if container is None:
                return service.name, "no container"
            try:
                await prober.probe(service, container.id)
            except (_Waiting, _Failed, StackctlError) as reason:
                return service.name, str(reason)
            return service.name, "ready"

        return dict(await asyncio.gather(*map(ask, services)))


async def _wait_one(
    service: Service,
    container: ContainerState | None,
    prober: _Prober,
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
        return report("failed", "it has no container")
    while True:
        try:
            await prober.probe(service, container.id)
        except _Waiting as waiting:
            report("waiting", str(waiting))
        except (_Failed, StackctlError) as failure:
            return report("failed", str(failure))
        else:
            return report("ready", "ready")
        if time.monotonic() - began > timeout:
            return report("failed", f"{current.reason} (gave up after {timeout:.0f} s)")
        await asyncio.sleep(_PAUSE)


class _Prober:
    """Asks one service once. Returns if it is ready; raises _Waiting or _Failed with the reason if not."""

    def __init__(self, engine: Engine, settings: Settings, client: httpx.AsyncClient) -> None:
        self._engine = engine
        self._settings = settings
        self._client = client
        self._looking = asyncio.Lock()
        self._look_again = 0.0
        self._states: dict[str, ContainerState] = {}

    async def probe(self, service: Service, container: str) -> None:
        try:
            async with asyncio.timeout(2 * _PROBE_TIMEOUT):
                match service.probe:
                    case HttpProbe():
                        await self._http(service, service.probe)
                    case LogRoundTrip():
                        await self._round_trip(service)
                    case ContainerHealth():
                        await self._health(container)
                    case Alive():
                        await self._alive(container)
        except (_Waiting, TimeoutError) as waiting:
            # The probe says that it is not ready; the container says whether waiting can help.
            await self._raise_if_hopeless(container)
            raise _Waiting(str(waiting) or "it does not answer in time") from None

    async def _http(self, service: Service, probe: HttpProbe) -> None:
        url = self._settings.url(probe.via or service.name) + probe.path
        try:
            async with self._client.stream("GET", url) as answer:
                if answer.status_code != httpx.codes.OK:
                    raise _Waiting(f"{probe.path} answers {answer.status_code}")
                if probe.line is not None and not await _has_line(answer, probe.line):
                    raise _Waiting(f"{probe.path} does not say {probe.line!r}")
        except httpx.HTTPError as error:
            raise _Waiting(_reason(error)) from None

    async def _round_trip(self, service: Service) -> None:
        marker = f"readiness {time.time_ns()}"
        try:
            async with LokiClient(self._settings.url(service.name), timeout=_PROBE_TIMEOUT) as loki:
                await loki.ready()
                await loki.round_trip(marker)
        except ServiceError as error:
            raise _Waiting(error.message) from None

    async def _health(self, container: str) -> None:
        state = await asyncio.to_thread(self._engine.container, container)
        if state is None or state.health != "healthy":
            raise _Waiting(f"health check: {state.health if state else 'gone'}")

    async def _alive(self, container: str) -> None:
        state = await asyncio.to_thread(self._engine.container, container)
        if state is None:
            raise _Waiting("gone")
        if (state.status, state.exit_code) == ("exited", 0):
            return
        if not state.running or state.health not in {"none", "healthy"}:
            raise _Waiting(f"container {state.status}, health check: {state.health}")

    async def _seen(self, container: str) -> ContainerState | None:
        """Give a container as a look at all of them has found it within the last second.

        A look of its own for each would cost more than what is being started, which it shares the processor with.
        """
        async with self._looking:
            if time.monotonic() >= self._look_again:
                found = await asyncio.to_thread(self._engine.containers)
                self._states = {state.id: state for state in found.values()}
                self._look_again = time.monotonic() + _LOOK_SECONDS
        return self._states.get(container)

    async def _raise_if_hopeless(self, container: str) -> None:
        state = await self._seen(container)
        if state is None:
            raise _Failed("its container is gone")
        if state.status in {"exited", "dead"}:
            raise _Failed(f"its container has {state.status} with code {state.exit_code}")
        if state.restarts >= _LOOP_RESTARTS:
            raise _Failed(
                f"it dies in a loop: {state.restarts} restarts, exit code {state.exit_code}"
            )
        if not state.running:
            raise _Waiting(f"container {state.status}")


async def _has_line(answer: httpx.Response, line: str) -> bool:
    body = bytearray()
    async for chunk in answer.aiter_bytes():
        body += chunk
        if len(body) > _MAX_BODY:
            raise _Waiting("its answer does not end")
    return line.encode() in body.splitlines()


def _reason(error: httpx.HTTPError) -> str:
    match error:
        case httpx.TimeoutException():
            return "it does not answer in time"
        case httpx.ConnectError():
            return "it does not listen yet"
        case _:
            return f"it breaks the connection off ({type(error).__name__})"
