"""rust-core-engine: trades, the account, users, WebSocket clients."""

from __future__ import annotations

import asyncio
import json
import time
import weakref
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from typing import TYPE_CHECKING

import aiohttp
from aiohttp import WSCloseCode, web

from botdemo import logs
from botdemo.backends import redis_link, signal_consumer
from botdemo.control import Control
from botdemo.link import Link
from botdemo.metrics import DatabaseMetrics, SocketMetrics, TradingMetrics, UserMetrics
from botdemo.roles.base import Application
from botdemo.roles.caller import http_link
from botdemo.settings import Settings
from botdemo.simulation.analysis import Signal
from botdemo.simulation.database import Database
from botdemo.simulation.market import REFERENCE_PRICES
from botdemo.simulation.sockets import Connection, Sockets
from botdemo.simulation.trading import Trade, TradingDesk
from botdemo.simulation.traffic import Endpoint
from botdemo.simulation.users import Users
from botdemo.switches import EngineSwitches

if TYPE_CHECKING:
    from redis.asyncio import Redis

_TICK_SECONDS = 1.0
_ANALYSIS_INTERVAL_SECONDS = 5.0
_PRICE_LIFETIME_SECONDS = 60

_CLOSE_REASONS: dict[int | None, str] = {
    WSCloseCode.OK: "normal",
    WSCloseCode.GOING_AWAY: "going_away",
}


