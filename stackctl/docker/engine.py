"""The engine that the `docker` command reaches, seen from one Compose project."""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from stackctl.docker.endpoint import Endpoint
from stackctl.docker.errors import NoNetworkError, reached, translated
from stackctl.docker.images import Images
from stackctl.docker.inventory import Inventory
from stackctl.docker.models import (
    PROJECT_LABEL,
    ContainerState,
    Inspected,
    Neighbour,
    labels_of,
    name_of,
    names_of,
    state_of,
    time,
)
from stackctl.docker.requirements import MINIMUM_COMPOSE, START_INTERVAL_API
from stackctl.docker.run import Programs
from stackctl.errors import EngineError
from stackctl.services.applications import MonitoredServices
from stackctl.util import paths

COPY_LABEL = "stackctl.copy"
"""Marks a volume with copies of the project's configuration or secrets, as opposed to data."""

_NETWORK_LABEL = "com.docker.compose.network"
_CONTAINERD_STORE = ["driver-type", "io.containerd.snapshotter.v1"]
# The engine labels anonymous volumes, except those that Compose creates.
_UNNAMED = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class EngineInfo:
    """The properties of the engine and Compose, from `docker info` and `docker version`."""

    version: str
    compose: str
    operating_system: str
    memory_bytes: int
    cpus: int
    root: Path
    api: str = str(START_INTERVAL_API)
    podman: bool = False
    """Whether it is Podman behind Docker's API."""
    rootless: bool = False
    selinux: bool = False
    """Whether SELinux confines containers, so that they can only read labelled folders of the host."""
    limits_cpu: bool = True
    """Whether it can limit CPU time; a rootless engine may be unable to."""
    containerd_store: bool = False
    """Whether it keeps images in containerd's store."""
    containerd_socket: str | None = None
    """The socket of its containerd, on its own machine, if it reports that, as engines from 27 on do."""
    clock_offset: dt.timedelta | None = None
    """How far its clock is ahead of this machine's; None if it does not report its time."""

    @property
    def is_docker_desktop(self) -> bool:
        """Whether the engine runs in Docker Desktop's virtual machine."""
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
        present: MonitoredServices | None = None,
        known: list[EngineInfo] | None = None,
    ) -> None:
        """Create the engine for a project.

        `env_files` are the .env files for the compose files; `demo` is whether the demo services are included. `files`
        are merged over the stack's compose files, with paths relative to `directory`. `present` maps bot-core's
        containers to services. `known` is shared by several objects for the same engine, to query its properties only
        once.
        """
        self._known: list[EngineInfo] = [] if known is None else known
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
            {
                "compose_files": [*(paths.compose() / name for name in names), *files],
                "compose_profiles": profiles,
                "compose_project_name": project,
                "compose_project_directory": directory,
                "compose_env_files": list(env_files),
            },
        )

    @cached_property
    def endpoint(self) -> Endpoint:
        """The engine's address. Raises UsageError if it is not valid."""
        return reached()

    @property
    def compose_files(self) -> list[Path]:
        """The Compose files, each merged over the previous ones."""
        return [Path(path) for path in self._options["compose_files"]]

    def configuration(self) -> dict[str, Any]:
        """Return the merged configuration, as `docker compose config` does. It may contain secrets."""
        with translated("docker compose config"):
            found = self._client.compose.config(return_json=True)
        assert isinstance(found, dict)  # noqa: S101 - the library's type for the other form
        return found

    def configuration_hashes(self, configuration: Mapping[str, Any]) -> dict[str, str]:
        """Return Compose's hash of each service, which decides whether it recreates the container.

        `configuration` is the result of `configuration()`: with an `env_file`, Compose computes a different hash before
        it has read the file than during `up`. Raises EngineError if Compose cannot read it.
        """
        options = ("--project-name", self.project, "--profile", "*", "--file", "-")
        printed = self.ask(
            "compose", *options, "config", "--hash", "*", given=json.dumps(configuration)
        )
        return dict(line.split(maxsplit=1) for line in printed.splitlines() if line)

    def info(self) -> EngineInfo:
        """Return the properties of the engine and Compose; they are queried once.

        Raises EngineError, with a remedy, if the command, the daemon or Compose is missing.
        """
        if not self._known:
            self._known.append(self._ask_info())
        return self._known[0]

    def _ask_info(self) -> EngineInfo:
        # The library's method would wait forever for a daemon that does not respond.
        info: dict[str, Any] = json.loads(self.ask("info", "--format", "{{json .}}"))
        asked = dt.datetime.now(dt.UTC)
        if not info.get("ServerVersion"):
            raise EngineError(
                "the Docker daemon does not report its version", remedy="restart Docker"
            )
        plugins = {one["Name"]: one for one in info["ClientInfo"].get("Plugins") or ()}
        compose = re.search(r"\d+(\.\d+)+", plugins.get("compose", {}).get("Version") or "")
        if compose is None:
            raise EngineError(
                "Docker Compose is not installed",
                remedy="install the docker-compose-plugin (or docker-compose) package,"
                f" {MINIMUM_COMPOSE} or newer",
            )
        server = self._socket.version() if self._socket is not None else None
        if server is None:
            server = json.loads(self.ask("version", "--format", "{{json .Server}}"))
        return EngineInfo(
            version=info["ServerVersion"],
            compose=compose.group(),
            operating_system=info.get("OperatingSystem") or "",
            memory_bytes=info.get("MemTotal") or 0,
            cpus=info.get("NCPU") or 0,
            root=Path(info.get("DockerRootDir") or "/var/lib/docker"),
            api=server.get("ApiVersion") or "0",
            podman=any(one["Name"] == "Podman Engine" for one in server.get("Components") or ()),
            rootless="name=rootless" in (info.get("SecurityOptions") or ()),
            selinux="name=selinux" in (info.get("SecurityOptions") or ()),
            limits_cpu=info.get("CpuCfsQuota") is not False,
            containerd_store=_CONTAINERD_STORE in (info.get("DriverStatus") or ()),
            containerd_socket=(info.get("Containerd") or {}).get("Address") or None,
            clock_offset=time(info["SystemTime"]) - asked if info.get("SystemTime") else None,
        )

    def up(self, *, pull: bool, services: Sequence[str] = ()) -> None:
        """Create and start the services, or those that are missing, without waiting for readiness."""
        self._compose(
            *("up", "--detach", "--remove-orphans", "--pull", "missing" if pull else "never"),
            *services,
        )

    def down(self, *, timeout: int | None = None) -> None:
        """Stop and remove the project's containers and networks; its volumes stay."""
        # Without Compose's --volumes, which removes every volume in its files, even if another project created it.
        limit = [] if timeout is None else ["--timeout", str(timeout)]
        self._compose("down", "--remove-orphans", *limit)

    def remove_networks(self, keys: Collection[str]) -> None:
        """Remove the project's networks with these keys in its Compose files, if they exist."""
        if not keys:
            return
        with translated("docker network rm"):
            for one in self._client.network.list(
                filters={"label": f"{PROJECT_LABEL}={self.project}"}
            ):
                if one.labels.get(_NETWORK_LABEL) in keys:
                    one.remove()

    def containers(self) -> dict[str, ContainerState]:
        """Return the project's containers by service, including stopped ones, and bot-core's on an attached network.

        Containers of bot-core are listed under the monitoring stack's service names. Of several containers of a
        service, one that is not running takes precedence.
        """
        joined, own = (
            sorted(map(self._state_of, found), key=lambda state: not state.running)
            for found in (self._on_joined_network(), self._of_project())
        )
        return {state.service: state for state in (*joined, *own)}

    def inventory(self) -> Inventory:
        """Return an inventory of all of the engine's containers."""
        return Inventory(self.project, self.inspect(self.listed(stopped=True)))

    def container(self, id_: str) -> ContainerState | None:
        """Return a container; None if it does not exist."""
        return next(map(self._state_of, self.inspect([id_])), None)

    def neighbours(self, network: str) -> list[Neighbour]:
        """Return other projects' running containers on a network. Raises EngineError if the network does not exist."""
        try:
            with translated("docker network inspect"):
                self._client.network.inspect(network)
        except NoNetworkError:
            raise EngineError(
                f"network {network!r} does not exist",
                remedy="see `docker network ls`, and start bot-core before the monitoring stack",
            ) from None
        return [
            Neighbour(name_of(one), labels_of(one).get(PROJECT_LABEL), frozenset(names_of(one)))
            for one in self._on_network(network, stopped=False)
            if not self._is_own(one)
        ]

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
        """The networks on which services are monitored: the project's own, and the one that it joined."""
        own = f"{self.project}_bot-network"
        return (own,) if self._joined is None else (self._joined, own)

    def volumes(self, made: Collection[str] = ()) -> list[str]:
        """Return the names of the volumes with the stack's data: those of its compose files, and those in `made`.

        Other volumes with the project's name are not the stack's, such as those of a bot-core that was started
        separately under the same project name.
        """
        ours = {f"{self.project}_{key}" for key in paths.volumes()}
        return sorted(self._volumes(PROJECT_LABEL, self.project) & {*ours, *made})

    def unnamed_volumes(self) -> dict[str, str]:
        """Return anonymous volumes → the project's container that mounts them."""
        return {
            mount["Name"]: name_of(container)
            for container in self._of_project()
            for mount in container["Mounts"]
            if mount["Type"] == "volume" and _UNNAMED.fullmatch(mount["Name"])
        }

    def copies(self) -> list[str]:
        """Return the names of the project's volumes with copies of its configuration and secrets."""
        # Two queries, because Podman returns volumes that match either of two labels.
        return sorted(self._volumes(PROJECT_LABEL, self.project) & self._volumes(COPY_LABEL))

    def _volumes(self, label: str, value: str | None = None) -> set[str]:
        label_filter = label if value is None else f"{label}={value}"
        return set(self.volumes_with(label_filter))


def merged(
    project: str, files: Sequence[Path], env_files: Sequence[Path] = ()
) -> Mapping[str, Any]:
    """Return Compose files merged into one, with the services of every profile and all variables resolved.

    Raises EngineError if they are invalid.
    """
    from python_on_whales import DockerClient

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
