"""Kong: requests forwarded to the three applications, as its Prometheus plugin reports them."""

from __future__ import annotations

import logging
import uuid
from dataclasses import dataclass
from random import Random

from prometheus_client import Counter

from botdemo.metrics import GatewayMetrics
from botdemo.simulation.chance import Arrivals, MeanReverting, log_normal
from botdemo.switches import GatewaySwitches

VERSION = "3.4.2"

_REQUESTS_PER_SECOND = 3.0
_BAD_GATEWAY_RATIO = 0.0003
_UNAUTHORIZED_RATIO = 0.01
_KONG_MEDIAN_SECONDS = 0.002
_WORKSPACE = "default"
_CONSUMER = ""
_SUBSYSTEM = "http"
_SOURCES = {"200": "service", "401": "kong", "502": "kong"}
_MEDIAN_BYTES = {"ingress": 420, "egress": 2600}
_MEBIBYTE = 2**20
_DICTIONARIES = {
    "kong": 5,
    "kong_locks": 8,
    "kong_healthchecks": 5,
    "kong_cluster_events": 5,
    "kong_rate_limiting_counters": 12,
    "kong_core_db_cache": 128,
    "kong_db_cache": 128,
    "prometheus_metrics": 5,
}
_WORKERS = ("1256", "1257")

log = logging.getLogger("botdemo.proxy")


@dataclass(frozen=True)
class Route:
    """A route of Kong: the service behind it, its share of the requests, and its upstream's median in seconds."""

    service: str
    name: str
    path: str
    weight: float
    median: float


ROUTES = (
    Route("rust-core-engine", "trading-api", "/api/trades", 0.5, 0.018),
    Route("python-ai-service", "ai-api", "/ai/signals", 0.2, 0.045),
    Route("nextjs-ui-dashboard", "ui", "/", 0.3, 0.035),
)


class Gateway:
    """Requests forwarded, connections, memory."""

    def __init__(self, rng: Random, metrics: GatewayMetrics) -> None:
        self._rng = rng
        self._metrics = metrics
        self._arrivals = Arrivals(rng)
        self._connecting = Arrivals(rng)
        self._waiting = MeanReverting(rng, 18, 3, 120)
        self._memory = {worker: MeanReverting(rng, 46e6, 1.5e6, 60) for worker in _WORKERS}
        self._node_id = str(uuid.UUID(int=rng.getrandbits(128), version=4))
        self._accepted = 0
        self._forwarded = 0
        metrics.node_info.labels(self._node_id, VERSION).set(1)
        metrics.timers.labels("running").set(2)
        metrics.timers.labels("pending").set(7)
        for name, size in _DICTIONARIES.items():
            labels = (self._node_id, name, _SUBSYSTEM)
            metrics.dictionary_size.labels(*labels).set(size * _MEBIBYTE)
            metrics.dictionary_used.labels(*labels).set(round(size * _MEBIBYTE * 0.06))
        for route in ROUTES:
            for code in _SOURCES:
                self._requests(route, code)
            for direction in _MEDIAN_BYTES:
                self._bandwidth(route, direction)
            for latency in (
                metrics.kong_latency,
                metrics.upstream_latency,
                metrics.request_latency,
            ):
                latency.labels(route.service, route.name, _WORKSPACE)

    def advance(self, seconds: float, activity: float, switches: GatewaySwitches) -> None:
        """Simulate the forwarded requests of the next `seconds`; log one per step."""
        rate = switches.request_rate
        wanted = _REQUESTS_PER_SECOND * activity if rate is None else rate
        due = self._arrivals.due(wanted, seconds)
        weights = [route.weight for route in ROUTES]
        for index, route in enumerate(self._rng.choices(ROUTES, weights, k=due) if due else ()):
            code = self._forward(route, switches)
            if index == 0:
                log.info("GET %s %s from %s", route.path, code, route.service)
        self._forwarded += due
        self._accepted += self._connecting.due(wanted / 10, seconds)
        self._publish(seconds, switches)

    def status(self, *, reachable: bool) -> dict[str, object]:
        """Return the response of Kong's Admin API on /status."""
        connections = {f"connections_{state}": n for state, n in self._connections().items()}
        return {
            "server": connections | {"total_requests": self._forwarded},
            "database": {"reachable": reachable},
            "memory": {
                "workers_lua_vms": [
                    {"pid": int(worker), "http_allocated_gc": f"{memory.value / _MEBIBYTE:.2f} MiB"}
                    for worker, memory in self._memory.items()
                ],
                "lua_shared_dicts": {
                    name: {
                        "capacity": f"{size:.2f} MiB",
                        "allocated_slabs": f"{size * 0.06:.2f} MiB",
                    }
                    for name, size in _DICTIONARIES.items()
                },
            },
        }

    def _forward(self, route: Route, switches: GatewaySwitches) -> str:
        code = self._code(switches.error_ratio)
        self._requests(route, code).inc()

        upstream = log_normal(self._rng, route.median, 0.5) + switches.latency_seconds
        kong = log_normal(self._rng, _KONG_MEDIAN_SECONDS, 0.5) + switches.kong_latency_seconds
        labels = (route.service, route.name, _WORKSPACE)
        self._metrics.upstream_latency.labels(*labels).observe(round(upstream * 1000))
        self._metrics.kong_latency.labels(*labels).observe(round(kong * 1000))
        self._metrics.request_latency.labels(*labels).observe(round((upstream + kong) * 1000))
        for direction, median in _MEDIAN_BYTES.items():
            self._bandwidth(route, direction).inc(round(log_normal(self._rng, median, 0.4)))
        return code

    def _code(self, error_ratio: float) -> str:
        chance = self._rng.random()
        failing = max(error_ratio, _BAD_GATEWAY_RATIO)
        if chance < failing:
            return "502"
        return "401" if chance < failing + _UNAUTHORIZED_RATIO else "200"

    def _requests(self, route: Route, code: str) -> Counter:
        return self._metrics.requests.labels(
            route.service, route.name, code, _SOURCES[code], _WORKSPACE, _CONSUMER
        )

    def _bandwidth(self, route: Route, direction: str) -> Counter:
        return self._metrics.bandwidth.labels(
            route.service, route.name, direction, _WORKSPACE, _CONSUMER
        )

    def _connections(self) -> dict[str, int]:
        waiting = round(self._waiting.value)
        return {
            "accepted": self._accepted,
            "handled": self._accepted,
            "active": waiting + 1,
            "waiting": waiting,
            "reading": 0,
            "writing": 1,
        }

    def _publish(self, seconds: float, switches: GatewaySwitches) -> None:
        metrics = self._metrics
        metrics.datastore.set(switches.datastore_reachable)
        metrics.nginx_requests.labels(self._node_id, _SUBSYSTEM).set(self._forwarded)
        self._waiting.advance(seconds)
        connections = self._connections() | {"total": self._forwarded}
        for state, number in connections.items():
            metrics.connections.labels(self._node_id, _SUBSYSTEM, state).set(number)
        for worker, memory in self._memory.items():
            used = round(memory.advance(seconds))
            metrics.worker_memory.labels(self._node_id, worker, _SUBSYSTEM).set(used)