class RustCoreEngine(Application):
    """The trading engine."""

    name = "rust-core-engine"
    port = 8080
    log_format = logs.tracing
    requests_per_second = 4.0
    endpoints = (
        Endpoint("GET", "/api/trades", 0.25, 0.012),
        Endpoint("GET", "/api/portfolio", 0.25, 0.015),
        Endpoint("GET", "/api/positions", 0.15, 0.010),
        Endpoint("GET", "/api/market/{symbol}", 0.20, 0.006),
        Endpoint("GET", "/api/signals", 0.05, 0.008),
        Endpoint("POST", "/api/orders", 0.10, 0.040, status=201),
    )

    control: Control[EngineSwitches]

    def __init__(self, settings: Settings, start: datetime) -> None:
        super().__init__(settings, start)
        self.control = Control(EngineSwitches)
        self.desk = TradingDesk(self.rng, TradingMetrics(self.registry), start.date())
        self.sockets = Sockets(self.rng, SocketMetrics(self.registry))
        self.database = Database(self.rng, DatabaseMetrics(self.registry))
        self.users = Users(self.rng, UserMetrics(self.registry))
        self.signals: dict[str, Signal] = {}
        self._stored_trades = 0
        self._open: weakref.WeakSet[web.WebSocketResponse] = weakref.WeakSet()

    def simulate(self, seconds: float, activity: float) -> None:
        """Simulate trades, users, clients and database queries."""
        switches = self.control.switches
        self.desk.advance(seconds, activity, self.now, switches)
        self.traffic.advance(seconds, activity, switches)
        self.sockets.advance(seconds, activity, switches)
        self.database.advance(seconds, activity, switches)
        self.users.advance(seconds, activity, switches)

    def links(self) -> Sequence[Link]:
        """Return the sessions with Redis, RabbitMQ and python-ai-service."""
        return (
            redis_link(self.settings, self._share_prices),
            signal_consumer(self.settings, self._receive),
            http_link(
                "python-ai-service",
                self.settings.python_ai_service.url(),
                self._ask_for_analysis,
                _ANALYSIS_INTERVAL_SECONDS,
            ),
        )

    def mount(self, app: web.Application) -> None:
        """Add the REST API and the WebSocket."""
        app.add_routes(
            [
                web.get("/api/trades", self._trades),
                web.get("/api/portfolio", self._portfolio),
                web.get("/api/positions", self._positions),
                web.get("/api/market/{symbol}", self._market),
                web.get("/api/signals", self._signals),
                web.post("/api/orders", self._orders),
                web.get("/ws", self._websocket),
            ]
        )
        app.on_shutdown.append(self._close)

    async def _close(self, app: web.Application) -> None:
        """Tell every WebSocket client that the service is going away."""
        for socket in set(self._open):
            await socket.close(code=WSCloseCode.GOING_AWAY)

    async def _trades(self, request: web.Request) -> web.Response:
        return web.json_response([_trade_json(trade) for trade in reversed(self.desk.recent)])

    async def _portfolio(self, request: web.Request) -> web.Response:
        statement = self.desk.statement
        return web.json_response(
            {
                "value_usd": round(statement.value, 2),
                "balance_usdt": round(statement.balance, 2),
                "positions_value_usd": round(statement.positions_value, 2),
                "profit_loss_daily": round(statement.profit_daily, 2),
                "profit_loss_total": round(statement.profit_total, 2),
            }
        )

    async def _positions(self, request: web.Request) -> web.Response:
        positions = self.desk.account.positions
        return web.json_response(
            {
                symbol: {"quantity": position.quantity, "entry_price": position.entry_price}
                for symbol, position in positions.items()
            }
        )

    async def _market(self, request: web.Request) -> web.Response:
        symbol = request.match_info["symbol"]
        price = self.desk.market.prices.get(symbol)
        if price is None:
            known = ", ".join(REFERENCE_PRICES)
            return web.json_response({"error": f"unknown symbol; known: {known}"}, status=404)
        return web.json_response({"symbol": symbol, "price": round(price, 2)})

    async def _signals(self, request: web.Request) -> web.Response:
        return web.json_response({symbol: vars(signal) for symbol, signal in self.signals.items()})

    async def _orders(self, request: web.Request) -> web.Response:
        return web.json_response({"status": "accepted", "trades": self.desk.attempted}, status=201)

    async def _websocket(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(heartbeat=30)
        await socket.prepare(request)
        self._open.add(socket)
        with self.sockets.connection(request.query.get("client", "")) as connection:
            ticks = asyncio.create_task(self._send_ticks(socket, connection))
            try:
                await self._converse(socket, connection)
            finally:
                ticks.cancel()
                connection.reason = _CLOSE_REASONS.get(socket.close_code, "connection_lost")
        return socket

    async def _converse(self, socket: web.WebSocketResponse, connection: Connection) -> None:
        with suppress(ConnectionResetError):
            await self._send(socket, connection, {"type": "welcome", "service": self.name})
            async for message in socket:
                began = time.perf_counter()
                if message.type is aiohttp.WSMsgType.TEXT:
                    await asyncio.sleep(self.control.switches.websocket_latency_seconds)
                    await self._send(socket, connection, {"type": "echo", "data": message.data})
                connection.received(time.perf_counter() - began)

    async def _send_ticks(self, socket: web.WebSocketResponse, connection: Connection) -> None:
        with suppress(ConnectionResetError):
            while not socket.closed:
                await asyncio.sleep(_TICK_SECONDS)
                market = self.desk.market.prices
                prices = {symbol: round(price, 2) for symbol, price in market.items()}
                await self._send(socket, connection, {"type": "tick", "prices": prices})

    @staticmethod
    async def _send(
        socket: web.WebSocketResponse, connection: Connection, message: dict[str, object]
    ) -> None:
        await socket.send_str(json.dumps(message))
        connection.sent()

    def _receive(self, signal: Signal) -> None:
        self.signals[signal.symbol] = signal

    async def _share_prices(self, client: Redis) -> None:
        async with client.pipeline(transaction=False) as batch:
            for symbol, price in self.desk.market.prices.items():
                batch.set(f"price:{symbol}", f"{price:.2f}", ex=_PRICE_LIFETIME_SECONDS)
            batch.incrby("trades:attempted", self.desk.attempted - self._stored_trades)
            batch.get("analyses:done")
            await batch.execute()
        self._stored_trades = self.desk.attempted

    async def _ask_for_analysis(self, session: aiohttp.ClientSession) -> None:
        symbol = self.rng.choice(list(REFERENCE_PRICES))
        async with session.post("/ai/analyze", json={"symbol": symbol}) as response:
            await response.read()


def _trade_json(trade: Trade) -> dict[str, object]:
    return {
        "id": trade.number,
        "time": trade.time.isoformat(timespec="milliseconds"),
        "symbol": trade.symbol,
        "side": trade.side,
        "strategy": trade.strategy,
        "quantity": round(trade.quantity, 6),
        "price": round(trade.price, 2),
        "status": "filled" if trade.filled else "failed",
    }
