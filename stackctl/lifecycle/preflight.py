"""Preflight checks: whether this machine can run the stack, and what to do if it cannot."""

from __future__ import annotations

import datetime as dt
import errno
import os
import shutil
import socket
import sys
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

import psutil
from packaging.version import Version

from stackctl.config.settings import Settings
from stackctl.docker.endpoint import Endpoint, is_loopback
from stackctl.docker.engine import Engine, EngineInfo
from stackctl.docker.inventory import Inventory
from stackctl.docker.requirements import (
    ADAPTING_COMPOSE,
    MINIMUM_COMPOSE,
    MINIMUM_ENGINE,
    MINIMUM_PODMAN,
    release,
)
from stackctl.errors import EngineError, SeveralErrors, StackctlError
from stackctl.images import sets
from stackctl.lifecycle import processor
from stackctl.lifecycle.attach import Survey
from stackctl.project import container_metrics, engine_overrides
from stackctl.project.container_metrics import ContainerMetrics
from stackctl.services.applications import APPLICATIONS, MonitoredServices
from stackctl.services.catalog import PUBLISHED_PORTS, Service, SetName
from stackctl.services.channels import CHANNELS
from stackctl.services.releases import PLAN
from stackctl.util.environment import shell

_GIB = 1024**3
_MEMORY_WANTED = 4 * _GIB
_DISK_WANTED = 5 * _GIB
_DISK_NEEDED = 1 * _GIB
_PODMAN_LACKS = (
    "health checks run under systemd, every 30 s from the start, and `restore` cannot fill volumes"
)
_PROXIES = ("https_proxy", "http_proxy", "all_proxy")
_CLOCK_TOLERANCE = dt.timedelta(seconds=30)

Level = Literal["ok", "skipped", "warning", "failure"]
"""`skipped` is a check that could not run."""


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of one check. `remedy` is set unless the level is `ok`."""

    subject: str
    level: Level
    message: str
    remedy: str | None = None


def examine(
    engine: Engine,
    settings: Settings,
    services: list[Service],
    app_services: Collection[str] = (),
    images: SetName | None = None,
) -> list[Finding]:
    """Check everything that `up` needs. If the engine does not answer, that is the only finding.

    `app_services` are the services of bot-core's own Compose files, if the stack includes them; `images` is the image
    set that the project uses, if it has run.
    """
    try:
        info = engine.info()
    except EngineError as error:
        return [Finding("docker", "failure", error.message, error.remedy)]
    inventory = engine.inventory()
    adapts = engine_overrides.replaces_settings(engine.endpoint, info, settings)
    return [
        *_versions(info, ADAPTING_COMPOSE if adapts else MINIMUM_COMPOSE),
        *_engine(engine.endpoint, info, settings),
        *_resources(engine.endpoint, info),
        *_processor(engine.endpoint, info, settings, services, images),
        *_clock(info),
        *foreign_containers(inventory, app_services),
        *_ports(engine, inventory, info, settings, services),
        *_channels(settings),
        *_proxy(settings),
        *_names(settings),
    ]


def refuse_failures(findings: Iterable[Finding]) -> None:
    """Raise SeveralErrors with one line per failure, if there are failures among the findings."""
    failures = [
        StackctlError(finding.message, remedy=finding.remedy)
        for finding in findings
        if finding.level == "failure"
    ]
    if failures:
        raise SeveralErrors(failures)


def foreign_containers(
    inventory: Inventory, app_services: Collection[str] = ()
) -> Iterator[Finding]:
    """Yield a failure if another Compose file created containers in this project: `up` would replace them."""
    names = inventory.foreign_containers(app_services)
    if names:
        yield Finding(
            "project",
            "failure",
            f"project {inventory.project} contains containers that stackctl did not create: {', '.join(names)}",
            "choose another project name with -p, or pass bot-core's own Compose file with --app-file",
        )


def containers_seen(metrics: ContainerMetrics) -> Finding:
    """Return whether cAdvisor can read the engine's containers, and the remedy if it cannot."""
    if metrics.obstacle is None:
        where = f" through containerd's socket, {metrics.socket}" if metrics.socket else ""
        return Finding("containers", "ok", f"cAdvisor can read them{where}")
    reason, remedy = container_metrics.reason(metrics.obstacle)
    return Finding("containers", "warning", f"no container metrics: {reason}", remedy)


