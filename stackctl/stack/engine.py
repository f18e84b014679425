"""The Docker Engine. The only module that uses python-on-whales: its answers leave here as our own types."""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import os
import re
import subprocess
import tempfile
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from python_on_whales import DockerClient
from python_on_whales.client_config import ClientNotFoundError
from python_on_whales.exceptions import (
    DockerException,
    NoSuchContainer,
    NoSuchImage,
    NoSuchNetwork,
)
from python_on_whales.utils import get_docker_exception_type, run
from tenacity import Retrying, retry_if_exception_type, stop_after_delay, wait_fixed

from stackctl.applications import Present
from stackctl.errors import EngineError, UsageError
from stackctl.stack import bundle, endpoint
from stackctl.stack.endpoint import Endpoint
from stackctl.stack.state import COMPOSE_ENV

MINIMUM_ENGINE = (25, 0)
MINIMUM_COMPOSE = (2, 20)
MINIMUM_PODMAN = (4, 3)
ADAPTING_COMPOSE = (2, 24, 4)
"""The first with a reliable `!reset`, by which a generated file takes settings out of ours."""
START_INTERVAL_API = (1, 44)
"""Compose refuses `start_interval` of an engine with an older API."""

COPY_LABEL = "stackctl.copy"
"""Marks a volume that holds copies of the project's configuration or secrets, and no data."""

SCRATCH_LABEL = "stackctl.scratch"
"""Marks, with the project as its value, a container or volume that a command makes for itself and removes."""
PROCESS_LABEL = "stackctl.process"
"""The process that made it: what one that was killed has left is removed by the next `up` or `down`."""

_ANSWER_SECONDS = 30.0
"""How long the engine may take for a question that costs it nothing."""
_EVERY_ADDRESS = frozenset({"", "0.0.0.0", "::"})  # noqa: S104 - they are read
"""What stands for all of a machine's addresses; the first is Podman's."""

_REMOVAL_SECONDS = 10.0
_PIECE = 1024 * 1024

_PROJECT_LABEL = "com.docker.compose.project"
_SERVICE_LABEL = "com.docker.compose.service"
_NETWORK_LABEL = "com.docker.compose.network"
_ENV_FILE_LABEL = "com.docker.compose.project.environment_file"
_STANDIN_LABEL = "stackctl.standin"

# The engine labels a volume that it names itself, but not one that Compose asks for.
_UNNAMED = re.compile(r"[0-9a-f]{64}")

_Inspected = Mapping[str, Any]
"""What `docker container inspect` says (Engine API, ContainerInspect)."""

Health = Literal["starting", "healthy", "unhealthy", "none"]


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


@dataclass(frozen=True, slots=True)
class ContainerState:
    """A service's container as the engine sees it."""

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
    """Whether it is another Compose project's, or nobody's, on a network that this stack has joined."""
    project: str | None = None
    """Its Compose project, where it has one."""

    @property
    def running(self) -> bool:
        """Tell whether its process runs."""
        return self.status == "running"


@dataclass(frozen=True, slots=True)
class Neighbour:
    """A running container of somebody else's: its Compose project, where it has one, and its names on the network."""

    name: str
    project: str | None
    names: frozenset[str]


