"""The engine's address: a socket on this machine, or a host."""

from __future__ import annotations

import ipaddress
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from stackctl.errors import UsageError

Kind = Literal["unix", "tcp", "ssh"]

_KINDS: dict[str, Kind] = {
    "unix": "unix",
    "tcp": "tcp",
    "http": "tcp",
    "https": "tcp",
    "ssh": "ssh",
}


@dataclass(frozen=True, slots=True)
class Endpoint:
    """The address that the `docker` command uses."""

    kind: Kind
    host: str | None = None
    """The engine's machine, as in the address; None for a socket."""
    socket: Path | None = None
    origin: str = "default"
    """The source of the address: DOCKER_HOST or a Docker context."""

    @property
    def remote(self) -> bool:
        """Whether the engine is assumed to be on another machine, with another file system."""
        return self.kind != "unix"

    @property
    def by_loopback(self) -> bool:
        """Whether the address is this machine's loopback: the engine is local or behind a tunnel."""
        return self.host is not None and is_loopback(self.host)

    def __str__(self) -> str:
        """Return the address without the user name and password."""
        return f"{self.kind}://{self.socket or self.host}"


DEFAULT = Endpoint("unix", socket=Path("/var/run/docker.sock"))


def known() -> Endpoint | None:
    """Return the endpoint if it is known without running `docker`; None if a context defines it.

    It is DOCKER_HOST or, if neither DOCKER_CONTEXT nor Docker's configuration selects a context, the default. Raises
    UsageError if DOCKER_HOST is not a valid address.
    """
    if address := os.environ.get("DOCKER_HOST"):
        return parse(address, "DOCKER_HOST")
    if os.environ.get("DOCKER_CONTEXT"):
        return None
    try:
        config = client_config()
    except (OSError, ValueError, RuntimeError):
        # Docker itself reports a broken configuration, or a user without a home folder.
        return None
    return DEFAULT if config.get("currentContext") in (None, "", "default") else None


def client_config() -> dict[str, Any]:
    """Return the configuration of the docker command; empty if there is none.

    Raises OSError or ValueError if it cannot be read, RuntimeError for a user without a home folder.
    """
    folder = Path(os.environ.get("DOCKER_CONFIG") or Path.home() / ".docker")
    try:
        config = json.loads((folder / "config.json").read_bytes())
    except FileNotFoundError:
        return {}
    if not isinstance(config, dict):
        raise ValueError(f"{folder / 'config.json'} is not an object")
    return config


def parse(address: str, origin: str) -> Endpoint:
    """Parse an address in the form of DOCKER_HOST; `origin` is its source.

    Raises UsageError if it is not an engine's address, and for named pipes of Windows.
    """
    try:
        parts = urlsplit(address)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise _refusal(address, origin) from None
    if parts.scheme == "npipe":
        raise UsageError(
            f"{origin} is a Windows named pipe, which stackctl does not support",
            remedy="run stackctl in WSL 2, with Docker Desktop's WSL integration enabled",
        )
    kind = _KINDS.get(parts.scheme)
    if kind == "unix" and parts.path.startswith("/") and not parts.netloc:
        return Endpoint(kind, socket=Path(parts.path), origin=origin)
    if kind in {"tcp", "ssh"} and host:
        return Endpoint(kind, host=host, origin=origin)
    raise _refusal(address, origin)


def is_loopback(host: str) -> bool:
    """Return whether a host name or address is this machine's loopback."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def _refusal(address: str, origin: str) -> UsageError:
    # The part before an @ may be a password.
    shown = address.rpartition("@")[2]
    return UsageError(
        f"{origin}: {shown!r} is not the address of a Docker Engine",
        remedy="set it to unix:///path, tcp://host:port or ssh://user@host, or unset it",
    )
