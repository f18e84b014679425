"""mongodb_exporter's command line, and the endpoint."""

from __future__ import annotations

import asyncio
import logging
import os
import sys

from aiohttp import web
from pymongo import MongoClient
from pymongo.errors import PyMongoError

from standins.mongodb_exporter import VERSION
from standins.mongodb_exporter.collector import Database
from standins.shared import flags, logs, metrics, server
from standins.shared.logs import fields
from standins.shared.process import ConfigError, UsageError

_FLAGS: dict[str, str | bool] = {
    "mongodb.uri": "",
    "mongodb.direct-connect": True,
    "mongodb.global-conn-pool": False,
    "compatible-mode": False,
    "collect-all": False,
    "web.listen-address": ":9216",
    "version": False,
}
_MAX_BODY = 1 << 16
_TIMEOUT = 10.0
_SELECTION_TIMEOUT = 3000
"""Milliseconds that a scrape waits for a server that does not answer."""

_log = logging.getLogger("standins.mongodb_exporter.main")


def main(arguments: list[str]) -> None:
    """Serve until SIGTERM. Raises ConfigError."""
    values = flags.parse(arguments, _FLAGS)
    if values["version"]:
        sys.stdout.write(f"mongodb_exporter {VERSION} (stackctl stand-in)\n")
        return
    logs.configure(logs.logrus, sys.stderr)
    # The address holds the password: it comes by the environment, and no message shows it.
    address = str(values["mongodb.uri"]) or os.environ.get("MONGODB_URI", "")
    if not address:
        raise ConfigError("no MongoDB address: set MONGODB_URI")
    host, _, port = str(values["web.listen-address"]).rpartition(":")
    if not port.isdecimal():
        raise UsageError(f"{values['web.listen-address']} is not [HOST]:PORT")
    try:
        client: MongoClient[dict[str, object]] = MongoClient(
            address,
            directConnection=bool(values["mongodb.direct-connect"]),
            serverSelectionTimeoutMS=_SELECTION_TIMEOUT,
            connectTimeoutMS=_SELECTION_TIMEOUT,
            socketTimeoutMS=_SELECTION_TIMEOUT,
            maxPoolSize=2,
        )
    except (PyMongoError, ValueError) as error:
        raise ConfigError(f"MONGODB_URI: {type(error).__name__}") from None
    _log.info("Starting HTTP server", extra=fields(port=port, version=VERSION, standin=True))
    app = application(Database(client, compatible=bool(values["compatible-mode"])))
    server.serve(app, host or "0.0.0.0", int(port))  # noqa: S104 — a container's own network


def application(database: Database) -> web.Application:
    """Give the application; every scrape asks the database, one at a time."""
    registry = metrics.registry("mongodb-exporter", VERSION)
    registry.register(database)
    one_at_a_time = asyncio.Lock()

    @web.middleware
    async def ask(request: web.Request, handler: server.Handler) -> web.StreamResponse:
        if request.path != "/metrics":
            return await handler(request)
        async with one_at_a_time:
            # The driver blocks, so it asks in a thread; the collector then gives what was found.
            await asyncio.to_thread(database.ask)
            return await handler(request)

    app = server.application(
        registry,
        duration_metric="mongodb_exporter_standin_request_duration_seconds",
        max_body=_MAX_BODY,
        timeout=_TIMEOUT,
    )
    app.middlewares.append(ask)

    async def landing(_request: web.Request) -> web.Response:
        page = '<!doctype html><title>MongoDB exporter</title><a href="/metrics">Metrics</a>'
        return web.Response(text=page, content_type="text/html")

    app.router.add_get("/", landing)
    return app