def unjoined(level: Level, error: EngineError) -> Finding:
    """Return a finding that says that bot-core could not be checked."""
    return Finding(
        "bot-core", level, error.message, error.remedy or "`docker ps` lists what is running"
    )


def joined(survey: Survey, present: MonitoredServices) -> Iterator[Finding]:
    """Yield which services of bot-core are monitored, and which were not found where the settings expect them."""
    gone = {one.service for one in survey.missing}
    for one in survey.missing:
        yield Finding(one.service, "warning", one.message, one.remedy)
    for name, target in present.targets.items():
        where = f"at {target.address}{target.path}"
        if name in survey.asked:
            yield Finding(name, "ok", where)
        elif name not in gone:
            yield Finding(name, "skipped", f"{where}: not checked", survey.to_ask)
    for name in present.left_out:
        yield Finding(
            name,
            "warning",
            "not monitored (not found): its alerts and panels are left out",
            f"if it is running, set {APPLICATIONS[name].setting}",
        )


def _versions(info: EngineInfo, compose: Version) -> Iterator[Finding]:
    for subject, version, minimum, remedy in (
        ("podman", info.version, MINIMUM_PODMAN, "update Podman")
        if info.podman
        else ("docker", info.version, MINIMUM_ENGINE, "update Docker Engine (or Docker Desktop)"),
        ("compose", info.compose, compose, "update the docker-compose-plugin package"),
    ):
        if release(version) < minimum:
            yield Finding(
                subject, "failure", f"{version} is too old: {minimum} or newer is required", remedy
            )
        else:
            yield Finding(subject, "ok", f"{version} (at least {minimum})")


def _engine(endpoint: Endpoint, info: EngineInfo, settings: Settings) -> Iterator[Finding]:
    """Yield the kind and address of the engine, and what they mean for the stack."""
    yield Finding("engine", "ok", f"{_kind(info)} at {endpoint} ({endpoint.origin})")
    if endpoint.remote:
        yield from _reachable(endpoint, settings)
    if engine_overrides.socket(endpoint, info, settings, sys.platform) is None:
        yield Finding(
            "engine",
            "failure",
            "could not determine its socket's path: it is rootless and on another or a virtual machine",
            "set STACKCTL_DOCKER_SOCKET to the path on that machine, such as /run/user/1000/docker.sock",
        )
    if info.podman:
        yield Finding(
            "engine",
            "warning",
            f"Podman does not implement all of Docker's API: {_PODMAN_LACKS}",
            "use Docker Engine for full support; the README lists what was tested with Podman",
        )
    if info.selinux:
        yield Finding(
            "engine",
            "ok",
            "it confines containers with SELinux: configuration and secrets are copied into volumes, and"
            " node-exporter and docker-socket-proxy, which read the host, run without a label",
        )
    if not info.limits_cpu:
        yield Finding(
            "engine",
            "warning",
            "it cannot limit CPU time: the containers run without CPU and memory limits",
            "boot with cgroup v2, and let systemd delegate the cpu and memory controllers to the user",
        )


def _kind(info: EngineInfo) -> str:
    if info.is_docker_desktop:
        return "Docker Desktop"
    name = "Podman" if info.podman else "Docker Engine"
    return f"rootless {name}" if info.rootless else name


