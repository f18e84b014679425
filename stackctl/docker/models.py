"""The engine's descriptions of containers, as typed objects."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

COMPOSE_ENV = "compose.env"
"""The file with the variables of the compose files. Compose adds its path as a label, which marks stackctl's."""

PROJECT_LABEL = "com.docker.compose.project"
SERVICE_LABEL = "com.docker.compose.service"
_STANDIN_LABEL = "stackctl.standin"

Inspected = Mapping[str, Any]
"""The output of `docker container inspect` (Engine API, ContainerInspect)."""

Health = Literal["starting", "healthy", "unhealthy", "none"]


_CHECK_LINES = 2
_CHECK_CHARACTERS = 300
"""How much of a health check's output to keep."""


@dataclass(frozen=True, slots=True)
class FailedCheck:
    """The result of a container's last health check, if it failed."""

    exit_code: int
    """-1 if it timed out."""
    output: str
    """The end of its output, of both streams."""

    def __str__(self) -> str:
        """Return the exit code and the output as one line."""
        code = "timed out" if self.exit_code == -1 else f"exit code {self.exit_code}"
        return f"health check failed, {code}: {self.output or 'no output'}"


@dataclass(frozen=True, slots=True)
class ContainerState:
    """The state of a service's container."""

    id: str
    name: str
    service: str
    status: str
    """created, running, paused, restarting, removing, exited or dead (Engine API, ContainerState.Status)."""
    health: Health
    exit_code: int
    restarts: int
    started: dt.datetime | None
    image: str
    standin: bool
    attached: bool = False
    """Whether it does not belong to this stack, but is on a network that the stack joined."""
    project: str | None = None
    """Its Compose project, if it has one."""
    failed_check: FailedCheck | None = None
    """The last health check, if it failed; None if it passed or never ran."""

    @property
    def running(self) -> bool:
        """Whether the container is running."""
        return self.status == "running"


@dataclass(frozen=True, slots=True)
class ListedContainer:
    """A service's container in a listing, which has fewer details than ContainerState."""

    id: str
    name: str
    service: str
    standin: bool


@dataclass(frozen=True, slots=True)
class Neighbour:
    """A running container that does not belong to this stack: its Compose project, if any, and its network names."""

    name: str
    project: str | None
    names: frozenset[str]


@dataclass(frozen=True, slots=True)
class Usage:
    """The resource usage of a container, in percent of one CPU and in bytes."""

    cpu_percent: float
    """The mean over the last `window` seconds."""
    memory_bytes: int
    memory_limit_bytes: int
    window: float


@dataclass(frozen=True, slots=True)
class Surroundings:
    """The memory limit, networks and volumes with which a container was created."""

    memory_limit_bytes: int
    """0 if there is no limit."""
    network_mode: str
    networks: tuple[str, ...]
    volumes: Mapping[str, str]
    """Path in the container → name of the writable volume that is mounted there."""


def name_of(container: Inspected) -> str:
    """Return the container's name, as shown by the `docker` command."""
    name: str = container["Name"]
    return name.removeprefix("/")


def labels_of(container: Inspected) -> Mapping[str, str]:
    """Return the container's labels."""
    labels: Mapping[str, str] | None = container["Config"]["Labels"]
    return labels or {}


def names_of(container: Inspected) -> set[str]:
    """Return the names by which a container is known on its networks."""
    labels = labels_of(container)
    return {name_of(container), *([labels[SERVICE_LABEL]] if SERVICE_LABEL in labels else [])}


def start_of(container: Inspected) -> dt.datetime | None:
    """Return when the container last started; None if it never ran."""
    started = time(container["State"]["StartedAt"])
    # For a container that never ran, it is in the year 1.
    return started if started.year > 1 else None


def state_of(container: Inspected) -> ContainerState:
    """Return the container's state; its service is that of Compose, or else its name."""
    labels = labels_of(container)
    state = container["State"]
    checks = state.get("Health") or {}
    health = checks.get("Status")
    return ContainerState(
        id=container["Id"],
        name=name_of(container),
        service=labels.get(SERVICE_LABEL, name_of(container)),
        status=state["Status"],
        health=health if health in {"starting", "healthy", "unhealthy"} else "none",
        exit_code=state["ExitCode"],
        restarts=container["RestartCount"],
        started=start_of(container),
        image=container["Config"]["Image"],
        standin=labels.get(_STANDIN_LABEL) == "true",
        project=labels.get(PROJECT_LABEL),
        failed_check=_failed_check(checks.get("Log") or ()),
    )


def listed(container: Inspected) -> ListedContainer:
    """Return the container that an entry of a listing (Engine API, ContainerList) is of."""
    labels: Mapping[str, str] = container.get("Labels") or {}
    name = str(container["Names"][0]).removeprefix("/")
    return ListedContainer(
        id=container["Id"],
        name=name,
        service=labels.get(SERVICE_LABEL, name),
        standin=labels.get(_STANDIN_LABEL) == "true",
    )


def _failed_check(log: Sequence[Mapping[str, Any]]) -> FailedCheck | None:
    """Return the last result in a health check's log (Engine API, HealthcheckResult), if it is a failure."""
    if not log or not log[-1].get("ExitCode"):
        return None
    said = str(log[-1].get("Output") or "")
    # Unprintable characters could move the terminal's cursor.
    lines = ["".join(filter(str.isprintable, line)).strip() for line in said.splitlines()]
    output = "; ".join([line for line in lines if line][-_CHECK_LINES:])
    return FailedCheck(int(log[-1]["ExitCode"]), output[-_CHECK_CHARACTERS:])


def time(text: str) -> dt.datetime:
    """Parse a time in the engine's format (RFC 3339)."""
    # Python's parser does not accept nanoseconds.
    return dt.datetime.fromisoformat(re.sub(r"(\.\d{6})\d+", r"\1", text))
