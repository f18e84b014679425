"""cAdvisor's command line and application."""

from __future__ import annotations

import asyncio
import logging
import platform
import sys
from collections.abc import AsyncIterator
from pathlib import Path

from aiohttp import web
from prometheus_client import Gauge

from standins.cadvisor import VERSION, machine
from standins.cadvisor.collector import Containers, Selection
from standins.cadvisor.housekeeping import Housekeeping
from standins.shared import flags, logs, metrics, server, units
from standins.shared.docker import DEFAULT_HOST
from standins.shared.logs import fields
from standins.shared.process import UsageError
from standins.shared.units import NANOSECONDS

_FLAGS: dict[str, str | bool] = {
    "docker_only": False,
    "docker": DEFAULT_HOST,
    "enable_metrics": "",
    "housekeeping_interval": "1s",
    "listen_ip": "",
    "port": "8080",
    "store_container_labels": True,
    "version": False,
    "whitelisted_container_labels": "",
}
_MAX_BODY = 1 << 16
_TIMEOUT = 10.0

_log = logging.getLogger("standins.cadvisor.main")


def main(arguments: list[str]) -> None:
    """Serve until SIGTERM. Raises UsageError."""
    values = flags.parse(arguments, _FLAGS)
    if values["version"]:
        sys.stdout.write(f"cAdvisor version {VERSION} (stackctl stand-in)\n")
        return
    port = str(values["port"])
    if not port.isdecimal():
        raise UsageError(f'invalid value "{port}" for flag -port')
    try:
        interval = units.duration(str(values["housekeeping_interval"])) / NANOSECONDS
        housekeeping = Housekeeping(str(values["docker"]))
    except ValueError as error:
        raise UsageError(str(error)) from None
    logs.configure(logs.klog, sys.stderr)
    if not values["docker_only"]:
        _log.warning("the stand-in supports only Docker's containers, as with -docker_only")
    _log.info("Starting cAdvisor", extra=fields(version=VERSION, standin=True))
    selection = Selection(
        None
        if values["store_container_labels"]
        else _listed(str(values["whitelisted_container_labels"])),
        _listed(str(values["enable_metrics"])) or None,
    )
    app = application(housekeeping, interval, selection=selection)
    server.serve(app, str(values["listen_ip"]) or "0.0.0.0", int(port))  # noqa: S104


def _listed(text: str) -> frozenset[str]:
    return frozenset(filter(None, map(str.strip, text.split(","))))


def application(
    housekeeping: Housekeeping,
    interval: float,
    root: Path = machine.ROOT,
    *,
    selection: Selection = Selection(),  # noqa: B008 - it cannot be changed
) -> web.Application:
    """Return the application; it polls the engine every `interval` seconds while it runs.

    It listens once it has looked for containers, like the original.
    """
    registry = metrics.registry("cadvisor", None)
    versions = {
        "cadvisorRevision": "stackctl stand-in",
        "cadvisorVersion": VERSION,
        "dockerVersion": "",
        "kernelVersion": platform.release(),
        "osVersion": "",
    }
    Gauge(
        "cadvisor_version_info",
        "A metric with a constant '1' value labeled by versions.",
        list(versions),
        registry=registry,
    ).labels(**versions).set(1)
    registry.register(Containers(housekeeping, root, selection))

    async def refresh(_request: web.Request) -> str:
        await housekeeping.refresh()
        return ""

    app = server.application(
        registry,
        duration_metric=None,
        max_body=_MAX_BODY,
        timeout=_TIMEOUT,
        more=refresh,
    )

    async def registered(_app: web.Application) -> AsyncIterator[None]:
        async with housekeeping:
            await housekeeping.register()
            yield

    async def work() -> None:
        while True:
            await asyncio.sleep(interval)
            await housekeeping.look()

    async def healthz(_request: web.Request) -> web.Response:
        return web.Response(text="ok")  # the original says this even if it never finds a container

    app.router.add_get("/healthz", healthz)
    app.cleanup_ctx.append(registered)
    server.background(app, work)
    return app