def _reachable(endpoint: Endpoint, settings: Settings) -> Iterator[Finding]:
    """Yield a failure if the ports of a remote engine cannot be reached from this machine."""
    bind = settings["STACKCTL_BIND_ADDRESS"] or "127.0.0.1"
    if settings["STACKCTL_HOST"] is None and is_loopback(bind) and not endpoint.by_loopback:
        yield Finding(
            "engine",
            "failure",
            f"the engine is on {endpoint.host} and publishes ports on its {bind}, which this machine cannot reach",
            "set STACKCTL_BIND_ADDRESS to an address of that machine,"
            " or forward the ports over SSH and set STACKCTL_HOST=127.0.0.1",
        )
        return
    host = settings.host.strip("[]")
    try:
        socket.getaddrinfo(host, None)
    except OSError as error:
        yield Finding(
            "engine",
            "failure",
            f"could not resolve {host}, where the services would be: {error.strerror}",
            "set STACKCTL_HOST to the name or address of the engine's machine",
        )


def _resources(endpoint: Endpoint, info: EngineInfo) -> Iterator[Finding]:
    memory = f"{info.memory_bytes / _GIB:.1f} GiB for {info.cpus} CPUs"
    if info.memory_bytes < _MEMORY_WANTED:
        yield Finding(
            "memory",
            "warning",
            f"{memory}: the stack may need {_MEMORY_WANTED // _GIB} GiB",
            "give Docker more memory, or run without the demo services: --no-demo",
        )
    else:
        yield Finding("memory", "ok", memory)
    # Docker Desktop and remote engines do not store their data on this machine's disk.
    if not endpoint.remote and not info.is_docker_desktop and info.root.is_dir():
        free = shutil.disk_usage(info.root).free
        text = f"{free / _GIB:.1f} GiB free at {info.root}"
        remedy = "free some space: `docker system df` shows what images and volumes use"
        if free < _DISK_NEEDED:
            yield Finding("disk", "failure", text, remedy)
        elif free < _DISK_WANTED:
            yield Finding("disk", "warning", text, remedy)
        else:
            yield Finding("disk", "ok", text)


def _processor(
    endpoint: Endpoint,
    info: EngineInfo,
    settings: Settings,
    services: Iterable[Service],
    images: SetName | None,
) -> Iterator[Finding]:
    """Yield a warning if this CPU cannot run the demo's MongoDB, which would crash with an illegal instruction."""
    image = settings["MONGODB_IMAGE"] or next(
        one.upstream for one in sets.catalogue(PLAN) if one.name == "mongodb"
    )
    wanted = any(one.name == "mongodb" and one.profile == "demo" for one in services)
    # This CPU says nothing about that of a remote or virtual machine.
    if not wanted or images == "local" or endpoint.remote or info.is_docker_desktop:
        return
    if not processor.runs_mongodb(image):
        yield Finding(
            "processor",
            "warning",
            f"it lacks {processor.MONGODB_NEEDS[processor.machine()]}, which {image} requires",
            f"set MONGODB_IMAGE={processor.OLDER_MONGODB}, or use --images local",
        )


def _clock(info: EngineInfo) -> Iterator[Finding]:
    offset = info.clock_offset
    if offset is None:
        yield Finding(
            "clock",
            "warning",
            "the engine does not report its time",
            "compare its clock yourself: docker info",
        )
    elif abs(offset) > _CLOCK_TOLERANCE:
        yield Finding(
            "clock",
            "warning",
            f"the engine's clock is {offset.total_seconds():+.0f} s off: samples and logs will get wrong times",
            "restart Docker, or set the clock",
        )
    else:
        yield Finding("clock", "ok", "the engine's clock agrees with this one")


