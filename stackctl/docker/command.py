"""Queries to the engine that the library would make without a timeout or too often, by its socket or by `docker`."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stackctl.docker import endpoint
from stackctl.docker.errors import NoContainerError, failed, no_command, translated
from stackctl.docker.models import Inspected
from stackctl.docker.socket_api import ANSWER_SECONDS, SocketApi
from stackctl.errors import EngineError, UsageError

if TYPE_CHECKING:
    from python_on_whales import DockerClient


class Command:
    """The `docker` command for one Compose project."""

    def __init__(self, project: str, options: Mapping[str, Any]) -> None:
        """Create the command for a project; `options` are those of the library's client, such as the Compose files."""
        self.project = project
        self._options = {**options}

    @cached_property
    def _client(self) -> DockerClient:
        """The library's client, created on first use, because importing it takes a fifth of a second."""
        from python_on_whales import DockerClient

        return DockerClient(**self._options)

    def merge_over(self, compose_files: Sequence[Path], env_files: Sequence[Path]) -> None:
        """Add Compose files, to be merged over the others, and .env files, to be read after the others."""
        for name, more in (("compose_files", compose_files), ("compose_env_files", env_files)):
            self._options[name] = [*self._options.get(name, ()), *more]
        # An existing client has the previous options.
        self.__dict__.pop("_client", None)

    def _compose(self, *arguments: str) -> None:
        """Run Docker Compose on the project's files, without a timeout. Raises EngineError if it fails.

        The library is not used, because its import takes longer than starting Compose.
        """
        directory = self._options.get("compose_project_directory")
        options = [
            *(("--file", str(one)) for one in self._options["compose_files"]),
            *(("--profile", one) for one in self._options["compose_profiles"]),
            *(("--env-file", str(one)) for one in self._options["compose_env_files"]),
            ("--project-name", self.project),
            *([("--project-directory", str(directory))] if directory else []),
        ]
        given = (word for option in options for word in option)
        _, error = self._run(
            ("compose", *given, *arguments), waits=True, name=f"compose {arguments[0]}"
        )
        if error is not None:
            raise error

    @cached_property
    def _socket(self) -> SocketApi | None:
        """The API at the engine's socket, if the engine is known to have one."""
        try:
            where = endpoint.known()
        except UsageError:
            return None
        return SocketApi(where.socket) if where and where.socket else None

    def listing(self) -> list[Inspected] | None:
        """Return all containers, including stopped ones, as in ContainerList, with one request to the socket.

        None if the socket is not used.
        """
        return None if self._socket is None else self._socket.list_containers({}, stopped=True)

    def volumes_with(self, label: str) -> dict[str, Mapping[str, str]]:
        """Return the labels of the volumes that have a label, NAME or NAME=VALUE, by the volumes' names."""
        found = self._socket.list_volumes(label) if self._socket is not None else None
        if found is not None:
            return {one["Name"]: one.get("Labels") or {} for one in found}
        with translated("docker volume list"):
            volumes = self._client.volume.list(filters=[("label", label)])
            return {one.name: one.labels or {} for one in volumes}

    def listed(self, filter_: str | None = None, *, stopped: bool) -> list[str]:
        """Return the IDs of the containers that match a filter of `docker container list`, or of all."""
        if self._socket is not None:
            name, _, value = (filter_ or "").partition("=")
            found = self._socket.list_containers({name: [value]} if name else {}, stopped=stopped)
            if found is not None:
                return [one["Id"] for one in found]
        every = ["--all"] if stopped else []
        which = ["--filter", filter_] if filter_ else []
        return self.ask("container", "list", "--quiet", "--no-trunc", *every, *which).split()

    def ask(self, *arguments: str, given: str = "") -> str:
        """Run a read-only docker command with this input, and return its output.

        Raises EngineError if it fails or times out: a wait for readiness must not hang because an engine accepts the
        connection but never responds.
        """
        printed, error = self._run(arguments, given)
        if error is not None:
            raise error
        return printed

    def inspect(self, containers: Sequence[str]) -> list[Inspected]:
        """Inspect containers with one call, instead of the library's one for each; removed containers are left out."""
        if not containers:
            return []
        if self._socket is not None:
            described = list(map(self._socket.inspect, containers))
            if None not in described:
                return [one for one in described if one]
        printed, error = self._run(("container", "inspect", *containers))
        # Existing ones are printed nevertheless.
        if error is not None and not isinstance(error, NoContainerError):
            raise error
        found: list[Inspected] = json.loads(printed or "[]")
        return found

    def _run(
        self,
        arguments: Sequence[str],
        given: str = "",
        *,
        waits: bool = False,
        name: str | None = None,
    ) -> tuple[str, EngineError | None]:
        """Return a command's output, and the error if it failed.

        It must end within ANSWER_SECONDS, unless it `waits` for something other than the daemon. `name` is the
        command's name in errors.
        """
        printed = ""
        timeout = None if waits else ANSWER_SECONDS
        name = name or " ".join(word for word in arguments[:2] if not word.startswith("-"))
        try:
            with translated(f"docker {name}"):
                # Not with the library, whose import takes longer than most of these commands.
                command = ["docker", *arguments]
                done = subprocess.run(
                    command, input=given.encode(), capture_output=True, check=False, timeout=timeout
                )
                # A container's output may not be UTF-8.
                printed = done.stdout.decode(errors="replace")
                if done.returncode:
                    raise failed(command, done.returncode, done.stderr, done.stdout)
        except FileNotFoundError:
            return printed, no_command()
        except subprocess.TimeoutExpired:
            return printed, EngineError(
                f"the Docker daemon did not respond within {ANSWER_SECONDS:.0f} s",
                remedy="restart Docker",
            )
        except EngineError as error:
            return printed, error
        return printed, None
