"""The engine that the `docker` command reaches, seen from one Compose project."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from python_on_whales import DockerClient
from python_on_whales.exceptions import DockerException

from stackctl import bundle
from stackctl.applications import Present
from stackctl.docker.endpoint import Endpoint
from stackctl.docker.failures import NoNetworkError, reached, translated
from stackctl.docker.images import Images
from stackctl.docker.inspected import (
    COMPOSE_ENV,
    PROJECT_LABEL,
    SERVICE_LABEL,
    ContainerState,
    Inspected,
    Neighbour,
    labels_of,
    name_of,
    names_of,
    state_of,
    time,
)
from stackctl.docker.programs import Programs
from stackctl.errors import EngineError

MINIMUM_ENGINE = (25, 0)
MINIMUM_COMPOSE = (2, 20)
MINIMUM_PODMAN = (4, 3)
ADAPTING_COMPOSE = (2, 24, 4)
"""The first with a reliable `!reset`, by which a generated file takes settings out of ours."""
START_INTERVAL_API = (1, 44)
"""Compose refuses `start_interval` of an engine with an older API."""

COPY_LABEL = "stackctl.copy"
"""Marks a volume that holds copies of the project's configuration or secrets, and no data."""


_EVERY_ADDRESS = frozenset({"", "0.0.0.0", "::"})  # noqa: S104 - they are read
"""What stands for all of a machine's addresses; the first is Podman's."""


_NETWORK_LABEL = "com.docker.compose.network"
_ENV_FILE_LABEL = "com.docker.compose.project.environment_file"
# The engine labels a volume that it names itself, but not one that Compose asks for.
_UNNAMED = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class EngineInfo:
    """What `docker info` and `docker compose version` say of this engine."""

    version: str
    compose: str
    operating_system: str
    memory_bytes: int
    cpus: int
    root: Path
    api: str = "1.44"
    podman: bool = False
    """Whether it is Podman behind Docker's API."""
    rootless: bool = False
    limits_cpu: bool = True
    """Whether it can limit processor time; a rootless engine may not."""
    clock_offset: dt.timedelta | None = None
    """How far its clock is before this machine's, where it tells its time."""

    @property
    def is_docker_desktop(self) -> bool:
        """Tell whether the engine is in Docker Desktop's virtual machine."""
        return self.operating_system == "Docker Desktop"


