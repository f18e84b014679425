"""Whether cAdvisor can see the containers of an engine, and what it needs for that.

It reads their figures from the machine's cgroups, and asks the engine for their names. Where the engine stores its
images with containerd, it asks containerd for the root folder of each too, from release 0.60 on; earlier ones look for
it in the engine's own store, and find no container.
"""

from __future__ import annotations

import stat
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast, get_args

from stackctl.config.settings import Settings
from stackctl.docker.endpoint import Endpoint
from stackctl.services.catalog import SetName
from stackctl.services.releases import Release

if TYPE_CHECKING:
    # It takes a fifth of a second to load, and most commands need no engine.
    from stackctl.docker.engine import EngineInfo

Obstacle = Literal["rootless", "podman", "release", "socket"]
"""Why cAdvisor sees no containers."""

_USUAL_SOCKETS = (
    "/run/containerd/containerd.sock",
    "/var/run/docker/containerd/containerd.sock",
)
"""Of the packages' containerd, and of one that dockerd starts itself."""

_REASONS: dict[Obstacle, tuple[str, str]] = {
    "rootless": (
        "the engine is rootless, and cAdvisor cannot read its containers",
        "use an engine that root runs, for example with DOCKER_CONTEXT=default",
    ),
    "podman": (
        "cAdvisor does not find Podman's containers through Docker's API",
        "use Docker Engine",
    ),
    "release": (
        "the engine stores images with containerd, which the plan's cAdvisor 0.47 cannot read",
        "run `stackctl up --versions auto`",
    ),
    "socket": (
        "the engine stores images with containerd, and containerd's socket was not found",
        "set STACKCTL_CONTAINERD_SOCKET to its path on the engine's machine",
    ),
}


@dataclass(frozen=True, slots=True)
class ContainerMetrics:
    """What cAdvisor is started with: containerd's socket on the engine's machine, where it needs that."""

    socket: str | None = None
    obstacle: Obstacle | None = None


def recorded(value: Any) -> Obstacle | None:
    """Return an obstacle as a file has it; None for anything else."""
    return cast("Obstacle", value) if value in get_args(Obstacle) else None


def reason(obstacle: Obstacle) -> tuple[str, str]:
    """Return why cAdvisor sees no containers, and what would help."""
    return _REASONS[obstacle]


def remedy(metrics: ContainerMetrics) -> str:
    """Return what to do where cAdvisor sees no container, although it was started with these."""
    if metrics.obstacle is not None:
        return reason(metrics.obstacle)[1]
    if metrics.socket is not None:
        return (
            f"set STACKCTL_CONTAINERD_SOCKET if {metrics.socket} is not the socket of the engine's containerd, and"
            " CADVISOR_IMAGE, if it is set, to release 0.60 or newer; then run `stackctl up`"
        )
    return "`stackctl logs cadvisor` says why it could not reach Docker through docker-socket-proxy"


def decide(
    endpoint: Endpoint,
    info: EngineInfo,
    settings: Settings,
    *,
    release: Release,
    images: SetName | None,
) -> ContainerMetrics:
    """Decide from what the engine says of itself, the release of cAdvisor, and the image set.

    Where the engine is on this machine, containerd's socket has to be there.
    The local set's stand-in asks the engine for everything, and needs neither socket nor cgroups.
    """
    own = settings["CADVISOR_IMAGE"] is not None
    if images == "local" and not own:
        # Without cgroups the engine has no figures either.
        return ContainerMetrics(obstacle=None if info.limits_cpu else "rootless")
    if info.podman:
        return ContainerMetrics(obstacle="podman")
    if info.rootless:
        return ContainerMetrics(obstacle="rootless")
    if not info.containerd_store:
        return ContainerMetrics()
    if release == "plan" and not own:
        return ContainerMetrics(obstacle="release")
    socket = _socket(info, settings)
    if is_local(endpoint, info, sys.platform) and not _exists(Path(socket)):
        return ContainerMetrics(obstacle="socket")
    return ContainerMetrics(socket)


def is_local(endpoint: Endpoint, info: EngineInfo, system: str) -> bool:
    """Return whether the engine's paths are this machine's. `system` is this machine's, as `sys.platform` has it."""
    return not endpoint.remote and system == "linux" and not info.is_docker_desktop


def _socket(info: EngineInfo, settings: Settings) -> str:
    given = settings["STACKCTL_CONTAINERD_SOCKET"] or info.containerd_socket
    if given:
        return given
    # Engines before 27 do not say where it is.
    return next((one for one in _USUAL_SOCKETS if _exists(Path(one))), _USUAL_SOCKETS[0])


def _exists(path: Path) -> bool:
    try:
        return stat.S_ISSOCK(path.stat().st_mode)
    except PermissionError:
        # Its folder may be closed to this user; the engine's user can enter it.
        return True
    except OSError:
        return False
