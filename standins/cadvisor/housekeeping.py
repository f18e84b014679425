"""The statistics and limits of the engine's running containers, polled regularly."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from types import TracebackType
from typing import Any

from standins.shared.docker import Docker, DockerError, NotFoundError

_AT_ONCE = 4
_SOON = 2.0
"""Seconds that a scrape waits for the engine; a later response is used by the next scrape."""
_CPU_PERIOD = (
    100_000  # microseconds; the engine uses this period for a limit given as a number of CPUs
)

_log = logging.getLogger("standins.cadvisor.housekeeping")


@dataclass(frozen=True)
class Limits:
    """The limits of a container; 0 is no limit. CPU quota and period in microseconds, memory and swap in bytes."""

    cpu_quota: int
    cpu_period: int
    cpu_shares: int
    memory: int
    memory_swap: int


@dataclass(frozen=True)
class Container:
    """A running container. `created` and `seen` are in seconds since 1970; `stats` is the engine's.

    `restarts` counts those by the restart policy since the last manual start.
    """

    id: str
    name: str
    image: str
    labels: Mapping[str, str]
    created: float
    restarts: int
    limits: Limits
    stats: Mapping[str, Any]
    seen: float


@dataclass(frozen=True)
class _Inspected:
    image: str
    created: float
    restarts: int
    limits: Limits


class Housekeeping:
    """The containers as of the last poll. Raises ValueError for a host that cannot be parsed.

    If the engine does not respond, nothing changes: cAdvisor reads the statistics of known containers from their
    cgroups and asks the engine only about new ones. An engine that does not respond when cAdvisor starts is never
    asked again.
    """

    def __init__(self, host: str) -> None:
        self._docker = Docker(host)
        self._at_once = asyncio.Semaphore(_AT_ONCE)
        self.containers: list[Container] = []
        self.problem = ""
        """Why the last poll failed; empty if it did not."""
        self._registered = True

    async def __aenter__(self) -> Housekeeping:
        await self._docker.__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._docker.__aexit__(kind, error, trace)

    async def register(self) -> None:
        """Poll for the first time. If the engine does not respond, no later poll finds a container."""
        await self.look()
        self._registered = not self.problem
        if not self._registered:
            _log.warning("Registration of the docker container factory failed: %s", self.problem)

    async def look(self) -> None:
        """Fetch the containers and their statistics; containers that end meanwhile are left out."""
        if not self._registered:
            return
        try:
            listed = await self._docker.containers()
            found = await asyncio.gather(*(self._one(one) for one in listed))
        except DockerError as error:
            self._failed(error)
            return
        self.containers = sorted((one for one in found if one), key=lambda one: one.name)
        self.problem = ""

    async def refresh(self) -> None:
        """Drop the containers that have ended since the last poll, and add new ones."""
        if not self._registered:
            return
        try:
            async with asyncio.timeout(_SOON):
                listed = {one["Id"] for one in await self._docker.containers()}
                if listed - {one.id for one in self.containers}:
                    await self.look()
        except DockerError as error:
            self._failed(error)
        except TimeoutError:
            _log.warning("the engine takes longer than %s s", _SOON)
        else:
            self.containers = [one for one in self.containers if one.id in listed]

    def _failed(self, error: DockerError) -> None:
        if str(error) != self.problem:
            _log.error("the engine does not answer: %s", error)
        self.problem = str(error)

    async def _one(self, listed: Mapping[str, Any]) -> Container | None:
        identity = listed["Id"]
        try:
            async with self._at_once:
                inspected = await self._inspect(identity)
                stats = await self._docker.get(
                    f"/containers/{identity}/stats", {"stream": "false", "one-shot": "true"}
                )
        except NotFoundError:
            return None
        if not stats.get("cpu_stats", {}).get("cpu_usage", {}).get("total_usage"):
            return None  # it ended between the list and the statistics
        return Container(
            id=identity,
            name=str(listed["Names"][0]).removeprefix("/"),
            image=inspected.image,
            labels=listed.get("Labels") or {},
            created=inspected.created,
            restarts=inspected.restarts,
            limits=inspected.limits,
            stats=stats,
            seen=time.time(),
        )

    async def _inspect(self, identity: str) -> _Inspected:
        """Return a container's image, creation, restarts, and limits, which `docker update` can change.

        The image is the requested reference. The list has an ID instead once the tag names another image.
        """
        container = await self._docker.get(f"/containers/{identity}/json")
        host = container["HostConfig"]
        cpus = host.get("NanoCpus") or 0
        limits = Limits(
            cpu_quota=cpus * _CPU_PERIOD // 10**9 if cpus else max(host.get("CpuQuota") or 0, 0),
            cpu_period=_CPU_PERIOD if cpus else host.get("CpuPeriod") or _CPU_PERIOD,
            cpu_shares=host.get("CpuShares") or 1024,
            memory=host.get("Memory") or 0,
            memory_swap=max(host.get("MemorySwap") or 0, 0),
        )
        created = datetime.fromisoformat(container["Created"]).timestamp()
        image = str(container["Config"]["Image"])
        return _Inspected(image, created, container.get("RestartCount") or 0, limits)