@dataclass(frozen=True, slots=True)
class Usage:
    """What a container uses: percent of one core, and bytes."""

    cpu_percent: float
    memory_bytes: int
    memory_limit_bytes: int


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a container lives in, as it was created."""

    memory_limit_bytes: int
    """0 where it has no limit."""
    network_mode: str
    networks: tuple[str, ...]
    volumes: Mapping[str, str]
    """Path in the container → name of the volume there, of those that it can write to."""


class Engine:
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
        self.project = project
        self._hosts = present.hosts() if present else {}
        self._joined = present.network if present else None
        self._watched = (
            frozenset(target.host for target in present.targets.values())
            if present
            else frozenset()
        )
        names = ["docker-compose.yml", *(["demo.yml"] if demo else [])]
        profiles = ["monitoring", *(["demo"] if demo else [])]
        self._client = DockerClient(
            compose_files=[*(bundle.compose() / name for name in names), *files],
            compose_profiles=profiles,
            compose_project_name=project,
            compose_project_directory=directory,
            compose_env_files=list(env_files),
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
        with _translated("docker compose config"):
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
        self._listed("name=^$", stopped=False)
        with _translated("docker info"):
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
        with _translated("docker version"):
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
            clock_offset=_time(info.system_time) - asked if info.system_time else None,
        )

    def publishers(self, address: str) -> dict[int, str]:
        """Give the TCP ports that running containers of any project publish → the container's name.

        Only those are meant that are in the way of a port on `address`.
        """
        with _translated("docker container list"):
            running = self._client.container.list()
        return {
            int(bound["HostPort"]): _name_of(container)
            for container in self._inspect([one.id for one in running])
            for port, binds in (container["NetworkSettings"]["Ports"] or {}).items()
            if port.endswith("/tcp")
            for bound in binds or ()
            if bound["HostIp"] == address
            or not _EVERY_ADDRESS.isdisjoint({bound["HostIp"], address})
        }

    def up(self, *, pull: bool, services: Sequence[str] = ()) -> None:
        """Create and start the services, whatever of them is there already; does not wait for readiness."""
        with _translated("docker compose up"):
            self._client.compose.up(
                services=list(services) or None,
                detach=True,
                quiet=True,
                remove_orphans=True,
                pull="missing" if pull else "never",
            )

    def remove_leftovers(self) -> list[str]:
        """Remove what an interrupted `compose up` left of containers that it was replacing, and give the names.

        Compose renames the old container to its short ID and its name before it makes the new one; a second `up`
        then fails over the name. Data is in volumes and stays.
        """
        names = [
            name for name in map(_name_of, self._of_project()) if re.match(r"[0-9a-f]{12}_", name)
        ]
        with _translated("docker container rm"):
            for name in names:
                self._client.container.remove(name, force=True)
        return names

    def remove_scratch(self) -> None:
        """Remove the containers and volumes that commands made for themselves and, being killed, did not remove."""
        scratch = f"label={SCRATCH_LABEL}={self.project}"
        for one in self._inspect(self._listed(scratch, stopped=True)):
            if _is_abandoned(_labels_of(one)):
                self.remove(_name_of(one))
        with _translated("docker volume rm"):
            for volume in self._client.volume.list(
                filters=[("label", f"{SCRATCH_LABEL}={self.project}")]
            ):
                if _is_abandoned(volume.labels or {}):
                    volume.remove()

    def down(self, *, timeout: int | None = None) -> None:
        """Stop and remove the project's containers and networks; its volumes stay."""
        # Not Compose's own --volumes: it removes whatever volume its files name, whoever made it.
        with _translated("docker compose down"):
            self._client.compose.down(timeout=timeout, remove_orphans=True, quiet=True)

    def remove_networks(self, keys: Collection[str]) -> None:
        """Remove the project's networks that its Compose files had under these keys, as far as they are there."""
        if not keys:
            return
        with _translated("docker network rm"):
            for one in self._client.network.list(
                filters={"label": f"{_PROJECT_LABEL}={self.project}"}
            ):
                if one.labels.get(_NETWORK_LABEL) in keys:
                    one.remove()

    def containers(self) -> dict[str, ContainerState]:
        """Give the project's containers by service, stopped ones too, and those of bot-core on a joined network.

        One of bot-core's is here by the name that the monitoring has for it.
        """
        both = [*self._on_joined_network(), *self._of_project()]
        return {state.service: state for state in map(self._state_of, both)}

    def _of_project(self) -> list[_Inspected]:
        return self._inspect(self._listed(f"label={_PROJECT_LABEL}={self.project}", stopped=True))

    def _on_network(self, network: str, *, stopped: bool) -> list[_Inspected]:
        return self._inspect(self._listed(f"network={network}", stopped=stopped))

    def _listed(self, wanted: str, *, stopped: bool) -> list[str]:
        every = ["--all"] if stopped else []
        return self._ask(
            "container", "list", "--quiet", "--no-trunc", *every, "--filter", wanted
        ).split()

    def _ask(self, *arguments: str) -> str:
        """Run a command that only asks the engine, and give what it printed.

        Raises EngineError where it fails or has no answer in time: who waits for readiness must not wait for ever for
        an engine that takes the connection and never says a word.
        """
        with _translated(f"docker {arguments[0]} {arguments[1]}"):
            command = [*map(str, self._client.client_config.docker_cmd), *arguments]
            try:
                done = subprocess.run(
                    command, capture_output=True, check=False, timeout=_ANSWER_SECONDS
                )
            except subprocess.TimeoutExpired:
                raise EngineError(
                    f"the Docker daemon does not answer within {_ANSWER_SECONDS:.0f} s",
                    remedy="restart Docker",
                ) from None
            if done.returncode:
                kind = get_docker_exception_type(done.stderr)
                raise kind(command, done.returncode, done.stdout, done.stderr)
        return done.stdout.decode()

    def _inspect(self, containers: Sequence[str]) -> list[_Inspected]:
        """Look at containers in one call, where the library would make one for each; without those that are gone."""
        if not containers:
            return []
        try:
            found: list[_Inspected] = json.loads(self._ask("container", "inspect", *containers))
            return found
        except _NoContainerError:
            if len(containers) == 1:
                return []
            return [one for container in containers for one in self._inspect([container])]

    def _on_joined_network(self) -> list[_Inspected]:
        if self._joined is None:
            return []
        found = self._on_network(self._joined, stopped=True)
        return [one for one in found if _names_of(one) & self._watched and not self._is_own(one)]

    def _is_own(self, container: _Inspected) -> bool:
        return _labels_of(container).get(_PROJECT_LABEL) == self.project

    def _state_of(self, container: _Inspected) -> ContainerState:
        state = _state_of(container)
        known = self._hosts.get(state.service) or self._hosts.get(state.name) or state.service
        return replace(state, service=known, attached=not self._is_own(container))

    def strangers(self, known: Collection[str]) -> list[str]:
        """Give the names of containers of this project's name that stackctl did not make, but of `known` services."""
        return sorted(
            _name_of(container)
            for container in self._of_project()
            for labels in [_labels_of(container)]
            if labels.get(_SERVICE_LABEL) not in known
            # There is more than one file, with a comma between.
            and not any(
                file.endswith(f"/{COMPOSE_ENV}")
                for file in labels.get(_ENV_FILE_LABEL, "").split(",")
            )
        )

    def neighbours(self, network: str) -> list[Neighbour]:
        """Give the running containers of others on a network. Raises EngineError where there is no such network."""
        try:
            with _translated("docker network inspect"):
                self._client.network.inspect(network)
        except _NoNetworkError:
            raise EngineError(
                f"there is no network {network!r}",
                remedy="`docker network ls` lists them; start bot-core before its monitoring",
            ) from None
        return [
            Neighbour(_name_of(one), _labels_of(one).get(_PROJECT_LABEL), frozenset(_names_of(one)))
            for one in self._on_network(network, stopped=False)
            if not self._is_own(one)
        ]

    def published(self, container: str, port: int) -> tuple[str, int] | None:
        """Give the engine's address and port at which a container's TCP port is published, None where it is not."""
        for found in self._inspect([container]):
            binds = (found["NetworkSettings"]["Ports"] or {}).get(f"{port}/tcp")
            if binds:
                return binds[0]["HostIp"] or "0.0.0.0", int(binds[0]["HostPort"])  # noqa: S104 - it is read
        return None

    def run_in_network(self, network: str, image: str, command: Sequence[str]) -> str:
        """Run a program of an image once on a network and give what it wrote to stdout.

        Raises EngineError if it fails.
        """
        program, *arguments = command
        return self._run_once(
            image, arguments, entrypoint=program, networks=[network], cap_drop=["ALL"]
        )

    def container(self, id_: str) -> ContainerState | None:
        """Give one container, or None where it is gone."""
        return next(map(self._state_of, self._inspect([id_])), None)

    def stop(self, container: str, *, timeout: int = 10) -> None:
        """Stop a container: SIGTERM, then SIGKILL after `timeout` seconds."""
        with _translated("docker stop"):
            self._client.container.stop(container, time=timeout)

    def start(self, container: str) -> None:
        """Start a stopped container."""
        with _translated("docker start"):
            self._client.container.start(container)

    def restart(self, container: str, *, timeout: int = 10) -> None:
        """Stop a container as `stop` does, and start it again."""
        with _translated("docker restart"):
            self._client.container.restart(container, time=timeout)

    def kill(self, container: str) -> None:
        """Send SIGKILL to a container's process."""
        with _translated("docker kill"):
            self._client.container.kill(container)

    def pause(self, container: str) -> None:
        """Freeze a container's processes."""
        with _translated("docker pause"):
            self._client.container.pause(container)

    def unpause(self, container: str) -> None:
        """Let a paused container go on."""
        with _translated("docker unpause"):
            self._client.container.unpause(container)

    def disconnect(self, container: str, network: str) -> None:
        """Take a container off a network."""
        with _translated("docker network disconnect"):
            self._client.network.disconnect(network, container, force=True)

    def connect(self, container: str, network: str, options: Sequence[str] | None = None) -> None:
        """Put a container back on a network; no harm if it is on it, or if it is gone.

        `options` are those that `connection` gave; without any it gets its service's name.
        """
        for found in self._inspect([container]):
            there = found["NetworkSettings"]["Networks"] or {}
            # An attempt that failed leaves the network in the list, without its ID.
            if (there.get(network) or {}).get("NetworkID"):
                return
            if options is None:
                options = ["--alias", _labels_of(found).get(_SERVICE_LABEL, _name_of(found))]
            command = [*self._client.client_config.docker_cmd, "network", "connect"]
            with contextlib.suppress(_NoContainerError), _translated("docker network connect"):
                # The library's own takes one alias only.
                run([*command, *options, network, container])

    def connection(self, container: str, network: str) -> tuple[str, ...]:
        """Give the options of `docker network connect` that put a container on a network as it is on it.

        They are its aliases and the addresses that were chosen for it; those that Docker chose are left to Docker. None
        where it is not on the network, or gone.
        """
        for found in self._inspect([container]):
            there = (found["NetworkSettings"]["Networks"] or {}).get(network) or {}
            chosen = there.get("IPAMConfig") or {}
            # Older engines list the short ID among the aliases, and add it again by themselves.
            aliases = [one for one in there.get("Aliases") or () if one != found["Id"][:12]]
            options = [
                *(("--alias", alias) for alias in aliases),
                *(("--ip", ip) for ip in [chosen.get("IPv4Address")] if ip),
                *(("--ip6", ip) for ip in [chosen.get("IPv6Address")] if ip),
            ]
            return tuple(word for option in options for word in option)
        return ()

    def surroundings(self, container: str) -> Surroundings:
        """Give a container's memory limit, networks and writable volumes."""
        with _translated("docker container inspect"):
            found = self._client.container.inspect(container)
        return Surroundings(
            memory_limit_bytes=found.host_config.memory or 0,
            network_mode=found.host_config.network_mode or "",
            networks=tuple(found.network_settings.networks or {}),
            volumes={
                str(mount.destination): mount.name
                for mount in found.mounts
                if mount.type == "volume" and mount.rw and mount.name
            },
        )

    def volumes(self, made: Collection[str] = ()) -> list[str]:
        """Give the names of the volumes that have the stack's data: those of our compose files, and those of `made`.

        Others that carry the project's name are somebody else's, such as those of a bot-core that was started by itself
        under the same name.
        """
        ours = {f"{self.project}_{key}" for key in bundle.volumes()}
        return sorted(self._volumes(_PROJECT_LABEL, self.project) & {*ours, *made})

    def unnamed_volumes(self) -> dict[str, str]:
        """Give the volumes without a name of their own → the container of the project that has it."""
        return {
            mount["Name"]: _name_of(container)
            for container in self._of_project()
            for mount in container["Mounts"]
            if mount["Type"] == "volume" and _UNNAMED.fullmatch(mount["Name"])
        }

    def copies(self) -> list[str]:
        """Give the names of the project's volumes that hold copies of its configuration and secrets."""
        # Two questions: Podman gives what fits either of two labels.
        return sorted(self._volumes(_PROJECT_LABEL, self.project) & self._volumes(COPY_LABEL))

    def _volumes(self, label: str, value: str | None = None) -> set[str]:
        wanted = label if value is None else f"{label}={value}"
        with _translated("docker volume list"):
            return {one.name for one in self._client.volume.list(filters=[("label", wanted)])}

    @property
    def networks(self) -> tuple[str, ...]:
        """The networks on which services are watched: the project's own, and one that it has joined."""
        own = f"{self.project}_bot-network"
        return (own,) if self._joined is None else (self._joined, own)

    def last_logs(self, container: str, lines: int) -> str:
        """Give the last lines that a container wrote, both streams."""
        with _translated("docker logs"):
            text = self._client.container.logs(container, tail=lines)
        assert isinstance(text, str)  # noqa: S101 - the library's type for a call that does not stream
        return text

    def follow_logs(
        self, container: str, *, lines: int, follow: bool
    ) -> Iterator[tuple[str, bytes]]:
        """Give (stream, line) of a container's log, with its last `lines` lines first."""
        with _translated("docker logs"):
            stream = self._client.container.logs(container, tail=lines, follow=follow, stream=True)
            if isinstance(stream, str):
                raise EngineError("docker logs did not stream")
            yield from stream

    def usage(self, containers: Sequence[str]) -> dict[str, Usage]:
        """Give the use of running containers by name; takes the engine about two seconds."""
        if not containers:
            return {}
        with _translated("docker stats"):
            stats = self._client.container.stats(list(containers))
        return {
            row.container_name: Usage(row.cpu_percentage, row.memory_used, row.memory_limit)
            for row in stats
        }

    def execute(self, container: str, command: Sequence[str]) -> str:
        """Run a command in a running container and give what it wrote to stdout. Raises EngineError if it fails."""
        with _translated(f"docker exec {command[0]}"):
            output = self._client.container.execute(container, list(command))
        assert isinstance(output, str)  # noqa: S101 - the library's type for a call that does not stream
        return output

    def execute_detached(self, container: str, command: Sequence[str]) -> None:
        """Start a command in a running container and leave it to itself. Raises EngineError if it does not start."""
        with _translated(f"docker exec {command[0]}"):
            self._client.container.execute(container, list(command), detach=True)

    def run_in_network_of(
        self, container: str, image: str, command: Sequence[str], *, name: str
    ) -> None:
        """Run a command once in a running container's network name space, as root with NET_ADMIN and nothing else.

        It is a container by this name, in place of one that has it. Raises EngineError if it fails.
        """
        self.remove(name)
        self._run_once(
            image,
            command,
            name=name,
            networks=[f"container:{container}"],
            cap_drop=["ALL"],
            cap_add=["NET_ADMIN"],
        )

    def run_in_volume(self, volume: str, image: str, command: Sequence[str]) -> None:
        """Run a command of an image once, as root without network, with a volume as its folder `/volume`.

        Does nothing where there is no such volume. Raises EngineError if it fails.
        """
        with _translated("docker volume inspect"):
            if not self._client.volume.exists(volume):
                return
        program, *arguments = command
        self._run_once(
            image,
            arguments,
            entrypoint=program,
            volumes=[(volume, "/volume")],
            networks=["none"],
        )

    def remove(self, name: str) -> None:
        """Remove a container by its name, with the volumes that have none, and wait until the name is free.

        The engine may be removing it already; no harm if it is not there.
        """
        attempts = Retrying(
            stop=stop_after_delay(_REMOVAL_SECONDS),
            wait=wait_fixed(0.1),
            retry=retry_if_exception_type(EngineError),
            reraise=True,
        )
        for attempt in attempts:
            with attempt:
                if self._inspect([name]):
                    with contextlib.suppress(_NoContainerError), _translated("docker rm"):
                        self._client.container.remove(name, force=True, volumes=True)

    def _run_once(self, image: str, command: Sequence[str], **options: Any) -> str:
        output = bytearray()
        with _translated(f"docker run {image}"):
            lines = self._client.container.run(
                image,
                list(command),
                user="0:0",
                read_only=True,
                security_options=["no-new-privileges"],
                pull="never",
                remove=True,
                stream=True,
                **options,
            )
            # Only a stream's stderr is in the error; otherwise it goes to ours.
            for stream, line in lines:
                output += line if stream == "stdout" else b""
        return output.decode(errors="replace")

    def try_program(
        self, image: str, command: Sequence[str], *, entrypoint: str | None, folder: Path, at: str
    ) -> tuple[int, str]:
        """Run a program of an image once, with a copy of `folder` at `at` and without network.

        Gives its exit code and what it wrote, both streams. Raises EngineError where it cannot be run.
        """
        with _translated("docker create"):
            # A copy, not a mount: the engine may be on another machine. The volume makes room for it in a
            # read-only container.
            container = self._client.container.create(
                image,
                list(command),
                entrypoint=entrypoint,
                volumes=[(at,)],  # type: ignore[list-item]  # without a source it is an anonymous volume
                networks=["none"],
                cap_drop=["ALL"],
                read_only=True,
                security_options=["no-new-privileges"],
                labels=scratch_labels(self.project),
            )
        try:
            with _translated("docker cp"):
                self._client.container.copy(f"{folder}/.", (container, at))
            with _translated("docker start"):
                self._client.container.start(container)
                code = self._client.container.wait(container)
                logs = self._client.container.logs(container)
        finally:
            with _translated("docker rm"):
                self._client.container.remove(container, force=True, volumes=True)
        assert isinstance(code, int) and isinstance(logs, str)  # noqa: S101, PT018 - one container, no stream
        return code, logs

    def grafana_reset_password(self, container: str) -> None:
        """Set Grafana's admin password to the one in the secret file it has mounted.

        Grafana keeps the password of its first start in its database. The password travels inside the
        container only: on the command line of no process.
        """
        script = "grafana cli admin reset-admin-password --password-from-stdin < /run/secrets/grafana_password"
        with _translated("grafana cli"):
            self._client.container.execute(container, ["sh", "-c", script])

    def image_id(self, reference: str) -> str | None:
        """Give the ID of a local image, or None where there is none by that reference."""
        with contextlib.suppress(_NoImageError), _translated("docker image inspect"):
            image = self._client.image.inspect(reference)
            assert not isinstance(image, list)  # noqa: S101 - one reference gives one image
            return image.id
        return None

    def image_labels(self, reference: str) -> dict[str, str]:
        """Give the labels of a local image, none where it is not there."""
        with contextlib.suppress(_NoImageError), _translated("docker image inspect"):
            image = self._client.image.inspect(reference)
            assert not isinstance(image, list)  # noqa: S101 - one reference gives one image
            return image.config.labels or {} if image.config else {}
        return {}

    def images_with_label(self, label: str) -> set[str]:
        """Give the IDs of the local images that carry this label."""
        with _translated("docker image list"):
            return {
                image.id for image in self._client.image.list(filters=[("label", label)], all=True)
            }

    def image_digests(self, reference: str) -> dict[str, str]:
        """Give the digests that registries know a local image by, by repository; none for one that is not here."""
        with contextlib.suppress(_NoImageError), _translated("docker image inspect"):
            image = self._client.image.inspect(reference)
            assert not isinstance(image, list)  # noqa: S101 - one reference gives one image
            return dict(one.split("@", 1) for one in image.repo_digests or [])
        return {}

    def save_images(self, references: Sequence[str]) -> Iterator[bytes]:
        """Give `docker save` of local images, piece by piece: a tar that has what they share once."""
        with self._piped("save", *references, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None  # noqa: S101 - it is a pipe
            while piece := process.stdout.read(_PIECE):
                yield piece

    def load_image(self, archive: Iterable[bytes]) -> None:
        """Load the images of a tar as `docker save` gives it, piece by piece; a tar that breaks off loads none.

        Raises EngineError where the engine refuses it, and whatever the pieces raise.
        """
        with self._piped("load", "--quiet", stdin=subprocess.PIPE) as process:
            assert process.stdin is not None  # noqa: S101 - it is a pipe
            # One that refuses the tar early stops reading; its exit code and its last words say why.
            with contextlib.suppress(BrokenPipeError):
                for piece in archive:
                    process.stdin.write(piece)
                process.stdin.close()

    @contextlib.contextmanager
    def _piped(
        self,
        *arguments: str,
        stdin: int = subprocess.DEVNULL,
        stdout: int = subprocess.DEVNULL,
    ) -> Iterator[subprocess.Popen[bytes]]:
        """Run a command on images whose data is piped; the library's own lets what it says pass to our stderr."""
        command = [*map(str, self._client.client_config.docker_cmd), "image", *arguments]
        with _translated(f"docker {arguments[0]}"), tempfile.TemporaryFile() as said:
            process = subprocess.Popen(command, stdin=stdin, stdout=stdout, stderr=said)
            try:
                yield process
                code = process.wait()
            except BaseException:
                process.kill()
                raise
            finally:
                process.wait()
                for pipe in (process.stdin, process.stdout):
                    if pipe is not None:
                        # What a process that has gone did not take cannot be flushed to it.
                        with contextlib.suppress(BrokenPipeError):
                            pipe.close()
            if code != 0:
                said.seek(0)
                raise DockerException(command, code, stderr=said.read())

    def pull(self, reference: str) -> None:
        """Pull an image. Raises EngineError where no registry gives it."""
        with _translated("docker pull"):
            self._client.image.pull(reference, quiet=True)

    def import_image(self, archive: Path, reference: str, labels: dict[str, str]) -> None:
        """Make an image of one layer from a tar archive of a root file system."""
        changes = [f'LABEL "{name}"="{value}"' for name, value in labels.items()]
        with _translated("docker import"):
            self._client.image.import_(archive, tag=reference, changes=changes)

    def build(self, build_file: Path, arguments: Mapping[str, str] = {}) -> Iterator[str]:
        """Build all images of a compose file with these build arguments, and give the builder's lines."""
        builder = DockerClient(compose_files=[build_file])
        with _translated("docker compose build"):
            lines = builder.compose.build(
                build_args=dict(arguments), stream_logs=True, progress="plain"
            )
            for _, line in lines or ():
                yield line.decode(errors="replace").rstrip()


def scratch_labels(project: str) -> dict[str, str]:
    """Give the labels of what this process makes for itself and removes."""
    return {SCRATCH_LABEL: project, PROCESS_LABEL: str(os.getpid())}


def _is_abandoned(labels: Mapping[str, str]) -> bool:
    import psutil

    pid = labels.get(PROCESS_LABEL, "")
    return not (pid.isdecimal() and psutil.pid_exists(int(pid)))


def reached() -> Endpoint:
    """Find the engine as the `docker` command does: DOCKER_HOST, else DOCKER_CONTEXT, else the context in use.

    Without a `docker` command it is the default one. Raises UsageError for an address or a context that is none.
    """
    if where := endpoint.known():
        return where
    try:
        with _translated("docker context inspect"):
            context = DockerClient().context.inspect(None)
            name, described = context.name, context.endpoints.get("docker")
    except EngineError as error:
        if isinstance(error.__context__, ClientNotFoundError):
            return endpoint.DEFAULT
        raise UsageError(
            f"the Docker context cannot be read: {error.message}",
            remedy="`docker context ls` lists them; `docker context use default` takes this machine's engine",
        ) from None
    if described is None or described.host is None:
        raise UsageError(
            f"the Docker context {name!r} has no Docker endpoint",
            remedy="`docker context use default` takes this machine's engine",
        )
    return endpoint.parse(described.host, f"the Docker context {name!r}")


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
    with _translated("docker compose config"):
        config = client.compose.config(return_json=True)
    assert isinstance(config, dict)  # noqa: S101 - the library's type for JSON
    return config


def _name_of(container: _Inspected) -> str:
    name: str = container["Name"]
    return name.removeprefix("/")


def _labels_of(container: _Inspected) -> Mapping[str, str]:
    labels: Mapping[str, str] | None = container["Config"]["Labels"]
    return labels or {}


def _names_of(container: _Inspected) -> set[str]:
    """Give the names by which a container is known on its networks."""
    labels = _labels_of(container)
    return {_name_of(container), *([labels[_SERVICE_LABEL]] if _SERVICE_LABEL in labels else [])}


def _state_of(container: _Inspected) -> ContainerState:
    labels = _labels_of(container)
    state = container["State"]
    health = (state.get("Health") or {}).get("Status")
    started = _time(state["StartedAt"])
    return ContainerState(
        id=container["Id"],
        name=_name_of(container),
        service=labels.get(_SERVICE_LABEL, _name_of(container)),
        status=state["Status"],
        health=health if health in {"starting", "healthy", "unhealthy"} else "none",
        exit_code=state["ExitCode"],
        restarts=container["RestartCount"],
        # A container that never ran has the year 1 here.
        started=started if started.year > 1 else None,
        image=container["Config"]["Image"],
        standin=labels.get(_STANDIN_LABEL) == "true",
        project=labels.get(_PROJECT_LABEL),
    )


def _time(text: str) -> dt.datetime:
    # Nanoseconds are more than Python's parser takes.
    return dt.datetime.fromisoformat(re.sub(r"(\.\d{6})\d+", r"\1", text))


class _NoContainerError(EngineError):
    """There is no such container (any more)."""


class _NoImageError(EngineError):
    """There is no such image here."""


class _NoNetworkError(EngineError):
    """There is no such network."""


_GONE: Mapping[type[DockerException], tuple[type[EngineError], str]] = {
    NoSuchContainer: (_NoContainerError, "`stackctl status` shows what there is"),
    NoSuchImage: (_NoImageError, "`stackctl images list` shows what there is"),
    NoSuchNetwork: (_NoNetworkError, "`docker network ls` shows what there is"),
}
"""The library's exception → ours, and where to look."""

_NOT_RUNNING = "the Docker daemon is not running"

_REMEDIES: Sequence[tuple[str, str, str]] = (
    (
        r"permission denied.*docker\.sock|permission denied.*connect to the Docker daemon",
        "this user may not use the Docker daemon",
        "add yourself to the docker group, or use rootless Docker",
    ),
    (
        r"cannot connect to the docker|is the docker daemon running|error during connect"
        r"|failed to connect to the docker api",
        _NOT_RUNNING,
        "start Docker (systemctl start docker, or open Docker Desktop)",
    ),
    (
        # Of a network; of a port it says more before these words.
        r"error response from daemon: address already in use",
        "the address that is asked for is taken by another container on the network",
        "`docker network inspect` says by which; stop that one, and try again",
    ),
    (
        r"port is already allocated|address already in use",
        "a port of the stack is taken",
        "`stackctl doctor` says by which process",
    ),
    (
        r"container name .* is already in use",
        "a container of the same name is there already",
        "stop and remove it, or give the project another name with -p",
    ),
    (
        r"server gave HTTP response to HTTPS client",
        "the registry speaks HTTP, and Docker expects HTTPS",
        "add it to insecure-registries of the Docker daemon (daemon.json), if its network is yours",
    ),
    (
        r"no space left on device",
        "the disk of Docker is full",
        "`docker system df` shows what takes it",
    ),
)


@contextlib.contextmanager
def _translated(what: str) -> Iterator[None]:
    """Turn the library's exceptions into one line: what the engine said last, and the remedy where it is known."""
    try:
        yield
    except ClientNotFoundError:
        raise EngineError(
            "the docker command is not installed",
            remedy="install Docker Engine 25 or newer, or Docker Desktop",
        ) from None
    except DockerException as error:
        said = (error.stderr or error.stdout or "").strip()
        for pattern, message, remedy in _REMEDIES:
            if re.search(pattern, said, re.IGNORECASE | re.DOTALL):
                if message == _NOT_RUNNING and (elsewhere := _elsewhere(said)):
                    raise elsewhere from None
                detail = _last_line(said) if "taken" in message or "same" in message else ""
                raise EngineError(
                    f"{message}{': ' + detail if detail else ''}", remedy=remedy
                ) from None
        if type(error) in _GONE:
            kind, remedy = _GONE[type(error)]
            raise kind(f"{what} failed: {_last_line(said)}", remedy=remedy) from None
        raise EngineError(f"{what} failed (exit {error.return_code}): {_last_line(said)}") from None


def _elsewhere(said: str) -> EngineError | None:
    """Give the error for a remote engine that does not answer, None for one of this machine."""
    where = reached()
    if not where.remote:
        return None
    # What is before these is the request that was tried.
    _, _, reason = _last_line(said).rpartition("stderr=")
    _, _, reason = reason.rpartition('": ')
    reason = reason.removesuffix(". Is the docker daemon running?")
    return EngineError(
        f"no engine answers at {where} ({where.origin}): {reason}",
        remedy="start it, or correct the address; `docker context ls` shows what there is",
    )


def _last_line(text: str) -> str:
    """Give the last line that says something: below it the command may point to its own help."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    said = [line for line in lines if not re.match(r"(Run|See) 'docker .*--help'", line)]
    return said[-1] if said else "it said nothing"
