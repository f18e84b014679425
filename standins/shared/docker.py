"""The Docker Engine's API over its socket or over TCP, as far as the stand-ins need it: list, inspect, stats, logs."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Mapping
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

import aiohttp

DEFAULT_HOST = "unix:///var/run/docker.sock"

_MAX_ANSWER = 32 << 20
_NO_NAME = re.compile(r"[^a-zA-Z0-9_]")


class DockerError(Exception):
    """The engine does not respond, or rejects the request; the text says why."""


class NotFoundError(DockerError):
    """The object does not exist (any more)."""


class Docker:
    """A connection pool to one engine. `host` is as docker_sd_configs has it: unix://… or tcp://… or http://…

    Raises ValueError for any other host. Use it as an asynchronous context manager.
    """

    def __init__(self, host: str = DEFAULT_HOST) -> None:
        url = urlsplit(host)
        self._socket: str | None = None
        if url.scheme == "unix" and url.path:
            self._socket = url.path
            self._base = "http://docker"
        elif url.scheme in {"tcp", "http", "https"} and url.hostname:
            self._base = f"{'https' if url.scheme == 'https' else 'http'}://{url.netloc}"
        else:
            raise ValueError(f"unable to parse docker host `{host}`")
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Docker:
        connector = (
            aiohttp.UnixConnector(self._socket, limit=0)
            if self._socket
            else aiohttp.TCPConnector(limit=0)
        )
        self._session = aiohttp.ClientSession(connector=connector)
        return self

    async def __aexit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        if self._session:
            await self._session.close()

    async def get(
        self, path: str, params: Mapping[str, str] | None = None, *, timeout: float = 10
    ) -> Any:
        """Return the JSON of a response. `timeout` is in seconds. Raises DockerError."""
        limits = aiohttp.ClientTimeout(total=timeout)
        try:
            async with self._opened().get(
                self._base + path, params=params, timeout=limits
            ) as answer:
                body = await answer.content.read(_MAX_ANSWER)
                while chunk := await answer.content.read(_MAX_ANSWER - len(body)):
                    body += chunk
                if answer.status != 200:
                    problem = NotFoundError if answer.status == 404 else DockerError
                    raise problem(f"{path} answers {answer.status}: {_message(body)}")
                return json.loads(body)
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
            raise DockerError(f"{path}: {error or type(error).__name__}") from None

    async def stream(self, path: str, params: Mapping[str, str]) -> AsyncIterator[bytes]:
        """Yield the chunks of a response as they arrive, until the engine ends it. Raises DockerError."""
        limits = aiohttp.ClientTimeout(total=None, sock_connect=10)
        try:
            async with self._opened().get(
                self._base + path, params=params, timeout=limits
            ) as answer:
                if answer.status != 200:
                    body = await answer.content.read(4096)
                    raise DockerError(f"{path} answers {answer.status}: {_message(body)}")
                async for chunk in answer.content.iter_any():
                    yield chunk
        except (aiohttp.ClientError, OSError) as error:
            raise DockerError(f"{path}: {error}") from None

    async def containers(self, filters: Mapping[str, list[str]] | None = None) -> Any:
        """Return the running containers, filtered as `docker ps --filter` does. Raises DockerError."""
        params = {"filters": json.dumps(filters)} if filters else None
        return await self.get("/containers/json", params)

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            raise RuntimeError("the connection is not open")
        return self._session


def label_name(text: str) -> str:
    """Turn the name of a container label into that of a metric label: every invalid character becomes `_`."""
    return _NO_NAME.sub("_", text)


def _message(body: bytes) -> str:
    try:
        return str(json.loads(body)["message"])
    except (ValueError, KeyError, TypeError):
        return body[:200].decode(errors="replace").strip()
