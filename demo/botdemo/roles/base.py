"""Common parts of all roles: a registry, switches, a clock, and endpoints of their own."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any, ClassVar

from aiohttp import web
from prometheus_client import CollectorRegistry

from botdemo import logs, metrics
from botdemo.control import Control
from botdemo.flaws import flawed
from botdemo.link import Background
from botdemo.metrics import HttpMetrics
from botdemo.settings import Settings
from botdemo.simulation.chance import activity
from botdemo.simulation.traffic import Endpoint, Traffic
from botdemo.switches import ApplicationSwitches, HttpSwitches

_LONGEST_STEP_SECONDS = 5.0


class Role(ABC):
    """One service: its simulation, its endpoints, and the services that it calls."""

    name: ClassVar[str]
    port: ClassVar[int]
    log_format: ClassVar[logs.Format]
    metrics_path: ClassVar[str] = "/metrics"
    health_paths: ClassVar[tuple[str, ...]] = ("/api/health",)

    unfailing_paths: ClassVar[tuple[str, ...]] = ()
    """Endpoints, in addition to health, metrics and control, that switches do not make fail or slow."""

    control: Control[Any]
    http: HttpMetrics | None = None
    """The metrics that count real requests; None if the service does not count them."""

    def __init__(self, settings: Settings, start: datetime) -> None:
        self.settings = settings
        self.rng = Random(f"{settings.seed} {self.name}")  # noqa: S311 - a simulation, no secret
        self.registry = CollectorRegistry()
        self.now = start
        self._start = start

    @property
    def switches(self) -> HttpSwitches:
        """The switches as they are set now."""
        switches: HttpSwitches = self.control.switches
        return switches

    def advance(self, seconds: float) -> None:
        """Simulate `seconds`; after a long gap, in which the process was stopped, only its end."""
        self.now += timedelta(seconds=seconds)
        self.simulate(min(seconds, _LONGEST_STEP_SECONDS), activity(self.now))

    @abstractmethod
    def simulate(self, seconds: float, activity: float) -> None:
        """Advance every part by `seconds`, up to `now`; `activity` is how busy the hour is."""

    @abstractmethod
    def mount(self, app: web.Application) -> None:
        """Add the service's own endpoints to those of every role: health, metrics and control."""

    def links(self) -> Sequence[Background]:
        """Return the sessions with other services that run next to the server."""
        return ()

    def health(self) -> dict[str, object]:
        """Return the health endpoint's response of a healthy service."""
        uptime = (self.now - self._start).total_seconds()
        return {"status": "healthy", "service": self.name, "uptime_seconds": round(uptime, 1)}

    def exposition(self) -> bytes:
        """Return the metrics in Prometheus' text format."""
        return metrics.exposition(self.registry)

    @property
    def content_type(self) -> str | None:
        """The Content-Type of the metrics page; None for a page without one."""
        return metrics.TEXT_FORMAT


class Application(Role):
    """One of bot-core's own services: it counts its requests, real and simulated."""

    endpoints: ClassVar[tuple[Endpoint, ...]]
    requests_per_second: ClassVar[float]

    def __init__(self, settings: Settings, start: datetime) -> None:
        super().__init__(settings, start)
        http = self.http = HttpMetrics(self.registry)
        self.traffic = Traffic(self.rng, http, self.endpoints, self.requests_per_second)

    @property
    def switches(self) -> ApplicationSwitches:
        """The switches as they are set now."""
        switches: ApplicationSwitches = self.control.switches
        return switches

    def exposition(self) -> bytes:
        """Return the metrics in Prometheus' text format, with the mistakes that are switched on."""
        families = flawed(self.registry.collect(), self.switches, datetime.now(UTC))
        return metrics.exposition(metrics.Families(families))

    @property
    def content_type(self) -> str | None:
        """The Content-Type of the metrics page, unless it is switched off."""
        return super().content_type if self.switches.content_type else None
