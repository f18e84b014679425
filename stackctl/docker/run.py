"""Runs programs once, in temporary containers."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from stackctl.docker.containers import Containers
from stackctl.docker.errors import translated
from stackctl.docker.inventory import PROCESS_LABEL, SCRATCH_LABEL, Inventory, is_abandoned
from stackctl.errors import EngineError
from stackctl.util.environment import PROXIES

_NO_PROXY = {spelt: "" for name in PROXIES for spelt in (name, name.upper())}
"""Overrides the proxies that the docker command's configuration sets in every container."""


class Programs(Containers):
    """Runs programs from local images, each in its own container."""

    def run_in_network(self, network: str, image: str, command: Sequence[str]) -> str:
        """Run a program of an image once on a network and return its stdout.

        Raises EngineError if it fails.
        """
        return self._run_once(image, command, networks=[network], cap_drop=["ALL"])

    def run_in_network_of(
        self, container: str, image: str, command: Sequence[str], *, name: str
    ) -> None:
        """Run a command once in a running container's network namespace, as root with only NET_ADMIN.

        Its container gets this name, and replaces one with the same name. Raises EngineError if it fails.
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
        """Run a command of an image once, as root without network, with a volume mounted at `/volume`.

        Does nothing if the volume does not exist. Raises EngineError if it fails.
        """
        with translated("docker volume inspect"):
            if not self._client.volume.exists(volume):
                return
        self._run_once(
            image,
            command,
            volumes=[(volume, "/volume")],
            networks=["none"],
        )

    def has_socket(self, path: str, image: str) -> bool:
        """Return whether the engine can mount a socket of its own machine; `image` must contain `test`."""
        mount = f"type=bind,source={path},target=/socket,readonly"
        try:
            self._run_once(
                image,
                ["test", "-S", "/socket"],
                mounts=[[mount]],
                networks=["none"],
                cap_drop=["ALL"],
                labels=scratch_labels(self.project),
            )
        except EngineError:
            return False
        return True

    def try_program(
        self, image: str, command: Sequence[str], *, entrypoint: str | None, folder: Path, at: str
    ) -> tuple[int, str]:
        """Run a program of an image once, with a copy of `folder` at `at` and without network.

        Return its exit code and its output, of both streams. Raises EngineError if it cannot be run.
        """
        with translated("docker create"):
            # A copy, not a mount, because the engine may be on another machine. The volume makes the path writable in
            # a read-only container.
            container = self._client.container.create(
                image,
                list(command),
                entrypoint=entrypoint,
                pull="never",
                volumes=[(at,)],  # type: ignore[list-item]  # without a source it is an anonymous volume
                networks=["none"],
                cap_drop=["ALL"],
                read_only=True,
                security_options=["no-new-privileges"],
                labels=scratch_labels(self.project),
            )
        try:
            with translated("docker cp"):
                self._client.container.copy(f"{folder}/.", (container, at))
            with translated("docker start"):
                self._client.container.start(container)
                code = self._client.container.wait(container)
                logs = self._client.container.logs(container)
        finally:
            with translated("docker rm"):
                self._client.container.remove(container, force=True, volumes=True)
        assert isinstance(code, int) and isinstance(logs, str)  # noqa: S101, PT018 - one container, no stream
        return code, logs

    def _run_once(self, image: str, command: Sequence[str], **options: Any) -> str:
        program, *arguments = command
        output = bytearray()
        with translated(f"docker run {image}"):
            lines = self._client.container.run(
                image,
                arguments,
                entrypoint=program,
                user="0:0",
                read_only=True,
                security_options=["no-new-privileges"],
                envs=_NO_PROXY,
                pull="never",
                remove=True,
                stream=True,
                **options,
            )
            # Only with a stream does the error contain stderr; otherwise it goes to this process's stderr.
            for stream, line in lines:
                output += line if stream == "stdout" else b""
        return output.decode(errors="replace")

    def remove_scratch(self, inventory: Inventory) -> None:
        """Remove the temporary containers and volumes that killed commands left behind."""
        for name in inventory.abandoned():
            self.remove(name)
        for name, labels in self.volumes_with(f"{SCRATCH_LABEL}={self.project}").items():
            if is_abandoned(labels):
                with translated("docker volume rm"):
                    self._client.volume.remove(name)


def scratch_labels(project: str) -> dict[str, str]:
    """Return the labels of the temporary objects of this process."""
    return {SCRATCH_LABEL: project, PROCESS_LABEL: str(os.getpid())}
