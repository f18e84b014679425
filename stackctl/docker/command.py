"""The `docker` command, asked directly where the library has no bound for an answer or asks too often."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence

from python_on_whales import DockerClient

from stackctl.docker.failures import NoContainerError, failed, translated
from stackctl.docker.inspected import Inspected
from stackctl.errors import EngineError

_ANSWER_SECONDS = 30.0
"""How long the engine may take for a question that costs it nothing."""


class Command:
    """The `docker` command for one Compose project."""

    def __init__(self, project: str, client: DockerClient) -> None:
        """Take the project's name, and the library's client with its Compose files."""
        self.project = project
        self._client = client

    def listed(self, wanted: str | None = None, *, stopped: bool) -> list[str]:
        """Give the IDs of the containers that a filter of `docker container list` lets through, or of all."""
        every = ["--all"] if stopped else []
        which = ["--filter", wanted] if wanted else []
        return self.ask("container", "list", "--quiet", "--no-trunc", *every, *which).split()

    def ask(self, *arguments: str) -> str:
        """Run a command that only asks the engine, and give what it printed.

        Raises EngineError where it fails or has no answer in time: who waits for readiness must not wait for ever for
        an engine that takes the connection and never says a word.
        """
        with translated(f"docker {arguments[0]} {arguments[1]}"):
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
                raise failed(command, done.returncode, done.stderr)
        return done.stdout.decode()

    def inspect(self, containers: Sequence[str]) -> list[Inspected]:
        """Look at containers in one call, where the library would make one for each; without those that are gone."""
        if not containers:
            return []
        try:
            found: list[Inspected] = json.loads(self.ask("container", "inspect", *containers))
            return found
        except NoContainerError:
            if len(containers) == 1:
                return []
            return [one for container in containers for one in self.inspect([container])]
