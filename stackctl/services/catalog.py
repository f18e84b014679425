"""The services of the stack, one row each: a new service is a row here, its entry in a compose file, and its tests.

What the row does not say is in the compose files: command, mounts, limits, `depends_on`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Literal

from stackctl.errors import UsageError
from stackctl.services import channels
from stackctl.services.releases import Release, Releases
from stackctl.util.suggest import nearest

Profile = Literal["monitoring", "demo", "application", "attached"]
"""The profile that starts it; bot-core's own are started from its Compose files, or attached to where they run."""


SetName = Literal["upstream", "local"]
"""The image sets: the plan's upstream images, or the local set that is built from Debian's packages."""


@dataclass(frozen=True, slots=True)
class HttpProbe:
    """Ready when `path` of the published port of `via` answers 200.

    With `metric`, the answer must also have that metric, with `value` in each of its series.
    """

    path: str
    via: str | None = None
    metric: str | None = None
    value: float = 1


@dataclass(frozen=True, slots=True)
class LogRoundTrip:
    """Ready when a line pushed to Loki comes back from a query: `/ready` alone can be true while queries hang."""


@dataclass(frozen=True, slots=True)
class ContainerSeries:
    """Ready when its metrics have those of a container: cAdvisor can be healthy and see none."""

    path: str = "/metrics"
    metric: str = "container_start_time_seconds"
    """A series that every container has from the first answer on."""
    health: str = "/healthz"
    """Answers 200 without containers too."""


@dataclass(frozen=True, slots=True)
class LinesSent:
    """Ready when a log collector has sent lines to Loki, as its own counters say.

    Its /ready answers 200 whether or not it can read anything: with Docker's API out of reach, or refusing it, too.
    """

    read: str
    """The counter of lines read from containers."""
    sent: str
    """The counter of lines that Loki took."""


@dataclass(frozen=True, slots=True)
class ContainerHealth:
    """Ready when the container's own health check says so, for a service that publishes no port."""


@dataclass(frozen=True, slots=True)
class Alive:
    """Ready when it runs and its health check, where it has one, agrees, or when it has ended well: bot-core's own."""


Probe = HttpProbe | LogRoundTrip | LinesSent | ContainerSeries | ContainerHealth | Alive


@dataclass(frozen=True, slots=True)
class Port:
    """A port published on this machine: the setting that moves it, and its default."""

    setting: str
    default: int


@dataclass(frozen=True, slots=True)
class ConfigCheck:
    """A program's own check of its configuration. Without an entry point the image's own gets the arguments."""

    folder: str
    """Below the rendered configuration."""
    at: str
    """Where the program expects that folder."""
    entrypoint: str | None
    arguments: tuple[str, ...]
    files: tuple[str, ...] = ()
    """Patterns below the folder; the files that match are further arguments."""
    subject: str = "its configuration"


@dataclass(frozen=True, slots=True)
class Data:
    """What a service keeps in a volume, and by which releases of its program that can be read."""

    volume: str
    """The volume's key in the compose files."""
    content: str
    """What is lost with it."""
    forward: int = 1
    """How many numbers of the version, from the left, decide on a release that is too old for the data."""
    fixed: int = 0
    """How many may not change at all, because the program takes no step of that size."""
    in_backup: bool = True


@dataclass(frozen=True, slots=True)
class Service:
    """A service of the compose files, by its name there."""

    name: str
    profile: Profile
    probe: Probe
    page: str | None = None
    """Path of the page that a person opens, where there is one."""
    port: Port | None = None
    image: str = ""
    """The name of its image, where it shares that with other services."""
    only_in: Release | None = None
    """The release of its image that there is, where there is only one (compose/images.yml)."""
    reads: tuple[str, ...] = ()
    """What it reads at its start, below the state folder. Compose replaces the container when that changes."""
    checks: tuple[ConfigCheck, ...] = ()
    reloads: str | None = None
    """Folder below `config/` that it reads again after POST /-/reload."""
    watches: str | None = None
    """Folder below `config/` that it looks at for changes by itself."""
    data: Data | None = None
    expected_job: bool = False
    """Whether the plan's section 9.1 expects the job of its name to be up."""
    reaches_application: bool = False
    """Whether it connects to bot-core's services, and so has to be on their networks."""

    @property
    def image_name(self) -> str:
        """The name of its image: its own unless it shares one."""
        return self.image or self.name


def _variable(name: str, suffix: str) -> str:
    return f"{name.upper().replace('-', '_')}_{suffix}"


def image_variable(image: str) -> str:
    """Return the setting that replaces an image."""
    return _variable(image, "IMAGE")


def fingerprint_variable(image: str) -> str:
    """Return the variable of the compose files that changes with what services of an image read."""
    return _variable(image, "FINGERPRINT")


