"""bot-core's services as the monitoring sees them: where each is, and which series only it has.

The names here are the jobs and the `service` labels that rules, dashboards and checks go by, whatever a service is
called where it runs. A service that is not there takes its job, its alerts and its panels with it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from stackctl.values import parsers

NONE = "none"

CONTAINERS = "containers"
"""What series of cAdvisor are about that are not of the machine as a whole."""


@dataclass(frozen=True, slots=True)
class Application:
    """A service of bot-core, by its job."""

    name: str
    target: str
    """Where it is if nothing else is said: HOST:PORT and, where Prometheus scrapes it itself, its metrics path."""
    health: str | None
    """Path that answers 200 while it is well, where it has one."""
    series: str
    """A pattern of the metric names that no other service has."""
    credentials: str | None = None
    """Secret setting that says where it is, and how its exporter logs in; without one, `…_TARGET` says where."""

    @property
    def setting(self) -> str:
        """The name of the setting that says where it is."""
        return self.credentials or f"{self.name.upper().replace('-', '_')}_TARGET"

    @property
    def health_setting(self) -> str:
        """The name of the setting of its health path."""
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
"""The three that answer requests of users: they share the series of their HTTP servers."""

_SHARED = re.compile(r"http_request.+")
# Of the network, only the machine's own series are read.
_OF_CONTAINERS = re.compile(r"container_(?!network_).+")
_PROBES: Mapping[str, tuple[str, ...]] = {
    "blackbox-http": WITH_HEALTH,
    "blackbox-websocket": ("rust-core-engine",),
}


@dataclass(frozen=True, slots=True)
class Target:
    """Where a service is, as one of its neighbours on the network reaches it."""

    host: str
    port: int
    path: str

    @property
    def address(self) -> str:
        """HOST:PORT."""
        return f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class MonitoredServices:
    """The services of bot-core that a stack monitors, and what it knows of where they run."""

    demo: bool
    """Whether they are the demo's, which are always where the compose file has them."""
    targets: Mapping[str, Target]
    health: Mapping[str, str]
    network: str | None = None
    """The network of somebody else's that they are on."""
    projects: tuple[str, ...] = ()
    """The Compose projects of others that they belong to."""
    container_metrics: bool = True
    """Whether cAdvisor can see the containers of this engine."""

    @property
    def subjects(self) -> frozenset[str]:
        """What there are series of: the services that are there, and the containers."""
        return frozenset((*self.targets, *((CONTAINERS,) if self.container_metrics else ())))

    @property
    def left_out(self) -> tuple[str, ...]:
        """The services that are not there."""
        return tuple(name for name in APPLICATIONS if name not in self.targets)

    def hosts(self) -> Mapping[str, str]:
        """Give the name by which each is reached → its name here, of those that are called otherwise."""
        return {target.host: name for name, target in self.targets.items() if target.host != name}


def parse_target(application: Application, text: str) -> str:
    """Check HOST[:PORT][/PATH] or `none`, and give it whole. Raises ValueError with the reason."""
    if text.lower() == NONE:
        return NONE
    usual = split(application.target)
    found = re.fullmatch(
        r"(?P<host>[A-Za-z0-9]([A-Za-z0-9_.-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\])"
        r"(:(?P<port>[0-9]{1,5}))?(?P<path>/[!-~]*)?",
        text,
    )
    if found is None:
        raise ValueError(f"HOST[:PORT][/PATH] is expected, such as {application.target}, or {NONE}")
    if found["host"].startswith("["):
        parsers.address(found["host"])
    port = int(found["port"] or usual.port)
    if not 1 <= port <= 65535:
        raise ValueError("a port is a whole number from 1 to 65535")
    if found["path"] and not usual.path:
        raise ValueError("its exporter is scraped, not itself: it takes no path")
    return f"{found['host']}:{port}{found['path'] or usual.path}"


def split(target: str) -> Target:
    """Take HOST:PORT/PATH apart."""
    address, slash, path = target.partition("/")
    host, _, port = address.rpartition(":")
    return Target(host, int(port), slash + path)


def owners(metric_names: Iterable[str], selected_jobs: Iterable[str] = ()) -> set[str]:
    """Give the services that series of these names, or of these jobs, tell about; none for anybody's series.

    CONTAINERS is among them for series of containers.
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
