"""The application of a log collector: it reads and sends while its web server runs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from aiohttp import web

from standins.promtail.client import Client
from standins.promtail.config import Config
from standins.promtail.metrics import Metrics
from standins.promtail.positions import Positions
from standins.promtail.program import Program
from standins.promtail.targets import Sink, flush, watch
from standins.shared import metrics, server
from standins.shared.process import ConfigError
from standins.shared.units import NANOSECONDS

SINK = web.AppKey("sink", Sink)
"""The parts that read and send."""

_MAX_BODY = 1 << 16
_TIMEOUT = 10.0


def application(settings: Config, program: Program) -> web.Application:
    """Return the application; it reads and sends while it runs. Raises ConfigError for a bad positions file."""
    registry = metrics.registry(program.name, program.version)
    app = server.application(
        registry,
        duration_metric=f"{program.name}_standin_request_duration_seconds",
        max_body=_MAX_BODY,
        timeout=_TIMEOUT,
    )
    own = Metrics(registry, program)
    try:
        positions = Positions(settings.positions, labelled=program.resumes)
    except ValueError as error:
        raise ConfigError(str(error)) from None
    clients = [Client(client, own, program, settings.line_limit) for client in settings.clients]
    app[SINK] = sink = Sink(clients, positions, own, program)

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

    async def finish(_app: web.Application) -> AsyncIterator[None]:
        yield
        positions.save()
        await sink.drain(settings.scrapes)

    app.cleanup_ctx.append(finish)
    server.background(app, work)
    return app
