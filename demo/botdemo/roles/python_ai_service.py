"""python-ai-service: analyses and signals."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from aiohttp import web

from botdemo import logs
from botdemo.backends import redis_link, signal_publisher
from botdemo.control import Control
from botdemo.link import Link
from botdemo.metrics import AnalysisMetrics
from botdemo.roles.base import Application
from botdemo.settings import Settings
from botdemo.simulation.analysis import MODELS, Analyst
from botdemo.simulation.market import REFERENCE_PRICES
from botdemo.simulation.traffic import Endpoint
from botdemo.switches import AnalystSwitches

if TYPE_CHECKING:
    from redis.asyncio import Redis

_SIGNAL_LIFETIME_SECONDS = 10


class PythonAiService(Application):
    """The AI service."""

    name = "python-ai-service"
    port = 8000
    log_format = logs.python
    health_paths = ("/health", "/api/health")
    requests_per_second = 2.0
    endpoints = (
        Endpoint("POST", "/ai/analyze", 0.5, 0.060),
        Endpoint("GET", "/ai/signals", 0.3, 0.015),
        Endpoint("GET", "/ai/models", 0.2, 0.008),
    )

    control: Control[AnalystSwitches]

    def __init__(self, settings: Settings, start: datetime) -> None:
        super().__init__(settings, start)
        self.control = Control(AnalystSwitches)
        self.analyst = Analyst(self.rng, AnalysisMetrics(self.registry))
        self._stored_analyses = 0

    def simulate(self, seconds: float, activity: float) -> None:
        """Simulate analyses and users."""
        switches = self.control.switches
        self.analyst.advance(seconds, activity, self.now, switches)
        self.traffic.advance(seconds, activity, switches)

    def links(self) -> Sequence[Link]:
        """Return the sessions with Redis and RabbitMQ."""
        return (
            redis_link(self.settings, self._share_signals),
            signal_publisher(self.settings, self.analyst.outbox),
        )

    def mount(self, app: web.Application) -> None:
        """Add the REST API."""
        app.add_routes(
            [
                web.post("/ai/analyze", self._analyze),
                web.get("/ai/signals", self._signals),
                web.get("/ai/models", self._models),
            ]
        )

    async def _analyze(self, request: web.Request) -> web.Response:
        try:
            symbol = (await request.json())["symbol"]
        except (ValueError, TypeError, KeyError):
            symbol = None
        if symbol not in list(REFERENCE_PRICES):
            known = ", ".join(REFERENCE_PRICES)
            return web.json_response(
                {"error": f'expected {{"symbol": …}} with one of: {known}'}, status=400
            )
        signal = self.analyst.analyse(symbol, self.now, self.control.switches)
        return web.json_response(vars(signal))

    async def _signals(self, request: web.Request) -> web.Response:
        latest = self.analyst.latest
        return web.json_response({symbol: vars(signal) for symbol, signal in latest.items()})

    async def _models(self, request: web.Request) -> web.Response:
        active = self.control.switches.models_active
        return web.json_response(
            [{"name": model.name, "version": model.version, "active": active} for model in MODELS]
        )

    async def _share_signals(self, client: Redis) -> None:
        async with client.pipeline(transaction=False) as batch:
            for symbol in REFERENCE_PRICES:
                batch.get(f"price:{symbol}")
            for symbol, signal in self.analyst.latest.items():
                batch.set(f"signal:{symbol}", json.dumps(vars(signal)), ex=_SIGNAL_LIFETIME_SECONDS)
            batch.incrby("analyses:done", self.analyst.done - self._stored_analyses)
            await batch.execute()
        self._stored_analyses = self.analyst.done
