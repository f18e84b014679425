"""Adapts the compose files to the engine: its socket and paths, and features that it lacks.

It writes two files in the state folder: a .env with paths on the engine's machine and, if that is not enough, a
Compose file that is merged over all others. A local engine that runs as root does not need the second. Unusual
requirements of cAdvisor are in separate compose files.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from stackctl.config.settings import Settings
from stackctl.docker.endpoint import Endpoint
from stackctl.docker.engine import Engine, EngineInfo
from stackctl.docker.requirements import START_INTERVAL_API, release
from stackctl.project import compose_overlay, config_volumes
from stackctl.project.compose_overlay import RESET
from stackctl.project.config_volumes import Copy
from stackctl.project.container_metrics import ContainerMetrics
from stackctl.project.state import StateFolder, write_atomic
from stackctl.services.catalog import SERVICES
from stackctl.util import paths

_COMPOSE_FILE = "engine.yml"
_ENV_FILE = "engine.env"
_HEADER = "# Written by stackctl for the engine of the last `up`.\n"
_SOCKET = "/var/run/docker.sock"


def copies_files(endpoint: Endpoint, info: EngineInfo, settings: Settings) -> bool:
    """Return whether configuration and secrets are copied into volumes.

    They are with SELinux too, which lets containers read the engine's volumes: Compose cannot label a secret's file,
    and the user's folder keeps its own label.
    """
    return endpoint.remote or info.selinux or settings.enabled("STACKCTL_COPY_FILES")


def replaces_settings(endpoint: Endpoint, info: EngineInfo, settings: Settings) -> bool:
    """Return whether settings must be removed from the compose files, which requires `!reset` from Compose."""
    return (
        copies_files(endpoint, info, settings)
        or not info.limits_cpu
        or not takes_start_interval(info)
    )


def takes_start_interval(info: EngineInfo) -> bool:
    """Return whether health checks can have a `start_interval` with this engine."""
    return release(info.api) >= START_INTERVAL_API


def socket(endpoint: Endpoint, info: EngineInfo, settings: Settings, system: str) -> str | None:
    """Return the engine's socket on the engine's own machine; None if it is unknown.

    `system` is this machine's `sys.platform`.
    """
    if given := settings["STACKCTL_DOCKER_SOCKET"]:
        return given
    if info.is_docker_desktop:
        return _SOCKET
    if not endpoint.remote and system == "linux":
        return str(endpoint.socket)
    if info.rootless:
        return None
    return "/run/podman/podman.sock" if info.podman else _SOCKET


def adapt(
    engine: Engine,
    info: EngineInfo,
    settings: Settings,
    state: StateFolder,
    metrics: ContainerMetrics,
) -> list[Copy]:
    """Write both files for this engine, add them to Compose, fill the configuration volumes, and return these.

    Raises StackctlError if the engine does not answer, or a file cannot be copied to it.
    """
    made = write_files(engine, info, settings, state, metrics, into=state.folder)
    config_volumes.keep(state, made)
    config_volumes.refresh(engine, state, made)
    return made


def write_files(
    engine: Engine,
    info: EngineInfo,
    settings: Settings,
    state: StateFolder,
    metrics: ContainerMetrics,
    *,
    into: Path,
) -> list[Copy]:
    """Write both files into a folder, add them to Compose, and return the configuration volumes that are needed.

    There is a volume for whatever services mount from the state folder. Raises StackctlError if the engine does not
    answer, or a file cannot be copied to it.
    """
    endpoint = engine.endpoint
    env, merged = into / _ENV_FILE, into / _COMPOSE_FILE
    write_atomic(env, _HEADER + _env(endpoint, info, settings, metrics))
    engine.merge_over([paths.compose() / name for name in _files(metrics)], [env])
    made: list[Copy] = []
    if not replaces_settings(endpoint, info, settings):
        merged.unlink(missing_ok=True)
    else:
        configuration = engine.configuration()
        services = _refused(configuration, info)
        if info.selinux:
            for service in unlabelled(configuration, state.folder):
                services.setdefault(service, {})["security_opt"] = ["label=disable"]
        if copies_files(endpoint, info, settings):
            made, mounts = config_volumes.plan(configuration, state.folder)
            for service, mounted in mounts.items():
                services[service] = {**services.get(service, {}), **mounted}
        content = {"services": services, "volumes": config_volumes.declaration(made)}
        write_atomic(merged, _HEADER + compose_overlay.text(content))
        engine.merge_over([merged], [])
    return made


def _files(metrics: ContainerMetrics) -> Iterator[str]:
    if metrics.socket is not None:
        yield "containerd.yml"
    if metrics.obstacle is not None:
        yield "no-container-metrics.yml"


def _env(
    endpoint: Endpoint, info: EngineInfo, settings: Settings, metrics: ContainerMetrics
) -> str:
    values = {
        "STACKCTL_DOCKER_SOCKET": socket(endpoint, info, settings, sys.platform) or _SOCKET,
        "STACKCTL_DOCKER_ROOT": str(info.root),
        **({"STACKCTL_CONTAINERD_SOCKET": metrics.socket} if metrics.socket else {}),
    }
    lines = [f"{name}='{value}'\n" for name, value in values.items()]
    return "".join(lines)


def unlabelled(configuration: Mapping[str, Any], folder: Path) -> list[str]:
    """Return the stack's services that mount host files, which SELinux denies to labelled containers.

    Labelling these files, such as the root folder and the engine's socket, would change the host. Files below `folder`
    are copied, and privileged containers have no label. Services of the user's own files are left as they are.
    """
    return [
        name
        for name, body in configuration["services"].items()
        if name in SERVICES and not body.get("privileged")
        for mounts in [[one for one in body.get("volumes") or () if one["type"] == "bind"]]
        if any(not Path(one["source"]).is_relative_to(folder) for one in mounts)
    ]


def _refused(configuration: dict[str, Any], info: EngineInfo) -> dict[str, Any]:
    """Return overrides that remove what the engine rejects: `start_interval` and limits.

    Without a `start_interval`, a health check first runs after half a minute, or never, so no service waits for
    another.
    """
    services: dict[str, Any] = {}
    for name, body in configuration["services"].items():
        changes: dict[str, Any] = {}
        if not takes_start_interval(info) and body.get("healthcheck", {}).get("start_interval"):
            changes["healthcheck"] = {"start_interval": RESET}
        if not takes_start_interval(info) and (waits := _health_waits(body)):
            changes["depends_on"] = {other: {"condition": "service_started"} for other in waits}
        if not info.limits_cpu and body.get("deploy"):
            changes["deploy"] = RESET
        if changes:
            services[name] = changes
    return services


def _health_waits(body: dict[str, Any]) -> list[str]:
    """Return the services that a service waits for to become healthy."""
    waits = body.get("depends_on") or {}
    return [name for name, one in waits.items() if one["condition"] == "service_healthy"]
