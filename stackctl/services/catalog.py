"""The services of the stack as data: which profile starts them, and what proves that one is ready."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from stackctl.config.settings import nearest
from stackctl.errors import UsageError

Profile = Literal["monitoring", "demo", "application", "attached"]
"""The profile that starts it; bot-core's own are started from its Compose files, or attached to where they run."""


@dataclass(frozen=True, slots=True)
class HttpProbe:
    """Ready when `path` of the published port of `via` answers 200 and, where given, has a line that is `line`."""

    path: str
    via: str | None = None
    line: str | None = None


@dataclass(frozen=True, slots=True)
class LogRoundTrip:
    """Ready when a line pushed to Loki comes back from a query: `/ready` alone can be true while queries hang."""


@dataclass(frozen=True, slots=True)
class ContainerHealth:
    """Ready when the container's own health check says so, for a service that publishes no port."""


@dataclass(frozen=True, slots=True)
class Alive:
    """Ready when it runs and its health check, where it has one, agrees, or when it has ended well: bot-core's own."""


Probe = HttpProbe | LogRoundTrip | ContainerHealth | Alive


@dataclass(frozen=True, slots=True)
class Service:
    """A service of the compose files, by its name there."""

    name: str
    profile: Profile
    probe: Probe
    page: str | None = None
    """Path of the page that a person opens, where there is one."""


_ALL = (
    Service("prometheus", "monitoring", HttpProbe("/-/ready"), page="/"),
    Service("alertmanager", "monitoring", HttpProbe("/-/ready"), page="/"),
    Service("grafana", "monitoring", HttpProbe("/api/health"), page="/"),
    Service("loki", "monitoring", LogRoundTrip()),
    Service("docker-socket-proxy", "monitoring", ContainerHealth()),
    Service("promtail", "monitoring", HttpProbe("/ready")),
    Service("node-exporter", "monitoring", HttpProbe("/metrics")),
    Service("cadvisor", "monitoring", HttpProbe("/healthz")),
    # Its /metrics waits for a MongoDB that may not be there.
    Service("mongodb-exporter", "monitoring", HttpProbe("/")),
    Service("redis-exporter", "monitoring", HttpProbe("/metrics")),
    Service("blackbox-exporter", "monitoring", HttpProbe("/-/healthy")),
    Service("rust-core-engine", "demo", HttpProbe("/api/health"), page="/api/health"),
    Service("python-ai-service", "demo", HttpProbe("/health"), page="/health"),
    Service("nextjs-ui-dashboard", "demo", HttpProbe("/api/health"), page="/"),
    Service("kong", "demo", HttpProbe("/metrics")),
    Service("notification-sink", "demo", HttpProbe("/health"), page="/"),
    Service("redis", "demo", ContainerHealth()),
    Service("rabbitmq", "demo", HttpProbe("/metrics")),
    Service("mongodb", "demo", HttpProbe("/metrics", via="mongodb-exporter", line="mongodb_up 1")),
)

SERVICES: Mapping[str, Service] = {service.name: service for service in _ALL}

EXPECTED_JOBS = (
    "prometheus",
    "node-exporter",
    "cadvisor",
    "rust-core-engine",
    "python-ai-service",
    "nextjs-ui-dashboard",
    "mongodb",
    "redis",
)
"""The jobs that the plan's section 9.1 expects to be up."""


def application(name: str, *, attached: bool = False) -> Service:
    """Give a service of bot-core itself, of which only its container is known."""
    return Service(name, "attached" if attached else "application", Alive())


def select(
    names: Iterable[str] = (), *, demo: bool = True, among: Iterable[Service] = _ALL
) -> list[Service]:
    """Give the services by these names, or all of the chosen profiles, in the order of the plan.

    Raises UsageError for an unknown name, with the nearest known one.
    """
    wanted = list(names)
    known: dict[str, Service] = {}
    for service in among:
        known.setdefault(service.name, service)
    for name in wanted:
        if name not in known:
            raise UsageError(f"there is no service {name!r}", remedy=nearest(name, list(known)))
    if wanted:
        return [service for service in known.values() if service.name in wanted]
    return [service for service in known.values() if demo or service.profile != "demo"]
