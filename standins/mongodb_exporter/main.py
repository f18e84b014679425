"""mongodb_exporter's command line, and the endpoint."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from collections.abc import Mapping

from aiohttp import web
from pymongo.errors import PyMongoError

from standins.mongodb_exporter import VERSION
from standins.mongodb_exporter.collector import COLLECTORS, Database, Options
from standins.mongodb_exporter.naming import exposition
from standins.shared import flags, logs, metrics, server
from standins.shared.logs import fields
from standins.shared.process import ConfigError, UsageError

_FLAGS: dict[str, str | bool] = {
    "mongodb.uri": "",
    "mongodb.direct-connect": True,
    "mongodb.global-conn-pool": False,
    "mongodb.connect-timeout-ms": "5000",
    "compatible-mode": False,
    "collect-all": False,
    **{f"collector.{name}": False for name in COLLECTORS},
    "web.listen-address": ":9216",
    "web.timeout-offset": "1",
    "version": False,
}
_MAX_BODY = 1 << 16
_TIMEOUT = 300.0
"""Seconds; longer than any scrape timeout, which limits the response."""
_SCRAPE_TIMEOUT = 10
"""Timeout of a scrape without the header, in seconds (exporter/exporter.go)."""

_log = logging.getLogger("standins.mongodb_exporter.main")


def main(arguments: list[str]) -> None:
    """Serve until SIGTERM. Raises ConfigError."""
    values = flags.parse(arguments, _FLAGS)
    if values["version"]:
        sys.stdout.write(f"mongodb_exporter {VERSION} (stackctl stand-in)\n")
        return
    logs.configure(logs.logrus, sys.stderr)
    # The address contains the password: it comes from the environment, and no message shows it.
    address = str(values["mongodb.uri"]) or os.environ.get("MONGODB_URI", "")
    # The original accepts a comma-separated list of addresses, in which a backslash escapes a comma.
    address = address.replace("\\,", ",")
    if not address:
        raise ConfigError("no MongoDB address: set MONGODB_URI")
    host, _, port = str(values["web.listen-address"]).rpartition(":")
    if not port.isdecimal():
        raise UsageError(f"{values['web.listen-address']} is not [HOST]:PORT")
    options = Options(
        collectors=frozenset(name for name in COLLECTORS if values[f"collector.{name}"]),
        collect_all=bool(values["collect-all"]),
        compatible=bool(values["compatible-mode"]),
        direct=bool(values["mongodb.direct-connect"]),
        global_pool=bool(values["mongodb.global-conn-pool"]),
        connect_timeout=_whole(values, "mongodb.connect-timeout-ms") / 1000,
    )
    try:
        database = Database(address, options)
    except (PyMongoError, ValueError) as error:
        raise ConfigError(f"MONGODB_URI: {type(error).__name__}") from None
    _log.info("Starting HTTP server", extra=fields(port=port, version=VERSION, standin=True))
    app = application(database, max(_whole(values, "web.timeout-offset"), 1))
    server.serve(app, host or "0.0.0.0", int(port))  # noqa: S104 — a container's own network


def _whole(values: Mapping[str, str | bool], flag: str) -> int:
    text = str(values[flag])
    if not text.isdecimal():
        raise UsageError(f'--{flag}: expected a valid 64 bit int but got "{text}"')
    return int(text)


def application(database: Database, offset: int) -> web.Application:
    """Return the application. A scrape may take the time in Prometheus' header minus `offset` seconds."""

    async def scrape(request: web.Request) -> str:
        header = request.headers.get("X-Prometheus-Scrape-Timeout-Seconds", "")
        seconds = int(header) if header.isdecimal() else _SCRAPE_TIMEOUT
        filters = request.query.getall("collect[]", [])
        # The driver blocks, so it runs in a thread.
        found = await asyncio.to_thread(database.scrape, seconds - offset, filters)
        return exposition(found)

    app = server.application(
        metrics.registry("mongodb-exporter", None),
        duration_metric=None,
        max_body=_MAX_BODY,
        timeout=_TIMEOUT,
        more=scrape,
    )

    async def landing(_request: web.Request) -> web.Response:
        page = '<!doctype html><title>MongoDB exporter</title><a href="/metrics">Metrics</a>'
        return web.Response(text=page, content_type="text/html")

    app.router.add_get("/", landing)
    return app
