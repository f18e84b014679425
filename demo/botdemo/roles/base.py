"""What all roles have in common: a registry, switches, a clock, and the endpoints that they bring."""

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
    """One service: what it simulates, what it answers, whom it talks to."""

    name: ClassVar[str]
    port: ClassVar[int]
    log_format: ClassVar[logs.Format]
    metrics_path: ClassVar[str] = "/metrics"
    health_paths: ClassVar[tuple[str, ...]] = ("/api/health",)

    unfailing_paths: ClassVar[tuple[str, ...]] = ()
    """Endpoints, beside health, metrics and control, that the switches do not fail or slow."""

    control: Control[Any]
    http: HttpMetrics | None = None
    """Where the requests are counted that are really answered; None where the service does not count them."""

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
        """Let `seconds` pass, and simulate them; of a longer gap, in which the process stood still, the end."""
        self.now += timedelta(seconds=seconds)
        self.simulate(min(seconds, _LONGEST_STEP_SECONDS), activity(self.now))

    @abstractmethod
    def simulate(self, seconds: float, activity: float) -> None:
        """Let every part do what it does in `seconds`, up to `now`, in an hour as busy as `activity`."""

    @abstractmethod
    def mount(self, app: web.Application) -> None:
        """Add the service's own endpoints to those that every role has: health, metrics and control."""

    def links(self) -> Sequence[Background]:
        """Give the sessions with neighbours that run beside the server."""
        return ()

    def health(self) -> dict[str, object]:
        """Give what the health endpoint says of a service that is well."""
        uptime = (self.now - self._start).total_seconds()
        return {"status": "healthy", "service": self.name, "uptime_seconds": round(uptime, 1)}

    def exposition(self) -> bytes:
        """Give the metrics in Prometheus' text format."""
        return metrics.exposition(self.registry)

    @property
    def content_type(self) -> str | None:
        """The Content-Type of the page of metrics; None for a page without one."""
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
        """Give the metrics in Prometheus' text format, with the mistakes that are switched on."""
        families = flawed(self.registry.collect(), self.switches, datetime.now(UTC))
        return metrics.exposition(metrics.Families(families))

    @property
    def content_type(self) -> str | None:
        """The Content-Type of the page of metrics, unless it is switched off."""
        return super().content_type if self.switches.content_type else None
