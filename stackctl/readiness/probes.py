"""Probes: whether a service is ready and, if not, whether waiting can help."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import re
import time
from collections.abc import AsyncIterator, Iterable, Mapping

import httpx

from stackctl.clients.base import local_http_client
from stackctl.clients.exposition import values
from stackctl.clients.loki_round_trip import LokiRoundTrip
from stackctl.config.settings import Settings
from stackctl.docker.engine import Engine
from stackctl.docker.models import ContainerState
from stackctl.errors import ServiceError, StackctlError
from stackctl.services.catalog import (
    Alive,
    ContainerHealth,
    ContainerSeries,
    HttpProbe,
    LinesSent,
    LogRoundTrip,
    Service,
)

TIMEOUT = 3.0
"""Seconds that each step of a request may take."""
_LISTING_SECONDS = 1.0
"""How long a listing of the containers is reused."""
_METRICS = "/metrics"
_LOOP_RESTARTS = 3
_ALIVE_SECONDS = 3.0
"""How long a container without a health check has to run before it counts as ready."""
_STEADY_SECONDS = 10.0
"""The same for a restarted container: after this time Docker resets its restart delay."""
_MAX_BODY = 8 * 1024 * 1024


class NotYet(Exception):
    """The service is not ready yet. The text says why."""


class Hopeless(Exception):
    """The service will not become ready, however long the wait. The text says why."""


class Prober:
    """Probes services, with one HTTP client and one listing of the containers for all of them."""

    def __init__(self, engine: Engine, settings: Settings, client: httpx.AsyncClient) -> None:
        self._engine = engine
        self._settings = settings
        self._client = client
        self._listing = asyncio.Lock()
        self._expires = 0.0
        self._states: dict[str, ContainerState] = {}
        self._begun: dict[str, tuple[dt.datetime | None, float]] = {}
        """A container's last start by the engine's clock, and when this was first seen, by this machine's."""

    async def probe(self, service: Service, container: str) -> None:
        """Return if a service, whose container has this ID, is ready; raise otherwise.

        Raises NotYet or Hopeless if it is not ready, StackctlError if the engine does not answer.
        """
        try:
            async with asyncio.timeout(2 * TIMEOUT):
                match service.probe:
                    case HttpProbe():
                        await self._http(service, service.probe)
                    case ContainerSeries():
                        await self._container_series(service, service.probe)
                    case LogRoundTrip():
                        await self._round_trip(service)
                    case LinesSent():
                        await self._lines_sent(service, service.probe)
                    case ContainerHealth():
                        await self._health(container)
                    case Alive():
                        await self._alive(container)
        except (NotYet, TimeoutError) as reason:
            # The probe shows that it is not ready; the container's state shows whether waiting can help.
            await self._raise_if_hopeless(container)
            raise NotYet(str(reason) or "timed out") from None

    async def _http(self, service: Service, probe: HttpProbe) -> None:
        async with self._answer(probe.via or service.name, probe.path) as answer:
            if probe.metric is not None:
                _raise_unless_equal(await _text(answer), probe.path, probe.metric, probe.value)

    async def _container_series(self, service: Service, probe: ContainerSeries) -> None:
        async with self._answer(service.name, probe.path) as answer:
            # The series of the whole machine have an empty name.
            of_container = re.compile(
                rf'^{re.escape(probe.metric)}\{{(?:.*,)?name="[^"]', re.MULTILINE
            )
            if not of_container.search(await _text(answer)):
                raise NotYet("no metrics of containers yet")

    @contextlib.asynccontextmanager
    async def _answer(self, service: str, path: str) -> AsyncIterator[httpx.Response]:
        """Open a service's response. Raises NotYet if its status is not 200 or there is none."""
        try:
            async with self._client.stream("GET", self._settings.url(service) + path) as answer:
                if answer.status_code != httpx.codes.OK:
                    raise NotYet(f"{path} returned HTTP {answer.status_code}")
                yield answer
        except httpx.HTTPError as error:
            raise NotYet(_reason(error)) from None

    async def _round_trip(self, service: Service) -> None:
        marker = f"readiness {time.time_ns()}"
        try:
            async with LokiRoundTrip(self._settings.url(service.name), timeout=TIMEOUT) as loki:
                await loki.ready()
                await loki.round_trip(marker)
        except ServiceError as error:
            raise NotYet(error.message) from None

    async def _lines_sent(self, service: Service, probe: LinesSent) -> None:
        async with self._answer(service.name, _METRICS) as answer:
            text = await _text(answer)
        if not _total(text, probe.read):
            raise NotYet(
                "it has read no container's log yet: docker-socket-proxy may reject its requests"
            )
        if not _total(text, probe.sent):
            raise NotYet("Loki has not accepted a line from it yet")

    async def _health(self, container: str) -> None:
        state = await asyncio.to_thread(self._engine.container, container)
        if state is None or state.health != "healthy":
            raise NotYet(f"health check: {state.health if state else 'gone'}")

    async def _alive(self, container: str) -> None:
        state = await asyncio.to_thread(self._engine.container, container)
        if state is None:
            raise NotYet("gone")
        if (state.status, state.exit_code) == ("exited", 0):
            return
        if not state.running or state.health not in {"none", "healthy"}:
            raise NotYet(f"container {state.status}, health check: {state.health}")
        # In a crash loop it also runs for moments; a health check would show that.
        least = _STEADY_SECONDS if state.restarts else _ALIVE_SECONDS
        if state.health == "none" and self._running_for(state) < least:
            raise NotYet("it has just started and has no health check")

    def _running_for(self, state: ContainerState) -> float:
        """Return how long a container has been running since its last start, in seconds."""
        now = time.monotonic()
        begun, seen = self._begun.get(state.id, (None, now))
        if begun != state.started:
            seen = now
        self._begun[state.id] = (state.started, seen)
        if state.started is None:
            return now - seen
        # The engine's clock may be ahead of this machine's.
        return max(now - seen, (dt.datetime.now(dt.UTC) - state.started).total_seconds())

    async def _state(self, container: str) -> ContainerState | None:
        """Return a container's state, at most a second old.

        Inspecting each container separately would take CPU time from the services that are starting.
        """
        async with self._listing:
            if time.monotonic() >= self._expires:
                found = await asyncio.to_thread(self._engine.containers)
                self._states = {state.id: state for state in found.values()}
                self._expires = time.monotonic() + _LISTING_SECONDS
        return self._states.get(container)

    async def _raise_if_hopeless(self, container: str) -> None:
        state = await self._state(container)
        if state is None:
            raise Hopeless("its container is gone")
        if state.status in {"exited", "dead"}:
            raise Hopeless(f"container {state.status} with code {state.exit_code}")
        if state.restarts >= _LOOP_RESTARTS:
            # Between two crashes it is running and has no exit code.
            code = "" if state.running else f", exit code {state.exit_code}"
            raise Hopeless(f"it is in a crash loop: {state.restarts} restarts{code}")
        if not state.running:
            raise NotYet(f"container {state.status}")