class Engine(Programs, Images):
    """The engine that the `docker` command reaches, seen from one Compose project."""

    def __init__(
        self,
        project: str,
        env_files: Sequence[Path] = (),
        *,
        demo: bool = True,
        files: Sequence[Path] = (),
        directory: Path | None = None,
        present: Present | None = None,
    ) -> None:
        """Take the project's name, the .env files for the compose files, and whether the demo belongs to it.

        `files` are merged over ours; their paths are relative to `directory`. `present` tells what bot-core's own
        containers are called.
        """
        self._hosts = present.hosts() if present else {}
        self._joined = present.network if present else None
        self._watched = (
            frozenset(target.host for target in present.targets.values())
            if present
            else frozenset()
        )
        names = ["docker-compose.yml", *(["demo.yml"] if demo else [])]
        profiles = ["monitoring", *(["demo"] if demo else [])]
        super().__init__(
            project,
            DockerClient(
                compose_files=[*(bundle.compose() / name for name in names), *files],
                compose_profiles=profiles,
                compose_project_name=project,
                compose_project_directory=directory,
                compose_env_files=list(env_files),
            ),
        )

    @cached_property
    def endpoint(self) -> Endpoint:
        """Where it is. Raises UsageError for an address that is not an engine's."""
        return reached()

    @property
    def compose_files(self) -> list[Path]:
        """The Compose files, each merged over those before it."""
        return [Path(path) for path in self._client.client_config.compose_files]

    def merge_over(self, compose_files: Sequence[Path], env_files: Sequence[Path]) -> None:
        """Have Compose merge these files over its others, and read these .env files after its others."""
        config = self._client.client_config
        config.compose_files = [*config.compose_files, *compose_files]
        config.compose_env_files = [*config.compose_env_files, *env_files]

    def configuration(self) -> dict[str, Any]:
        """Give what Compose makes of all its files, as `docker compose config` does. It may have secrets in it."""
        with translated("docker compose config"):
            found = self._client.compose.config(return_json=True)
        assert isinstance(found, dict)  # noqa: S101 - the library's type for the other form
        return found

    def info(self) -> EngineInfo:
        """Give what the engine and Compose are; they are asked once.

        Raises EngineError, with the remedy, where the command, the daemon or Compose is missing.
        """
        return self._info

    @cached_property
    def _info(self) -> EngineInfo:
        # `docker info` waits for ever for a daemon that says nothing, and ends well where there is none.
        self.listed("name=^$", stopped=False)
        with translated("docker info"):
            info = self._client.system.info()
        asked = dt.datetime.now(dt.UTC)
        if info.server_version is None:
            raise EngineError("the Docker daemon gives no version", remedy="restart Docker")
        try:
            compose = self._client.compose.version()
        except DockerException:
            raise EngineError(
                "Docker Compose is not installed",
                remedy="install the docker-compose-plugin (or docker-compose) package, 2.20 or newer",
            ) from None
        found = re.search(r"\d+(\.\d+)+", compose)
        with translated("docker version"):
            server = self._client.version().server
        return EngineInfo(
            version=info.server_version,
            compose=found.group() if found else compose.strip(),
            operating_system=info.operating_system or "",
            memory_bytes=info.mem_total or 0,
            cpus=info.n_cpu or 0,
            root=Path(info.docker_root_dir or "/var/lib/docker"),
            api=(server and server.api_version) or "0",
            podman=any(one.name == "Podman Engine" for one in (server and server.components) or []),
            rootless="name=rootless" in (info.security_options or []),
            limits_cpu=info.cpu_cfs_quota is not False,
            clock_offset=time(info.system_time) - asked if info.system_time else None,
        )

    def up(self, *, pull: bool, services: Sequence[str] = ()) -> None:
        """Create and start the services, whatever of them is there already; does not wait for readiness."""
        with translated("docker compose up"):
            self._client.compose.up(
                services=list(services) or None,
                detach=True,
                quiet=True,
                remove_orphans=True,
                pull="missing" if pull else "never",
            )

    def down(self, *, timeout: int | None = None) -> None:
        """Stop and remove the project's containers and networks; its volumes stay."""
        # Not Compose's own --volumes: it removes whatever volume its files name, whoever made it.
        with translated("docker compose down"):
            self._client.compose.down(timeout=timeout, remove_orphans=True, quiet=True)

    def remove_leftovers(self) -> list[str]:
        """Remove what an interrupted `compose up` left of containers that it was replacing, and give the names.

        Compose renames the old container to its short ID and its name before it makes the new one; a second `up`
        then fails over the name. Data is in volumes and stays.
        """
        names = [
            name for name in map(name_of, self._of_project()) if re.match(r"[0-9a-f]{12}_", name)
        ]
        with translated("docker container rm"):
            for name in names:
                self._client.container.remove(name, force=True)
        return names

    def remove_networks(self, keys: Collection[str]) -> None:
        """Remove the project's networks that its Compose files had under these keys, as far as they are there."""
        if not keys:
            return
        with translated("docker network rm"):
            for one in self._client.network.list(
                filters={"label": f"{PROJECT_LABEL}={self.project}"}
            ):
                if one.labels.get(_NETWORK_LABEL) in keys:
                    one.remove()

    def containers(self) -> dict[str, ContainerState]:
        """Give the project's containers by service, stopped ones too, and those of bot-core on a joined network.

        One of bot-core's is here by the name that the monitoring has for it.
        """
        both = [*self._on_joined_network(), *self._of_project()]
        return {state.service: state for state in map(self._state_of, both)}

    def container(self, id_: str) -> ContainerState | None:
        """Give one container, or None where it is gone."""
        return next(map(self._state_of, self.inspect([id_])), None)

    def strangers(self, known: Collection[str]) -> list[str]:
        """Give the names of containers of this project's name that stackctl did not make, but of `known` services."""
        return sorted(
            name_of(container)
            for container in self._of_project()
            for labels in [labels_of(container)]
            if labels.get(SERVICE_LABEL) not in known
            # There is more than one file, with a comma between.
            and not any(
                file.endswith(f"/{COMPOSE_ENV}")
                for file in labels.get(_ENV_FILE_LABEL, "").split(",")
            )
        )

    def neighbours(self, network: str) -> list[Neighbour]:
        """Give the running containers of others on a network. Raises EngineError where there is no such network."""
        try:
            with translated("docker network inspect"):
                self._client.network.inspect(network)
        except NoNetworkError:
            raise EngineError(
                f"there is no network {network!r}",
                remedy="`docker network ls` lists them; start bot-core before its monitoring",
            ) from None
        return [
            Neighbour(name_of(one), labels_of(one).get(PROJECT_LABEL), frozenset(names_of(one)))
            for one in self._on_network(network, stopped=False)
            if not self._is_own(one)
        ]

    def publishers(self, address: str) -> dict[int, str]:
        """Give the TCP ports that running containers of any project publish → the container's name.

        Only those are meant that are in the way of a port on `address`.
        """
        with translated("docker container list"):
            running = self._client.container.list()
        return {
            int(bound["HostPort"]): name_of(container)
            for container in self.inspect([one.id for one in running])
            for port, binds in (container["NetworkSettings"]["Ports"] or {}).items()
            if port.endswith("/tcp")
            for bound in binds or ()
            if bound["HostIp"] == address
            or not _EVERY_ADDRESS.isdisjoint({bound["HostIp"], address})
        }

    def _of_project(self) -> list[Inspected]:
        return self.inspect(self.listed(f"label={PROJECT_LABEL}={self.project}", stopped=True))

    def _on_network(self, network: str, *, stopped: bool) -> list[Inspected]:
        return self.inspect(self.listed(f"network={network}", stopped=stopped))

    def _on_joined_network(self) -> list[Inspected]:
        if self._joined is None:
            return []
        found = self._on_network(self._joined, stopped=True)
        return [one for one in found if names_of(one) & self._watched and not self._is_own(one)]

    def _is_own(self, container: Inspected) -> bool:
        return labels_of(container).get(PROJECT_LABEL) == self.project

    def _state_of(self, container: Inspected) -> ContainerState:
        state = state_of(container)
        known = self._hosts.get(state.service) or self._hosts.get(state.name) or state.service
        return replace(state, service=known, attached=not self._is_own(container))

    @property
    def networks(self) -> tuple[str, ...]:
        """The networks on which services are watched: the project's own, and one that it has joined."""
        own = f"{self.project}_bot-network"
        return (own,) if self._joined is None else (self._joined, own)

    def volumes(self, made: Collection[str] = ()) -> list[str]:
        """Give the names of the volumes that have the stack's data: those of our compose files, and those of `made`.

        Others that carry the project's name are somebody else's, such as those of a bot-core that was started by itself
        under the same name.
        """
        ours = {f"{self.project}_{key}" for key in bundle.volumes()}
        return sorted(self._volumes(PROJECT_LABEL, self.project) & {*ours, *made})

    def unnamed_volumes(self) -> dict[str, str]:
        """Give the volumes without a name of their own → the container of the project that has it."""
        return {
            mount["Name"]: name_of(container)
            for container in self._of_project()
            for mount in container["Mounts"]
            if mount["Type"] == "volume" and _UNNAMED.fullmatch(mount["Name"])
        }

    def copies(self) -> list[str]:
        """Give the names of the project's volumes that hold copies of its configuration and secrets."""
        # Two questions: Podman gives what fits either of two labels.
        return sorted(self._volumes(PROJECT_LABEL, self.project) & self._volumes(COPY_LABEL))

    def _volumes(self, label: str, value: str | None = None) -> set[str]:
        wanted = label if value is None else f"{label}={value}"
        with translated("docker volume list"):
            return {one.name for one in self._client.volume.list(filters=[("label", wanted)])}


def merged(
    project: str, files: Sequence[Path], env_files: Sequence[Path] = ()
) -> Mapping[str, Any]:
    """Give Compose files as one, with every profile's services and every variable replaced.

    Raises EngineError where they are not valid.
    """
    client = DockerClient(
        compose_files=list(files),
        compose_profiles=["*"],
        compose_project_name=project,
        compose_env_files=list(env_files),
    )
    with translated("docker compose config"):
        config = client.compose.config(return_json=True)
    assert isinstance(config, dict)  # noqa: S101 - the library's type for JSON
    return config
