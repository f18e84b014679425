"""Promtail's command line and its pages."""

from __future__ import annotations

import html
import logging
import sys
from pathlib import Path

import yaml
from aiohttp import web

from standins.promtail import config
from standins.promtail.application import SINK, application
from standins.promtail.config import Config
from standins.promtail.program import PROMTAIL
from standins.promtail.targets import Sink
from standins.shared import flags, logs, server
from standins.shared.logs import fields
from standins.shared.process import ConfigError

_FLAGS: dict[str, str | bool] = {"config.file": "", "check-syntax": False, "version": False}
_NOT_READY = "Not ready: Unable to find any logs to tail. Please verify permissions, volumes, scrape_config, etc.\n"

_log = logging.getLogger("standins.promtail.main")


def main(arguments: list[str]) -> None:
    """Run until SIGTERM. Raises ConfigError."""
    values = flags.parse(arguments, _FLAGS)
    if values["version"]:
        sys.stdout.write(f"promtail, version {PROMTAIL.version} (stackctl stand-in)\n")
        return
    if not values["config.file"]:
        raise ConfigError("no config file given: -config.file")
    settings = config.load(Path(str(values["config.file"])))
    logs.configure(logs.gokit, sys.stderr, settings.log_level)
    if values["check-syntax"]:
        _log.info("Valid config file! No syntax issues found")
        return
    _log.info("Starting Promtail", extra=fields(version=PROMTAIL.version, standin=True))
    app = application(settings, PROMTAIL)
    _routes(app, settings, app[SINK])
    server.serve(app, settings.address, settings.port)


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
                str(target.since),
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
