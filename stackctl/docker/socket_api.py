"""The Engine API by the engine's Unix socket: a question takes milliseconds, where the `docker` command takes fifty.

It answers None wherever the socket does not, so that the `docker` command is asked, which knows every kind of
connection and says what is wrong with one. Paths have no version: the engine answers by its newest
(docs.docker.com/reference/api/engine).
"""

from __future__ import annotations

import contextlib
import json
import socket
from collections.abc import Mapping
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from stackctl.docker.models import Inspected, Usage, time

_CONNECT_SECONDS = 1.0
ANSWER_SECONDS = 30.0
"""How long the engine may take for a question that costs it nothing."""
_NANOSECONDS = 1e9


class SocketApi:
    """Questions to the engine behind a Unix socket. Nothing here changes anything."""

    def __init__(self, socket: Path) -> None:
        self._socket = socket

    def list_containers(
        self, filters: Mapping[str, list[str]], *, stopped: bool
    ) -> list[Inspected] | None:
        """Return the containers that match, as ContainerList describes them; None without an answer."""
        found = self._get(
            "/containers/json",
            {"all": str(stopped).lower(), "filters": json.dumps(filters)},
        )
        return found if isinstance(found, list) else None

    def inspect(self, container: str) -> Inspected | None:
        """Return what ContainerInspect says of a container: nothing (an empty mapping) if it is gone.

        None without an answer.
        """
        found = self._get(f"/containers/{quote(container, safe='')}/json")
        return found if isinstance(found, dict) else None

    def list_volumes(self, label: str) -> list[Mapping[str, Any]] | None:
        """Return the volumes with a label, NAME or NAME=VALUE, as VolumeList describes them; None without an answer."""
        found = self._get("/volumes", {"filters": json.dumps({"label": [label]})})
        if not isinstance(found, dict):
            return None
        volumes = found.get("Volumes") or []
        return volumes if isinstance(volumes, list) else None

    def version(self) -> Mapping[str, Any] | None:
        """Return what SystemVersion says of the engine; None without an answer."""
        found = self._get("/version")
        return found if isinstance(found, dict) and found else None

    def usage(self, container: str) -> Usage | None:
        """Return what a running container uses, from one reading; None without an answer.

        The share of a processor is that since the container's start, as one reading says no more. Memory is what
        `docker stats` shows: without the files' pages that the kernel takes back first.
        """
        # Without one-shot the engine waits for a second reading, a second later.
        stats = self._get(
            f"/containers/{quote(container, safe='')}/stats",
            {"stream": "false", "one-shot": "true"},
        )
        state = self.inspect(container)
        if not isinstance(stats, dict) or not state:
            return None
        try:
            memory = stats["memory_stats"]
            cached = memory["stats"].get(
                "total_inactive_file", memory["stats"].get("inactive_file", 0)
            )
            running = (time(stats["read"]) - time(state["State"]["StartedAt"])).total_seconds()
            cpu = stats["cpu_stats"]["cpu_usage"]["total_usage"] / _NANOSECONDS
            return Usage(
                cpu_percent=100 * cpu / running if running > 0 else 0.0,
                memory_bytes=max(memory["usage"] - cached, 0),
                memory_limit_bytes=memory["limit"],
                window=running,
            )
        except KeyError:
            # A container that has just stopped has none of this.
            return None

    def _get(self, path: str, query: Mapping[str, str] | None = None) -> Any:
        """Return the JSON of an answer, an empty mapping for what does not exist, and None for everything else."""
        target = f"{path}?{urlencode(query)}" if query else path
        with contextlib.closing(_Connection(self._socket)) as connection:
            try:
                connection.request("GET", target)
                answer = connection.getresponse()
                content = answer.read()
                if answer.status == HTTPStatus.NOT_FOUND:
                    return {}
                return json.loads(content) if answer.status == HTTPStatus.OK else None
            except (OSError, HTTPException, ValueError):
                return None


class _Connection(HTTPConnection):
    """A connection to a Unix socket. A new one costs nothing, so that each question has its own, in any thread."""

    def __init__(self, socket: Path) -> None:
        super().__init__("docker", timeout=ANSWER_SECONDS)
        self._path = socket

    def connect(self) -> None:
        """Connect to the socket."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(_CONNECT_SECONDS)
        self.sock.connect(str(self._path))
        self.sock.settimeout(ANSWER_SECONDS)
