"""An inventory of all of the engine's containers, for commands that need several facts about them."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from stackctl.docker.models import (
    COMPOSE_ENV,
    PROJECT_LABEL,
    SERVICE_LABEL,
    Inspected,
    labels_of,
    name_of,
    start_of,
)

SCRATCH_LABEL = "stackctl.scratch"
"""Marks a command's temporary containers and volumes; its value is the project."""
PROCESS_LABEL = "stackctl.process"
"""The process that created a temporary object: the next `up` or `down` removes those of killed processes."""

HASH_LABEL = "com.docker.compose.config-hash"
"""Compose's hash of the configuration with which it created a container."""
_IMAGE_LABEL = "com.docker.compose.image"
_COMPOSE_LABEL = "com.docker.compose.version"
_ENV_FILE_LABEL = "com.docker.compose.project.environment_file"
_EVERY_ADDRESS = frozenset({"", "0.0.0.0", "::"})  # noqa: S104 - they are read
"""Addresses that mean all addresses of a machine; the empty one is Podman's."""


@dataclass(frozen=True, slots=True)
class OwnContainer:
    """A container of the project: its service, and the configuration and image with which it was created."""

    service: str
    name: str
    running: bool
    """Whether its processes are running, which is not the case for a paused container."""
    configuration: str | None
    """Hash of the service's configuration."""
    image: str | None
    """ID of the image."""
    compose: str | None
    """The version of Compose that created it."""


@dataclass(frozen=True, slots=True)
class Inventory:
    """The engine's containers at one moment, including stopped ones, seen from one Compose project."""

    project: str
    containers: Sequence[Inspected]

    @property
    def own(self) -> Mapping[str, str]:
        """The IDs of the project's containers → their names."""
        return {one["Id"]: name_of(one) for one in self._own()}

    def services(self) -> dict[str, OwnContainer]:
        """Return the project's containers by service, without leftovers of an interrupted `compose up`."""
        leftovers = self.leftovers()
        return {
            labels[SERVICE_LABEL]: OwnContainer(
                labels[SERVICE_LABEL],
                name_of(container),
                container["State"]["Running"] and not container["State"]["Paused"],
                labels.get(HASH_LABEL),
                labels.get(_IMAGE_LABEL),
                labels.get(_COMPOSE_LABEL),
            )
            for container in self._own()
            for labels in [labels_of(container)]
            if SERVICE_LABEL in labels and name_of(container) not in leftovers
        }

    def started_images(self) -> dict[str, str]:
        """Return the image references of the project's containers that were started at least once, by service."""
        return {
            labels[SERVICE_LABEL]: container["Config"]["Image"]
            for container in self._own()
            for labels in [labels_of(container)]
            if SERVICE_LABEL in labels and start_of(container) is not None
        }

    def foreign_containers(self, known: Collection[str]) -> list[str]:
        """Return the names of the project's containers that stackctl did not create, except `known` services."""
        return sorted(
            name_of(container)
            for container in self._own()
            for labels in [labels_of(container)]
            if labels.get(SERVICE_LABEL) not in known and not _is_ours(labels)
        )

    def other_projects(self) -> list[str]:
        """Return the names of stackctl's other projects that have running containers."""
        labels = [labels_of(one) for one in self.containers if one["State"]["Running"]]
        running = {one[PROJECT_LABEL] for one in labels if PROJECT_LABEL in one and _is_ours(one)}
        return sorted(running - {self.project})

    def publishers(self, address: str) -> dict[int, str]:
        """Return the TCP ports that running containers of any project publish → the container's name.

        Only ports that conflict with the same port on `address` are included.
        """
        return {
            int(bound["HostPort"]): name_of(container)
            for container in self.containers
            # Podman also reports the ports of stopped containers.
            if container["State"]["Running"]
            for port, binds in (container["NetworkSettings"]["Ports"] or {}).items()
            if port.endswith("/tcp")
            for bound in binds or ()
            if bound["HostIp"] == address
            or not _EVERY_ADDRESS.isdisjoint({bound["HostIp"], address})
        }

    def leftovers(self) -> list[str]:
        """Return the names of containers that an interrupted `compose up` was replacing.

        Compose prefixes the old container's name with its short ID before it creates the new one, and a second `up`
        then fails because of that name. They have no data of their own, because data is in volumes.
        """
        return [name for name in map(name_of, self._own()) if re.match(r"[0-9a-f]{12}_", name)]

    def abandoned(self) -> list[str]:
        """Return the names of temporary containers that killed commands left behind."""
        return [
            name_of(container)
            for container in self.containers
            for labels in [labels_of(container)]
            if labels.get(SCRATCH_LABEL) == self.project and is_abandoned(labels)
        ]

    def _own(self) -> Iterator[Inspected]:
        return (one for one in self.containers if labels_of(one).get(PROJECT_LABEL) == self.project)


def _is_ours(labels: Mapping[str, str]) -> bool:
    """Return whether stackctl created a container with these labels."""
    # The label is a comma-separated list of files.
    files = labels.get(_ENV_FILE_LABEL, "").split(",")
    return any(file.endswith(f"/{COMPOSE_ENV}") for file in files)


def is_abandoned(labels: Mapping[str, str]) -> bool:
    """Return whether the process that created an object with these labels has ended."""
    import psutil

    pid = labels.get(PROCESS_LABEL, "")
    return not (pid.isdecimal() and psutil.pid_exists(int(pid)))
