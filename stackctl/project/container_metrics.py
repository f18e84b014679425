"""Whether cAdvisor can read an engine's containers, and what it needs to do so.

cAdvisor reads usage from the machine's cgroups and gets container names from the engine. If the engine stores images
with containerd, cAdvisor 0.60 and newer also ask containerd for each container's root folder; earlier releases look
in the engine's own image store and find no containers.
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
    # Importing it takes a fifth of a second, and most commands need no engine.
    from stackctl.docker.engine import EngineInfo

Obstacle = Literal["rootless", "podman", "release", "socket"]
"""Why cAdvisor cannot read the containers."""

_USUAL_SOCKETS = (
    "/run/containerd/containerd.sock",
    "/var/run/docker/containerd/containerd.sock",
)
"""The sockets of a packaged containerd, and of one that dockerd starts itself."""

_REASONS: dict[Obstacle, tuple[str, str]] = {
    "rootless": (
        "the engine is rootless, and cAdvisor cannot read its containers",
        "use an engine that runs as root, for example with DOCKER_CONTEXT=default",
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
    """How cAdvisor reads containers: containerd's socket on the engine's machine if it needs it, or why it cannot."""

    socket: str | None = None
    obstacle: Obstacle | None = None


def recorded(value: Any) -> Obstacle | None:
    """Return an obstacle read from a file; None for any other value."""
    return cast("Obstacle", value) if value in get_args(Obstacle) else None


def reason(obstacle: Obstacle) -> tuple[str, str]:
    """Return why cAdvisor cannot read the containers, and the remedy."""
    return _REASONS[obstacle]


def remedy(metrics: ContainerMetrics) -> str:
    """Return what to do if cAdvisor, started like this, has no metrics of containers."""
    if metrics.obstacle is not None:
        return reason(metrics.obstacle)[1]
    if metrics.socket is not None:
        return (
            f"if {metrics.socket} is not the socket of the engine's containerd, set STACKCTL_CONTAINERD_SOCKET; if"
            " CADVISOR_IMAGE is set, change it to release 0.60 or newer; then run `stackctl up`"
        )
    return (
        "`stackctl logs cadvisor` shows why it could not reach Docker through docker-socket-proxy"
    )


def decide(
    endpoint: Endpoint,
    info: EngineInfo,
    settings: Settings,
    *,
    release: Release,
    images: SetName | None,
) -> ContainerMetrics:
    """Decide from the engine's properties, cAdvisor's release and the image set.

    If the engine is on this machine, containerd's socket must exist. The stand-in in the local set gets everything from
    the engine and needs neither the socket nor cgroups.
    """
    own = settings["CADVISOR_IMAGE"] is not None
    if images == "local" and not own:
        # Without cgroups, the engine has no usage data either.
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
    """Return whether the engine's paths exist on this machine, whose `sys.platform` is `system`."""
    return not endpoint.remote and system == "linux" and not info.is_docker_desktop


def _socket(info: EngineInfo, settings: Settings) -> str:
    given = settings["STACKCTL_CONTAINERD_SOCKET"] or info.containerd_socket
    if given:
        return given
    # Engines before 27 do not report it.
    return next((one for one in _USUAL_SOCKETS if _exists(Path(one))), _USUAL_SOCKETS[0])


def _exists(path: Path) -> bool:
    try:
        return stat.S_ISSOCK(path.stat().st_mode)
    except PermissionError:
        # This user may not be allowed to enter the folder, but the engine's user is.
        return True
    except OSError:
        return False