# Prometheus' `kubernetes` fragment names files that exist only inside a cluster, hence --syntax-only.
_PROMETHEUS_CHECKS = (
    ConfigCheck(
        "prometheus",
        "/etc/prometheus",
        "promtool",
        ("check", "config", "--syntax-only", "/etc/prometheus/prometheus.yml"),
    ),
    ConfigCheck(
        "prometheus",
        "/etc/prometheus",
        "promtool",
        ("check", "rules"),
        files=("alerts/*.yml", "recording-rules/*.yml"),
        subject="its rules",
    ),
)

_AUTHORITIES = "config/ca"
"""Further certificate authorities, which Go's programs read once."""

_ALL = (
    Service(
        "prometheus",
        "monitoring",
        HttpProbe("/-/ready"),
        page="/",
        port=Port("PROMETHEUS_PORT", 9090),
        reads=("config/prometheus",),
        checks=_PROMETHEUS_CHECKS,
        reloads="prometheus/",
        # A reload at the moment that a file of targets becomes empty keeps its old ones (prometheus/prometheus#12858).
        watches="prometheus/targets/",
        data=Data("prometheus_data", "metrics"),
        expected_job=True,
        reaches_application=True,
    ),
    Service(
        "alertmanager",
        "monitoring",
        HttpProbe("/-/ready"),
        page="/",
        port=Port("ALERTMANAGER_PORT", 9093),
        reads=(
            "config/alertmanager",
            _AUTHORITIES,
            *(f"secrets/{file}" for file, _ in channels.secret_files()),
        ),
        checks=(
            ConfigCheck(
                "alertmanager",
                "/etc/alertmanager",
                "amtool",
                ("check-config", "/etc/alertmanager/alertmanager.yml"),
            ),
        ),
        reloads="alertmanager/",
        # Its authors promise nothing for an older release.
        data=Data("alertmanager_data", "silences and the log of notifications", forward=2),
    ),
    Service(
        "grafana",
        "monitoring",
        HttpProbe("/api/health"),
        page="/",
        port=Port("GRAFANA_PORT", 3001),
        reads=("config/grafana/provisioning", _AUTHORITIES, "secrets/grafana_password"),
        watches="grafana/dashboards/",
        data=Data("grafana_data", "annotations, users, and dashboards of your own"),
    ),
    Service(
        "loki",
        "monitoring",
        LogRoundTrip(),
        port=Port("LOKI_PORT", 3100),
        reads=("config/loki/loki-config.yml", "config/loki/rules"),
        checks=(
            ConfigCheck(
                "loki",
                "/etc/loki",
                None,
                ("-config.file=/etc/loki/loki-config.yml", "-verify-config"),
            ),
        ),
        data=Data("loki_data", "log lines"),
    ),
    Service(
        "docker-socket-proxy",
        "monitoring",
        ContainerHealth(),
        reads=("config/docker-socket-proxy",),
    ),
    Service(
        "promtail",
        "monitoring",
        LinesSent("promtail_docker_target_entries_total", "promtail_sent_entries_total"),
        port=Port("PROMTAIL_PORT", 9080),
        only_in="plan",
        reads=("config/loki/promtail-config.yml",),
        checks=(
            ConfigCheck(
                "loki",
                "/etc/promtail",
                None,
                ("-config.file=/etc/promtail/promtail-config.yml", "-check-syntax"),
            ),
        ),
    ),
    Service(
        "alloy",
        "monitoring",
        LinesSent("loki_source_docker_target_entries_total", "loki_write_sent_entries_total"),
        port=Port("ALLOY_PORT", 12345),
        only_in="current",
        reads=("config/loki/config.alloy",),
        checks=(
            ConfigCheck(
                "loki",
                "/etc/alloy",
                None,
                ("validate", "--stability.level=experimental", "/etc/alloy/config.alloy"),
            ),
        ),
    ),
    Service(
        "node-exporter",
        "monitoring",
        HttpProbe("/metrics"),
        port=Port("NODE_EXPORTER_PORT", 9100),
        expected_job=True,
    ),
    Service(
        "cadvisor",
        "monitoring",
        ContainerSeries(),
        port=Port("CADVISOR_PORT", 8081),
        expected_job=True,
    ),
    Service(
        "mongodb-exporter",
        "monitoring",
        # Its /metrics waits for a MongoDB that may not be running.
        HttpProbe("/"),
        port=Port("MONGODB_EXPORTER_PORT", 9216),
        reaches_application=True,
    ),
    Service(
        "redis-exporter",
        "monitoring",
        HttpProbe("/metrics"),
        port=Port("REDIS_EXPORTER_PORT", 9121),
        reads=("secrets/redis_exporter_passwords",),
        reaches_application=True,
    ),
    Service(
        "blackbox-exporter",
        "monitoring",
        HttpProbe("/-/healthy"),
        port=Port("BLACKBOX_EXPORTER_PORT", 9115),
        reads=("config/blackbox", _AUTHORITIES),
        checks=(
            ConfigCheck(
                "blackbox",
                "/etc/blackbox",
                None,
                ("--config.file=/etc/blackbox/blackbox.yml", "--config.check"),
            ),
        ),
        reloads="blackbox/",
        reaches_application=True,
    ),
    Service(
        "rust-core-engine",
        "demo",
        HttpProbe("/api/health"),
        page="/api/health",
        port=Port("RUST_CORE_ENGINE_PORT", 8080),
        image="demo",
        reads=("secrets/redis_password", "secrets/rabbitmq_password"),
        expected_job=True,
    ),
    Service(
        "python-ai-service",
        "demo",
        HttpProbe("/health"),
        page="/health",
        port=Port("PYTHON_AI_SERVICE_PORT", 8000),
        image="demo",
        expected_job=True,
    ),
    Service(
        "nextjs-ui-dashboard",
        "demo",
        HttpProbe("/api/health"),
        page="/",
        port=Port("NEXTJS_UI_DASHBOARD_PORT", 3000),
        image="demo",
        expected_job=True,
    ),
    Service(
        "kong",
        "demo",
        HttpProbe("/metrics"),
        port=Port("KONG_PORT", 8001),
        image="demo",
    ),
    Service(
        "notification-sink",
        "demo",
        HttpProbe("/health"),
        page="/",
        port=Port("NOTIFICATION_SINK_PORT", 8025),
        image="demo",
    ),
    Service(
        "redis",
        "demo",
        ContainerHealth(),
        reads=("secrets/redis_conf",),
        data=Data("redis_data", "keys", forward=2, in_backup=False),
        expected_job=True,
    ),
    Service(
        "rabbitmq",
        "demo",
        HttpProbe("/metrics"),
        port=Port("RABBITMQ_METRICS_PORT", 15692),
        reads=("secrets/rabbitmq_conf", "secrets/rabbitmq_definitions"),
        # It takes one step at a time, with feature flags to be enabled in between.
        data=Data("rabbitmq_data", "queues", fixed=2, in_backup=False),
    ),
    Service(
        "mongodb",
        "demo",
        # Whether it is up, and nothing else: some documents take seconds.
        HttpProbe("/metrics?collect[]=none", via="mongodb-exporter", metric="mongodb_up", value=1),
        reads=("secrets/mongodb_password",),
        data=Data("mongodb_data", "collections", fixed=1, in_backup=False),
        expected_job=True,
    ),
)

