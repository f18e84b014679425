"""Promtail's command line, and the parts put together."""

from __future__ import annotations

import asyncio
import html
import logging
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import yaml
from aiohttp import web

from standins.promtail import VERSION, config
from standins.promtail.client import Client
from standins.promtail.config import Config
from standins.promtail.metrics import Metrics
from standins.promtail.positions import Positions
from standins.promtail.targets import Sink, flush, watch
from standins.shared import flags, logs, metrics, server
from standins.shared.logs import fields
from standins.shared.process import ConfigError
from standins.shared.units import NANOSECONDS

_FLAGS: dict[str, str | bool] = {"config.file": "", "check-syntax": False, "version": False}
_MAX_BODY = 1 << 16
_TIMEOUT = 10.0
_NOT_READY = "Not ready: Unable to find any logs to tail. Please verify permissions, volumes, scrape_config, etc.\n"

_log = logging.getLogger("standins.promtail.main")


def main(arguments: list[str]) -> None:
    """Run until SIGTERM. Raises ConfigError."""
    values = flags.parse(arguments, _FLAGS)
    if values["version"]:
        sys.stdout.write(f"promtail, version {VERSION} (stackctl stand-in)\n")
        return
    if not values["config.file"]:
        raise ConfigError("no config file given: -config.file")
    settings = config.load(Path(str(values["config.file"])))
    logs.configure(logs.gokit, sys.stderr, settings.log_level)
    if values["check-syntax"]:
        _log.info("Valid config file! No syntax issues found")
        return
    _log.info("Starting Promtail", extra=fields(version=VERSION, standin=True))
    server.serve(application(settings), settings.address, settings.port)


def application(settings: Config) -> web.Application:
    """Give the application; it reads and sends while it runs. Raises ConfigError for a bad positions file."""
    registry = metrics.registry("promtail", VERSION)
    app = server.application(
        registry,
        duration_metric="promtail_standin_request_duration_seconds",
        max_body=_MAX_BODY,
        timeout=_TIMEOUT,
    )
    own = Metrics(registry)
    try:
        positions = Positions(settings.positions)
    except ValueError as error:
        raise ConfigError(str(error)) from None
    clients = [Client(client, own, settings.line_limit) for client in settings.clients]
    sink = Sink(clients, positions, own)

    async def work() -> None:
        async with asyncio.TaskGroup() as group:
            for client in sink.clients:
                group.create_task(client.run())
            for scrape in settings.scrapes:
                group.create_task(flush(scrape, sink))
                for docker in scrape.docker:
                    group.create_task(watch(scrape, docker, sink))
            while True:
                await asyncio.sleep(settings.sync_period / NANOSECONDS)
                positions.save()

    async def save_last(_app: web.Application) -> AsyncIterator[None]:
        yield
        positions.save()

    app.cleanup_ctx.append(save_last)
    server.background(app, work)
    _routes(app, settings, sink)
    return app


def _routes(app: web.Application, settings: Config, sink: Sink) -> None:
    async def ready(_request: web.Request) -> web.Response:
        if settings.health_check_target and not any(
            target.running for target in sink.targets.values()
        ):
            return web.Response(status=500, text=_NOT_READY)
        return web.Response(text="Ready")

    async def show_targets(_request: web.Request) -> web.Response:
        return web.Response(text=_page("Targets", _targets(sink)), content_type="text/html")

    async def show_config(_request: web.Request) -> web.Response:
        text = yaml.safe_dump(dict(settings.document), sort_keys=False, allow_unicode=True)
        page = _page("Config", f"<pre>{html.escape(text)}</pre>")
        return web.Response(text=page, content_type="text/html")

    async def first_page(_request: web.Request) -> web.Response:
        raise web.HTTPSeeOther("/targets")

    for path, handler in (
        ("/", first_page),
        ("/ready", ready),
        ("/targets", show_targets),
        ("/service-discovery", show_targets),
        ("/config", show_config),
    ):
        app.router.add_get(path, handler)


def _targets(sink: Sink) -> str:
    rows = "".join(
        "<tr>"
        + "".join(
            f"<td>{html.escape(text)}</td>"
            for text in (
                target.job,
                target.name,
                "ready" if target.running else "not ready",
                target.cursor.position,
                target.problem,
            )
        )
        + "</tr>"
        for target in sorted(sink.targets.values(), key=lambda target: target.name)
    )
    return (
        "<table><tr><th>job</th><th>container</th><th>state</th><th>position</th><th>problem</th></tr>"
        f"{rows}</table>"
    )


def _page(title: str, body: str) -> str:
    return (
        f"<!doctype html><title>{title}</title><h1>Promtail (stackctl stand-in): {title}</h1>{body}"
    )
