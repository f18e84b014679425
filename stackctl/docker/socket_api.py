"""The Engine API at the engine's Unix socket: a query takes a few milliseconds, instead of fifty with `docker`.

Without an answer the methods return None, and the caller uses the `docker` command, which supports all kinds of
connections and reports what is wrong. Paths have no version, so the engine uses its newest
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
"""How long the engine may take for a cheap query."""
_NANOSECONDS = 1e9


class SocketApi:
    """Read-only queries to the engine at a Unix socket."""

    def __init__(self, socket: Path) -> None:
        self._socket = socket

    def list_containers(
        self, filters: Mapping[str, list[str]], *, stopped: bool
    ) -> list[Inspected] | None:
        """Return the containers that match, as in ContainerList; None without an answer."""
        found = self._get(
            "/containers/json",
            {"all": str(stopped).lower(), "filters": json.dumps(filters)},
        )
        return found if isinstance(found, list) else None

    def inspect(self, container: str) -> Inspected | None:
        """Return the result of ContainerInspect; empty if the container does not exist.

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
        """Return the result of SystemVersion; None without an answer."""
        found = self._get("/version")
        return found if isinstance(found, dict) and found else None

    def usage(self, container: str) -> Usage | None:
        """Return the resource usage of a running container, from one reading; None without an answer.

        CPU usage is the mean since the container's start, because there is only one reading. Memory is computed as in
        `docker stats`: without the page cache that the kernel reclaims first.
        """
        # Without one-shot the engine waits a second for another reading.
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
            # A container that has just stopped lacks these.
            return None

    def _get(self, path: str, query: Mapping[str, str] | None = None) -> Any:
        """Return the JSON of a response, an empty mapping for a 404, and None for everything else."""
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
    """A connection to a Unix socket. Connecting is cheap, so each request has its own connection, in any thread."""

    def __init__(self, socket: Path) -> None:
        super().__init__("docker", timeout=ANSWER_SECONDS)
        self._path = socket

    def connect(self) -> None:
        """Connect to the socket."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(_CONNECT_SECONDS)
        self.sock.connect(str(self._path))
        self.sock.settimeout(ANSWER_SECONDS)