SERVICES: Mapping[str, Service] = {service.name: service for service in _ALL}

PUBLISHED_PORTS: Mapping[str, Port] = {one.name: one.port for one in _ALL if one.port is not None}
"""Service → its port on this machine (the plan's section 5.4)."""

IMAGES: tuple[str, ...] = tuple(dict.fromkeys(one.image_name for one in _ALL))
"""The names of the stack's images."""

EXPECTED_JOBS: tuple[str, ...] = tuple(one.name for one in _ALL if one.expected_job)
"""The jobs that the plan's section 9.1 expects to be up."""


def reads_of(image: str) -> tuple[str, ...]:
    """Return what the services of an image read at their start, by path below the state folder."""
    return tuple(path for one in _ALL if one.image_name == image for path in one.reads)


def profile_variables(releases: Releases) -> dict[str, str]:
    """Return the variables by which the compose files leave out services that these releases do without."""
    return {
        _variable(one.name, "PROFILE"): one.profile if _is_in(one, releases) else "not-in-release"
        for one in _ALL
        if one.only_in is not None
    }


def _is_in(service: Service, releases: Releases) -> bool:
    """Return whether a service exists in the release of its image that runs."""
    return service.only_in in {None, releases[service.image_name]}


LOG_COLLECTORS = ("promtail", "alloy")
"""The services that read the containers' logs; a stack has one of them."""


def log_collector(releases: Releases) -> str:
    """Return the service that reads the containers' logs in these releases."""
    (found,) = (one for one in LOG_COLLECTORS if _is_in(SERVICES[one], releases))
    return found


def application(name: str, *, attached: bool = False) -> Service:
    """Return a service of bot-core itself, of which only its container is known."""
    return Service(name, "attached" if attached else "application", Alive())


def without_container_series(service: Service) -> Service:
    """Return a service as it is ready where nothing sees the engine's containers."""
    if isinstance(service.probe, ContainerSeries):
        return replace(service, probe=HttpProbe(service.probe.health))
    return service


def select(
    names: Iterable[str] = (),
    *,
    demo: bool = True,
    releases: Releases | None = None,
    among: Iterable[Service] = _ALL,
) -> list[Service]:
    """Return the services by these names, or all of the chosen profiles, in the order of the plan.

    With `releases` those are left out that these do without. Raises UsageError for an unknown name, with the nearest
    known one.
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
    return [
        service
        for service in known.values()
        if (demo or service.profile != "demo") and (releases is None or _is_in(service, releases))
    ]
