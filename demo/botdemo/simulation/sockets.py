"""WebSocket clients: simulated ones, and the real ones that connect."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from random import Random

from botdemo.metrics import SocketMetrics
from botdemo.simulation.chance import Arrivals, MeanReverting, log_normal
from botdemo.switches import EngineSwitches

CLIENTS = ("web", "mobile", "api", "nextjs-ui-dashboard", "other")
REASONS = ("normal", "going_away", "timeout", "connection_lost")

_CROWD_SHARES = {"web": 0.5, "mobile": 0.3, "api": 0.2}
_REASON_SHARES = {"normal": 0.7, "going_away": 0.25, "connection_lost": 0.05}
_STAY_SECONDS = 300.0
_SENT_PER_SECOND = 0.3
_RECEIVED_PER_SECOND = 0.1
_ERRORS_PER_SECOND = 0.0005


class Connection:
    """One real connection, whose messages are counted."""

    def __init__(self, metrics: SocketMetrics, client: str) -> None:
        self._metrics = metrics
        self._client = client if client in CLIENTS else "other"
        self.reason = "connection_lost"

    def sent(self) -> None:
        """Count a message to the client."""
        self._metrics.messages.labels(self._client).inc()
        self._metrics.sent.labels(self._client).inc()

    def received(self, seconds: float) -> None:
        """Count a message from the client that took `seconds` to handle."""
        self._metrics.messages.labels(self._client).inc()
        self._metrics.received.labels(self._client).inc()
        self._metrics.message_duration.observe(seconds)


class Sockets:
    """All connections of the service."""

    def __init__(self, rng: Random, metrics: SocketMetrics) -> None:
        self._rng = rng
        self._metrics = metrics
        self._size = MeanReverting(rng, 42, 4, 600)
        self._crowd = 0
        self._real = 0
        self._leaving = Arrivals(rng)
        self._timing_out = Arrivals(rng)
        self._failing = Arrivals(rng)
        self._flows = {
            metrics.sent: (_SENT_PER_SECOND, Arrivals(rng)),
            metrics.received: (_RECEIVED_PER_SECOND, Arrivals(rng)),
        }
        for client in CLIENTS:
            for counter in (metrics.messages, metrics.sent, metrics.received):
                counter.labels(client)
        for reason in REASONS:
            metrics.disconnects.labels(reason)

    def advance(self, seconds: float, activity: float, switches: EngineSwitches) -> None:
        """Simulate clients that connect, send messages and disconnect for `seconds`."""
        wanted = switches.websocket_connections
        crowd = round(self._size.advance(seconds) * activity) if wanted is None else wanted
        leaving = self._leaving.due(self._crowd / _STAY_SECONDS, seconds)
        for _ in range(max(leaving, self._crowd - crowd)):
            self._disconnect(_draw(self._rng, _REASON_SHARES))
        for _ in range(self._timing_out.due(switches.websocket_disconnects_per_second, seconds)):
            self._disconnect("timeout")
        self._crowd = crowd
        self._metrics.active.set(self._crowd + self._real)

        for counter, (rate, arrivals) in self._flows.items():
            for _ in range(arrivals.due(rate * crowd, seconds)):
                client = _draw(self._rng, _CROWD_SHARES)
                counter.labels(client).inc()
                self._metrics.messages.labels(client).inc()
                took = log_normal(self._rng, 0.002, 0.7) + switches.websocket_latency_seconds
                self._metrics.message_duration.observe(took)
        errors = switches.websocket_errors_per_second
        rate = _ERRORS_PER_SECOND if errors is None else errors
        self._metrics.errors.inc(self._failing.due(rate, seconds))

    @contextmanager
    def connection(self, client: str) -> Iterator[Connection]:
        """Count a real connection while it is open; the caller sets the `reason` why it ends."""
        connection = Connection(self._metrics, client)
        began = time.monotonic()
        self._real += 1
        self._metrics.active.set(self._crowd + self._real)
        try:
            yield connection
        finally:
            self._real -= 1
            self._metrics.active.set(self._crowd + self._real)
            self._metrics.disconnects.labels(connection.reason).inc()
            self._metrics.connection_duration.observe(time.monotonic() - began)

    def _disconnect(self, reason: str) -> None:
        self._metrics.disconnects.labels(reason).inc()
        self._metrics.connection_duration.observe(log_normal(self._rng, _STAY_SECONDS, 0.8))


def _draw(rng: Random, shares: dict[str, float]) -> str:
    return rng.choices(list(shares), list(shares.values()))[0]
