"""bot-core's services from the monitoring stack's point of view: their addresses, and the series that only they have.

Their names are the jobs and `service` labels that rules, dashboards and checks use, even if a service has another name
where it runs. If a service is not monitored, its job, alerts and panels are left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from stackctl.values import parsers

NONE = "none"

CONTAINERS = "containers"
"""The owner of cAdvisor's series that are about containers, not the whole machine."""


@dataclass(frozen=True, slots=True)
class Application:
    """A service of bot-core."""

    name: str
    target: str
    """Its default address: HOST:PORT, with the metrics path if Prometheus scrapes it directly."""
    health: str | None
    """Path that returns 200 while it is healthy, if it has one."""
    series: str
    """A pattern for the metric names that only this service has."""
    credentials: str | None = None
    """Secret setting with its address and its exporter's credentials; without one, `…_TARGET` is its address."""

    @property
    def setting(self) -> str:
        """The setting with its address."""
        return self.credentials or f"{self.name.upper().replace('-', '_')}_TARGET"

    @property
    def health_setting(self) -> str:
        """The setting with its health path."""
        return f"{self.name.upper().replace('-', '_')}_HEALTH"


_ALL = (
    Application(
        "rust-core-engine",
        "rust-core-engine:8080/metrics",
        "/api/health",
        r"trades?_.+|trading_.+|portfolio_.+|profit_loss_.+|position_.+|max_drawdown_.+|sharpe_.+"
        r"|websocket_.+|db_(query|pool)_.+|users?_.+|strategy_.+|platform_.+",
    ),
    Application(
        "python-ai-service",
        "python-ai-service:8000/metrics",
        "/health",
        r"ai_.+|openai_.+|model_.+",
    ),
    Application(
        "nextjs-ui-dashboard", "nextjs-ui-dashboard:3000/api/metrics", "/api/health", r"(?!)"
    ),
    Application("kong", "kong:8001/metrics", None, r"kong_.+"),
    Application("rabbitmq", "rabbitmq:15692/metrics", None, r"rabbitmq_.+"),
    Application("redis", "redis:6379", None, r"redis_.+"),
    Application(
        "mongodb", "mongodb:27017", None, r"mongodb_.+", credentials="MONGODB_EXPORTER_URI"
    ),
)

APPLICATIONS: Mapping[str, Application] = {one.name: one for one in _ALL}

WITH_HEALTH = tuple(one.name for one in _ALL if one.health is not None)
"""The three that serve users' requests, which share the series of HTTP servers."""

_SHARED = re.compile(r"http_request.+")
# For the network, only the machine's own series are read.
_OF_CONTAINERS = re.compile(r"container_(?!network_).+")
_PROBES: Mapping[str, tuple[str, ...]] = {
    "blackbox-http": WITH_HEALTH,
    "blackbox-websocket": ("rust-core-engine",),
}


@dataclass(frozen=True, slots=True)
class Target:
    """A service's address on its network."""

    host: str
    port: int
    path: str

    @property
    def address(self) -> str:
        """HOST:PORT."""
        return f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class MonitoredServices:
    """The services of bot-core that a stack monitors, and where they run."""

    demo: bool
    """Whether they are the demo's, whose addresses are fixed in the compose file."""
    targets: Mapping[str, Target]
    health: Mapping[str, str]
    network: str | None = None
    """The attached network that they are on."""
    projects: tuple[str, ...] = ()
    """The Compose projects that they belong to, if not this one."""
    container_metrics: bool = True
    """Whether cAdvisor can read this engine's containers."""

    @property
    def subjects(self) -> frozenset[str]:
        """What has series: the monitored services and, if available, containers."""
        return frozenset((*self.targets, *((CONTAINERS,) if self.container_metrics else ())))

    @property
    def left_out(self) -> tuple[str, ...]:
        """The services that are not monitored."""
        return tuple(name for name in APPLICATIONS if name not in self.targets)

    def hosts(self) -> Mapping[str, str]:
        """Return host name → service name for the services whose host has another name."""
        return {target.host: name for name, target in self.targets.items() if target.host != name}


def parse_target(application: Application, text: str) -> str:
    """Validate HOST[:PORT][/PATH] or `none`, and return it with defaults added. Raises ValueError with the reason."""
    if text.lower() == NONE:
        return NONE
    usual = split(application.target)
    found = re.fullmatch(
        r"(?P<host>[A-Za-z0-9]([A-Za-z0-9_.-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\])"
        r"(:(?P<port>[0-9]{1,5}))?(?P<path>/[!-~]*)?",
        text,
    )
    if found is None:
        raise ValueError(f"expected HOST[:PORT][/PATH], such as {application.target}, or {NONE}")
    if found["host"].startswith("["):
        parsers.address(found["host"])
    port = int(found["port"] or usual.port)
    if not 1 <= port <= 65535:
        raise ValueError("expected a port from 1 to 65535")
    if found["path"] and not usual.path:
        raise ValueError("a path is not allowed, because its exporter is scraped instead")
    return f"{found['host']}:{port}{found['path'] or usual.path}"


def split(target: str) -> Target:
    """Parse HOST:PORT/PATH."""
    address, slash, path = target.partition("/")
    host, _, port = address.rpartition(":")
    return Target(host, int(port), slash + path)


def owners(metric_names: Iterable[str], selected_jobs: Iterable[str] = ()) -> set[str]:
    """Return the services that series with these names or jobs are about; empty for series that any service may have.

    It contains CONTAINERS for series of containers.
    """
    found: set[str] = set()
    for name in metric_names:
        if _OF_CONTAINERS.fullmatch(name):
            found.add(CONTAINERS)
        if _SHARED.fullmatch(name):
            found |= set(WITH_HEALTH)
        found |= {one.name for one in _ALL if re.fullmatch(one.series, name)}
    for job in selected_jobs:
        found |= set(_PROBES.get(job, (job,) if job in APPLICATIONS else ()))
    return found