def _ports(
    engine: Engine,
    inventory: Inventory,
    info: EngineInfo,
    settings: Settings,
    services: list[Service],
) -> Iterator[Finding]:
    address = settings["STACKCTL_BIND_ADDRESS"] or "127.0.0.1"
    # Ports on this machine say nothing about a remote one, where only the engine's own ports are known.
    here = not engine.endpoint.remote
    if here and (reason := _refusal(address, 0)) is not None:
        yield Finding(
            "ports",
            "failure",
            f"cannot publish ports on {address}: {os.strerror(reason)}",
            "set STACKCTL_BIND_ADDRESS to an address of this machine",
        )
        return
    own = set(inventory.own.values())
    publishers = inventory.publishers(address)
    wanted: dict[int, str] = {}
    good = True
    for service in services:
        # bot-core's Compose files publish its own ports.
        if service.name not in PUBLISHED_PORTS or service.profile in {"application", "attached"}:
            continue
        variable = PUBLISHED_PORTS[service.name].setting
        port = int(settings[variable] or 0)
        other = f"set {variable} in .env to another port"
        publisher = publishers.get(port)
        problem: tuple[str, str] | None = None
        if port in wanted:
            problem = (f"is also set for {wanted[port]}", other)
        elif publisher is not None and publisher not in own:
            problem = (f"is in use by container {publisher}", f"stop it, or {other}")
        elif publisher is None and here:
            problem = _problem(_refusal(address, port), port, info, other)
        wanted[port] = service.name
        if problem is not None:
            good = False
            what, remedy = problem
            yield Finding("ports", "failure", f"port {port} of {service.name} {what}", remedy)
    if good:
        yield Finding("ports", "ok", f"{len(wanted)} ports free, or held by this project")


def _problem(reason: int | None, port: int, info: EngineInfo, other: str) -> tuple[str, str] | None:
    """Return why this machine refuses a port, and the remedy; `other` is the advice to use another port."""
    match reason:
        case errno.EADDRINUSE:
            return f"is in use by {_holder(port)}", f"stop it, or {other}"
        case errno.EACCES if info.rootless:
            return (
                "is privileged, and the engine is rootless",
                f"{other} above 1023, or lower the sysctl net.ipv4.ip_unprivileged_port_start",
            )
        case None | errno.EACCES:
            # An engine that runs as root may open what this user may not.
            return None
        case _:
            return f"cannot be opened: {os.strerror(reason)}", other


def _refusal(address: str, port: int) -> int | None:
    """Return the error number with which this machine refuses to bind an address and port, None if it does not."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            # Without this option, recently closed connections would make the port look taken.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((address, port))
    except OSError as error:
        return error.errno or errno.EINVAL
    return None


def _holder(port: int) -> str:
    """Return the name of the process that listens on a port of this machine."""
    try:
        connections = psutil.net_connections(kind="tcp")
    except psutil.AccessDenied:
        connections = []
    for connection in connections:
        if connection.status != psutil.CONN_LISTEN or not connection.laddr or not connection.pid:
            continue
        if connection.laddr.port == port:
            try:
                return f"{psutil.Process(connection.pid).name()} (pid {connection.pid})"
            except psutil.NoSuchProcess:
                break
    return "a process of another user"


def _channels(settings: Settings) -> Iterator[Finding]:
    for channel in CHANNELS:
        if missing := settings.missing(channel.required):
            remedy = f"set {', '.join(missing)}"
            level: Level = "warning" if channel.notifies_people else "ok"
            yield Finding("notifications", level, f"{channel.name} is not configured", remedy)
        elif conflict := channel.conflict(settings):
            yield Finding("notifications", "failure", conflict.message, conflict.remedy)
        else:
            yield Finding("notifications", "ok", f"{channel.name} is configured")


def _proxy(settings: Settings) -> Iterator[Finding]:
    """Yield a warning if this machine uses a proxy, but the stack's requests to the internet do not."""
    here = next(
        (name for name in _PROXIES for name in (name, name.upper()) if shell().get(name)), None
    )
    sends = any(one.by_http and not settings.missing(one.required) for one in CHANNELS)
    if here and settings["STACKCTL_PROXY"] is None and (sends or settings["BINANCE_API_URL"]):
        yield Finding(
            "proxy",
            "warning",
            f"{here} is set, but the stack's requests to the internet do not use a proxy",
            "if containers need a proxy, set STACKCTL_PROXY to an address that they can reach",
        )


def _names(settings: Settings) -> Iterator[Finding]:
    for doubt, remedy in settings.doubts():
        yield Finding("settings", "warning", doubt, remedy)
