"""Simulated requests of users: counted as if they had been handled."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from botdemo import logs
from botdemo.metrics import HttpMetrics
from botdemo.simulation.chance import Arrivals, log_normal
from botdemo.simulation.market import BITCOIN
from botdemo.switches import HttpSwitches

_SIGMA = 0.6
_UNAUTHORIZED_RATIO = 0.01
_SERVER_ERROR_RATIO = 0.0003

log = logging.getLogger("botdemo.http")


@dataclass(frozen=True)
class Endpoint:
    """A route that users request: its template, share of the requests, median seconds and status on success."""

    method: str
    template: str
    weight: float
    median: float
    status: int = 200


class Traffic:
    """Distributes requests over endpoints, `rate` per second in a mean hour."""

    def __init__(
        self, rng: Random, metrics: HttpMetrics, endpoints: Sequence[Endpoint], rate: float
    ) -> None:
        self._rng = rng
        self._metrics = metrics
        self._endpoints = endpoints
        self._weights = [endpoint.weight for endpoint in endpoints]
        self._rate = rate
        self._arrivals = Arrivals(rng)
        for endpoint in endpoints:
            for status in (endpoint.status, 500):
                metrics.requests.labels(endpoint.method, endpoint.template, status)
            metrics.duration.labels(endpoint.method, endpoint.template)

    def advance(self, seconds: float, activity: float, switches: HttpSwitches) -> None:
        """Simulate the requests of the next `seconds`; log one per step."""
        rate = switches.request_rate
        due = self._arrivals.due(self._rate * activity if rate is None else rate, seconds)
        for index, endpoint in enumerate(
            self._rng.choices(self._endpoints, self._weights, k=due) if due else ()
        ):
            status = self._status(endpoint, switches.error_ratio)
            took = log_normal(self._rng, endpoint.median, _SIGMA) + switches.latency_seconds
            self._metrics.observe(endpoint.method, endpoint.template, status, took)
            if index == 0:
                path = endpoint.template.replace("{symbol}", BITCOIN)
                logs.request_line(log, endpoint.method, path, status, took)

    def _status(self, endpoint: Endpoint, error_ratio: float) -> int:
        chance = self._rng.random()
        failing = max(error_ratio, _SERVER_ERROR_RATIO)
        if chance < failing:
            return 500
        return 401 if chance < failing + _UNAUTHORIZED_RATIO else endpoint.status
