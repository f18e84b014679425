"""kong: the gateway's admin port."""

from __future__ import annotations

from datetime import datetime

from aiohttp import web

from botdemo import logs
from botdemo.control import Control
from botdemo.metrics import GatewayMetrics
from botdemo.roles.base import Role
from botdemo.settings import Settings
from botdemo.simulation.gateway import Gateway
from botdemo.switches import GatewaySwitches


class Kong(Role):
    """Simulates the requests that it forwards; only requests to this port are real."""

    name = "kong"
    port = 8001
    log_format = logs.node
    health_paths = ("/status",)

    control: Control[GatewaySwitches]

    def __init__(self, settings: Settings, start: datetime) -> None:
        super().__init__(settings, start)
        self.control = Control(GatewaySwitches)
        self.gateway = Gateway(self.rng, GatewayMetrics(self.registry))

    def simulate(self, seconds: float, activity: float) -> None:
        """Simulate the forwarded requests of `seconds`."""
        self.gateway.advance(seconds, activity, self.control.switches)

    def mount(self, app: web.Application) -> None:
        """Add nothing: Kong's status is its health endpoint."""

    def health(self) -> dict[str, object]:
        """Return Kong's own status."""
        return self.gateway.status(reachable=self.control.switches.datastore_reachable)

    def exposition(self) -> bytes:
        """Return the metrics under Kong's names."""
        return GatewayMetrics.exposition(self.registry)
