"""What the `docker` command says when it fails, as one line with its remedy; and which engine it reaches."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from stackctl.docker import endpoint
from stackctl.docker.endpoint import Endpoint
from stackctl.errors import EngineError, UsageError

if TYPE_CHECKING:
    # It takes a fifth of a second to load, and who asks the engine by its socket needs none of it.
    from python_on_whales.exceptions import DockerException


class NoContainerError(EngineError):
    """There is no such container (any more)."""


class NoImageError(EngineError):
    """There is no such image here."""


class NoNetworkError(EngineError):
    """There is no such network."""


_GONE: Mapping[str, tuple[type[EngineError], str]] = {
    "NoSuchContainer": (NoContainerError, "`stackctl status` shows what there is"),
    "NoSuchImage": (NoImageError, "`stackctl images list` shows what there is"),
    "NoSuchNetwork": (NoNetworkError, "`docker network ls` shows what there is"),
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
        "the address that is asked for is taken by another container on the network: {reason}",
        "`docker network inspect` says by which; stop that one, and try again",
    ),
    (
        r"port is already allocated|address already in use",
        "a port of the stack is taken: {reason}",
        "`stackctl doctor` says by which process",
    ),
    (
        r"container name .* is already in use",
        "a container of the same name is there already: {reason}",
        "stop and remove it, or give the project another name with -p",
    ),
    (
        r"server gave HTTP response to HTTPS client",
        "the registry speaks HTTP, and Docker expects HTTPS",
        "add it to insecure-registries of the Docker daemon (daemon.json), if its network is yours",
    ),
    (
        r"no space left on device",
        "the disk of Docker is full: {reason}",
        "`docker system df` shows what takes it",
    ),
    (
        r"address pools have been fully subnetted|non-overlapping IPv4 address pool",
        "Docker has no range of addresses left for another network",
        "`docker network prune` removes networks without containers; more ranges can be given to the daemon"
        " (default-address-pools in daemon.json)",
    ),
    (
        r"error setting rlimit",
        "the engine may not let a container open as many files as the Compose files allow it",
        "raise the engine's own limit (LimitNOFILE of its systemd unit), or set `ulimits` in stackctl.override.yml",
    ),
    (
        r"no matching manifest for|does not match the specified platform|does not provide the specified platform",
        "there is no such image for this engine's platform: {reason}",
        "set another image, or `platform: linux/amd64` in stackctl.override.yml if the engine can emulate that",
    ),
)
"""What the engine says (a pattern), the message in its place, with the engine's last line where that tells more, and
the remedy."""


@contextlib.contextmanager
def translated(what: str) -> Iterator[None]:
    """Turn the library's exceptions into one line: the engine's last message, and the remedy where it is known."""
    try:
        yield
    except Exception as error:
        translation = _translation(error, what)
        if translation is None:
            raise
        raise translation from None


def _translation(error: Exception, what: str) -> EngineError | None:
    """Return an exception of the library as one of ours; None for any other."""
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
    """Tell whether the engine answered that it does not run a program at all.

    `docker run` and `docker exec` end with 125 where the engine fails and with 126 or 127 where the program cannot be
    started (docs.docker.com/engine/reference/run, "Exit status"); 125 is also for a connection that breaks.
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
    """Return the library's exception for a command that was run without the library, from its output."""
    # The library would fail over what is not UTF-8.
    text, printed = (one.decode(errors="replace").encode() for one in (stderr, stdout))
    from python_on_whales.utils import get_docker_exception_type

    return get_docker_exception_type(text)(list(command), code, stdout=printed, stderr=text)


def reached() -> Endpoint:
    """Find the engine as the `docker` command does: DOCKER_HOST, else DOCKER_CONTEXT, else the context in use.

    Without a `docker` command it is the default one. Raises UsageError for an address or a context that is none.
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
            f"the Docker context cannot be read: {error.message}",
            remedy="`docker context ls` lists them; `docker context use default` takes this machine's engine",
        ) from None
    if described is None or described.host is None:
        raise UsageError(
            f"the Docker context {name!r} has no Docker endpoint",
            remedy="`docker context use default` takes this machine's engine",
        )
    return endpoint.parse(described.host, f"the Docker context {name!r}")


def _elsewhere(output: str) -> EngineError | None:
    """Return the error for a remote engine that does not answer; None for a local one."""
    where = reached()
    if not where.remote:
        return None
    # What is before these is the request that was tried.
    _, _, reason = last_line(output).rpartition("stderr=")
    _, _, reason = reason.rpartition('": ')
    reason = reason.removesuffix(". Is the docker daemon running?")
    return EngineError(
        f"no engine answers at {where} ({where.origin}): {reason}",
        remedy="start it, or correct the address; `docker context ls` shows what there is",
    )


def last_line(text: str) -> str:
    """Return the last meaningful line: the command may print a hint at its own help below it."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    messages = [line for line in lines if not re.match(r"(Run|See) 'docker .*--help'", line)]
    return messages[-1] if messages else "it said nothing"