async def probe_once(
    services: Iterable[Service],
    engine: Engine,
    settings: Settings,
    containers: Mapping[str, ContainerState],
) -> dict[str, str]:
    """Probe every service once, concurrently, and return "ready" or the reason it is not, by service."""
    async with local_http_client(TIMEOUT) as client:
        prober = Prober(engine, settings, client)

        async def probed(service: Service) -> tuple[str, str]:
            container = containers.get(service.name)
            if container is None:
                return service.name, "no container"
            try:
                await prober.probe(service, container.id)
            except (NotYet, Hopeless, StackctlError) as reason:
                return service.name, str(reason)
            return service.name, "ready"

        return dict(await asyncio.gather(*map(probed, services)))


async def _text(answer: httpx.Response) -> str:
    body = bytearray()
    async for chunk in answer.aiter_bytes():
        body += chunk
        if len(body) > _MAX_BODY:
            raise NotYet("its response is too large")
    return body.decode(errors="replace")


def _raise_unless_equal(text: str, path: str, metric: str, value: float) -> None:
    """Raise NotYet unless the page has the metric and each of its series has the value."""
    try:
        found = values(text, metric)
    except ValueError as error:
        raise NotYet(f"{path}: {error}") from None
    if not found:
        raise NotYet(f"{path} has no {metric}")
    for other in found:
        if other != value:
            raise NotYet(f"{metric} is {other:g}, not {value:g}")


def _total(text: str, metric: str) -> float:
    """Return the sum of a metric's series, 0 without any. Raises NotYet if the page is not a metrics page."""
    try:
        return sum(values(text, metric))
    except ValueError as error:
        raise NotYet(f"{_METRICS}: {error}") from None


def _reason(error: httpx.HTTPError) -> str:
    match error:
        case httpx.TimeoutException():
            return "timed out"
        case httpx.ConnectError():
            return "cannot connect"
        case _:
            return f"connection closed before a response ({type(error).__name__})"
