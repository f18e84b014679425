"""Translates failures of the `docker` command into one line with a remedy, and finds the engine that it uses."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from stackctl.docker import endpoint
from stackctl.docker.endpoint import Endpoint
from stackctl.errors import EngineError, UsageError

if TYPE_CHECKING:
    # Importing it takes a fifth of a second, and queries by socket do not need it.
    from python_on_whales.exceptions import DockerException


class NoContainerError(EngineError):
    """The container does not exist, or no longer."""


class NoImageError(EngineError):
    """The image does not exist locally."""


class NoNetworkError(EngineError):
    """The network does not exist."""


_GONE: Mapping[str, tuple[type[EngineError], str]] = {
    "NoSuchContainer": (NoContainerError, "see `stackctl status`"),
    "NoSuchImage": (NoImageError, "see `stackctl images list`"),
    "NoSuchNetwork": (NoNetworkError, "see `docker network ls`"),
}
"""The library's exception → this module's, and the remedy."""

_NOT_RUNNING = "the Docker daemon is not running"

_REMEDIES: Sequence[tuple[str, str, str]] = (
    (
        r"permission denied.*docker\.sock|permission denied.*connect to the Docker daemon",
        "this user is not allowed to use the Docker daemon",
        "add yourself to the docker group, or use rootless Docker",
    ),
    (
        r"cannot connect to the docker|is the docker daemon running|error during connect"
        r"|failed to connect to the docker api",
        _NOT_RUNNING,
        "start Docker (systemctl start docker, or open Docker Desktop)",
    ),
    (
        # This is about a network; for a port there is more text before these words.
        r"error response from daemon: address already in use",
        "the requested address is in use by another container on the network: {reason}",
        "stop that container, which `docker network inspect` shows, and try again",
    ),
    (
        r"port is already allocated|address already in use",
        "a port of the stack is in use: {reason}",
        "`stackctl doctor` shows which process uses it",
    ),
    (
        r"container name .* is already in use",
        "a container with the same name already exists: {reason}",
        "stop and remove it, or choose another project name with -p",
    ),
    (
        r"server gave HTTP response to HTTPS client",
        "the registry uses HTTP, but Docker expects HTTPS",
        "if you trust the network, add it to insecure-registries of the Docker daemon (daemon.json)",
    ),
    (
        r"no space left on device",
        "Docker's disk is full: {reason}",
        "`docker system df` shows what uses the space",
    ),
    (
        r"address pools have been fully subnetted|non-overlapping IPv4 address pool",
        "Docker has no address range left for another network",
        "remove unused networks with `docker network prune`, or configure more ranges (default-address-pools in"
        " daemon.json)",
    ),
    (
        r"error setting rlimit",
        "the engine's limit for open files is lower than the one in the Compose files",
        "raise the engine's limit (LimitNOFILE in its systemd unit), or set `ulimits` in stackctl.override.yml",
    ),
    (
        r"no matching manifest for|does not match the specified platform|does not provide the specified platform",
        "the image does not exist for this engine's platform: {reason}",
        "choose another image, or set `platform: linux/amd64` in stackctl.override.yml if the engine can emulate it",
    ),
)
"""Pattern for the engine's message, the message that replaces it, with the engine's last line as {reason}, and the
remedy."""


@contextlib.contextmanager
def translated(what: str) -> Iterator[None]:
    """Convert the library's exceptions to one line: the engine's last message, and the remedy if it is known."""
    try:
        yield
    except Exception as error:
        translation = _translation(error, what)
        if translation is None:
            raise
        raise translation from None


def _translation(error: Exception, what: str) -> EngineError | None:
    """Return an EngineError for an exception of the library; None for any other."""
    from python_on_whales.client_config import ClientNotFoundError
    from python_on_whales.exceptions import DockerException

    if isinstance(error, ClientNotFoundError):
        return no_command()
    if not isinstance(error, DockerException):
        return None
    output = (error.stderr or error.stdout or "").strip()
    refused = _is_refusal(error.return_code, output)
    for pattern, message, remedy in _REMEDIES:
        if re.search(pattern, output, re.IGNORECASE | re.DOTALL):
            if message == _NOT_RUNNING and (elsewhere := _elsewhere(output)):
                return elsewhere
            return EngineError(
                message.format(reason=last_line(output)), remedy=remedy, refused=refused
            )
    if gone := _GONE.get(type(error).__name__):
        kind, remedy = gone
        return kind(f"{what} failed: {last_line(output)}", remedy=remedy, refused=refused)
    return EngineError(
        f"{what} failed (exit {error.return_code}): {last_line(output)}", refused=refused
    )


def _is_refusal(code: int, output: str) -> bool:
    """Return whether the engine reported that it did not start a program at all.

    `docker run` and `docker exec` exit with 125 if the engine fails and with 126 or 127 if the program cannot be
    started (docs.docker.com/engine/reference/run, "Exit status"); 125 also stands for a broken connection.
    """
    return (code == 125 and "error response from daemon" in output.lower()) or (
        code in {126, 127} and "OCI runtime" in output
    )


def no_command() -> EngineError:
    """Return the error for a machine without a `docker` command."""
    return EngineError(
        "the docker command is not installed",
        remedy="install Docker Engine 25 or newer, or Docker Desktop",
    )


def failed(
    command: Sequence[str], code: int, stderr: bytes, stdout: bytes = b""
) -> DockerException:
    """Return the library's exception for a failed command that was run without the library."""
    # The library fails if the output is not UTF-8.
    text, printed = (one.decode(errors="replace").encode() for one in (stderr, stdout))
    from python_on_whales.utils import get_docker_exception_type

    return get_docker_exception_type(text)(list(command), code, stdout=printed, stderr=text)


def reached() -> Endpoint:
    """Find the engine as the `docker` command does: DOCKER_HOST, else DOCKER_CONTEXT, else the context in use.

    Without a `docker` command it is the default. Raises UsageError for an invalid address or context.
    """
    if where := endpoint.known():
        return where
    from python_on_whales import DockerClient
    from python_on_whales.client_config import ClientNotFoundError

    try:
        with translated("docker context inspect"):
            context = DockerClient().context.inspect(None)
            name, described = context.name, context.endpoints.get("docker")
    except EngineError as error:
        if isinstance(error.__context__, ClientNotFoundError):
            return endpoint.DEFAULT
        raise UsageError(
            f"cannot read the Docker context: {error.message}",
            remedy="see `docker context ls`, or use this machine's engine with `docker context use default`",
        ) from None
    if described is None or described.host is None:
        raise UsageError(
            f"Docker context {name!r} has no Docker endpoint",
            remedy="use this machine's engine with `docker context use default`",
        )
    return endpoint.parse(described.host, f"Docker context {name!r}")


def _elsewhere(output: str) -> EngineError | None:
    """Return the error for a remote engine that does not respond; None for a local one."""
    where = reached()
    if not where.remote:
        return None
    # The text before these is the failed request.
    _, _, reason = last_line(output).rpartition("stderr=")
    _, _, reason = reason.rpartition('": ')
    reason = reason.removesuffix(". Is the docker daemon running?")
    return EngineError(
        f"cannot reach the engine at {where} ({where.origin}): {reason}",
        remedy="start it, or correct the address; see `docker context ls`",
    )


def last_line(text: str) -> str:
    """Return the last meaningful line, because the command may print a hint at its help after it."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    messages = [line for line in lines if not re.match(r"(Run|See) 'docker .*--help'", line)]
    return messages[-1] if messages else "no output"
