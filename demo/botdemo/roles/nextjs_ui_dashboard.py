"""nextjs-ui-dashboard: pages that show rust-core-engine's data, with a live feed from its WebSocket."""

from __future__ import annotations

import asyncio
import html
from collections.abc import Callable, Sequence
from datetime import datetime

import aiohttp
from aiohttp import web

from botdemo import logs
from botdemo.control import Control
from botdemo.link import Link
from botdemo.roles.base import Application
from botdemo.roles.caller import http_link
from botdemo.settings import Settings
from botdemo.simulation.traffic import Endpoint
from botdemo.switches import ApplicationSwitches

_REFRESH_SECONDS = 2.0
_HEARTBEAT_SECONDS = 10.0
_CONNECT_SECONDS = 5.0
_PING_EVERY = 5

_PAGE = """<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta http-equiv="refresh" content="5"><title>bot-core (demo)</title></head>
<body><h1>bot-core (demo)</h1><table>{rows}</table></body>
</html>
"""


class NextjsUiDashboard(Application):
    """The dashboard that users see."""

    name = "nextjs-ui-dashboard"
    port = 3000
    log_format = logs.node
    metrics_path = "/api/metrics"
    requests_per_second = 2.0
    endpoints = (
        Endpoint("GET", "/", 0.4, 0.045),
        Endpoint("GET", "/api/portfolio", 0.35, 0.025),
        Endpoint("GET", "/api/prices", 0.25, 0.010),
    )

    control: Control[ApplicationSwitches]

    def __init__(self, settings: Settings, start: datetime) -> None:
        super().__init__(settings, start)
        self.control = Control(ApplicationSwitches)
        self.portfolio: dict[str, float] = {}
        self.prices: dict[str, float] = {}

    def simulate(self, seconds: float, activity: float) -> None:
        """Simulate users."""
        self.traffic.advance(seconds, activity, self.control.switches)

    def links(self) -> Sequence[Link]:
        """Return the calls to rust-core-engine's API and the session with its WebSocket."""
        engine = self.settings.rust_core_engine
        return (
            http_link("rust-core-engine", engine.url(), self._refresh, _REFRESH_SECONDS),
            Link(
                "rust-core-engine's WebSocket",
                self._feed,
                (aiohttp.ClientError, OSError, TimeoutError),
            ),
        )

    def mount(self, app: web.Application) -> None:
        """Add the page and its API."""
        app.add_routes(
            [
                web.get("/", self._page),
                web.get("/api/portfolio", self._portfolio),
                web.get("/api/prices", self._prices),
            ]
        )

    async def _page(self, request: web.Request) -> web.Response:
        rows = "".join(
            f"<tr><th>{html.escape(name)}</th><td>{value:,.2f}</td></tr>"
            for name, value in (self.portfolio | self.prices).items()
        )
        return web.Response(text=_PAGE.format(rows=rows), content_type="text/html")

    async def _portfolio(self, request: web.Request) -> web.Response:
        return web.json_response(self.portfolio)

    async def _prices(self, request: web.Request) -> web.Response:
        return web.json_response(self.prices)

    async def _refresh(self, client: aiohttp.ClientSession) -> None:
        async with client.get("/api/portfolio") as response:
            self.portfolio = await response.json()

    async def _feed(self, established: Callable[[], None]) -> None:
        url = self.settings.rust_core_engine.url("ws") + f"/ws?client={self.name}"
        async with aiohttp.ClientSession() as client:
            async with asyncio.timeout(_CONNECT_SECONDS):
                socket = await client.ws_connect(url, heartbeat=_HEARTBEAT_SECONDS)
            established()
            ticks = 0
            async for message in socket:
                if message.type is aiohttp.WSMsgType.TEXT:
                    self.prices = message.json().get("prices", self.prices)
                    ticks += 1
                    if ticks % _PING_EVERY == 0:
                        await socket.send_str("still here")
