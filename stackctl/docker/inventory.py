"""A look at all of the engine's containers at once, for a command that wants to know several things of them."""

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
"""Marks, with the project as its value, a container or volume that a command makes for itself and removes."""
PROCESS_LABEL = "stackctl.process"
"""The process that made it: what one that was killed has left is removed by the next `up` or `down`."""

HASH_LABEL = "com.docker.compose.config-hash"
"""Compose's digest of the configuration that it made a container from."""
_IMAGE_LABEL = "com.docker.compose.image"
_COMPOSE_LABEL = "com.docker.compose.version"
_ENV_FILE_LABEL = "com.docker.compose.project.environment_file"
_EVERY_ADDRESS = frozenset({"", "0.0.0.0", "::"})  # noqa: S104 - they are read
"""What stands for all of a machine's addresses; the first is Podman's."""


@dataclass(frozen=True, slots=True)
class OwnContainer:
    """A container of the project: its service, and what Compose created it from."""

    service: str
    name: str
    running: bool
    """Whether its processes run: a paused one's do not."""
    configuration: str | None
    """Hash of the service's configuration."""
    image: str | None
    """ID of the image."""
    compose: str | None
    """The version of Compose that created it."""


@dataclass(frozen=True, slots=True)
class Inventory:
    """The containers of the engine at one moment, stopped ones too, seen from one Compose project."""

    project: str
    containers: Sequence[Inspected]

    @property
    def own(self) -> Mapping[str, str]:
        """The IDs of the project's containers → their names."""
        return {one["Id"]: name_of(one) for one in self._own()}

    def services(self) -> dict[str, OwnContainer]:
        """Return the containers of the project by service, without what an interrupted `compose up` left."""
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
        """Return the image reference of each container of the project that was ever started, by service."""
        return {
            labels[SERVICE_LABEL]: container["Config"]["Image"]
            for container in self._own()
            for labels in [labels_of(container)]
            if SERVICE_LABEL in labels and start_of(container) is not None
        }

    def foreign_containers(self, known: Collection[str]) -> list[str]:
        """Return the names of containers of this project's name that stackctl did not make, but of `known` services."""
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

        Only those are meant that are in the way of a port on `address`.
        """
        return {
            int(bound["HostPort"]): name_of(container)
            for container in self.containers
            # Podman tells a stopped container's ports too.
            if container["State"]["Running"]
            for port, binds in (container["NetworkSettings"]["Ports"] or {}).items()
            if port.endswith("/tcp")
            for bound in binds or ()
            if bound["HostIp"] == address
            or not _EVERY_ADDRESS.isdisjoint({bound["HostIp"], address})
        }

    def leftovers(self) -> list[str]:
        """Return the names of what an interrupted `compose up` left of containers that it was replacing.

        Compose renames the old container to its short ID and its name before it makes the new one; a second `up`
        then fails over the name. Data is in volumes.
        """
        return [name for name in map(name_of, self._own()) if re.match(r"[0-9a-f]{12}_", name)]

    def abandoned(self) -> list[str]:
        """Return the names of containers that commands made for themselves and, being killed, did not remove."""
        return [
            name_of(container)
            for container in self.containers
            for labels in [labels_of(container)]
            if labels.get(SCRATCH_LABEL) == self.project and is_abandoned(labels)
        ]

    def _own(self) -> Iterator[Inspected]:
        return (one for one in self.containers if labels_of(one).get(PROJECT_LABEL) == self.project)


def _is_ours(labels: Mapping[str, str]) -> bool:
    """Return whether stackctl made a container with these labels."""
    # There is more than one file, with a comma between.
    files = labels.get(_ENV_FILE_LABEL, "").split(",")
    return any(file.endswith(f"/{COMPOSE_ENV}") for file in files)


def is_abandoned(labels: Mapping[str, str]) -> bool:
    """Return whether the process that made a thing with these labels is gone."""
    import psutil

    pid = labels.get(PROCESS_LABEL, "")
    return not (pid.isdecimal() and psutil.pid_exists(int(pid)))
