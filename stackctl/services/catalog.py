"""The services of the stack, one row each. A new service needs a row, an entry in a compose file, and tests.

Everything else is in the compose files: command, mounts, limits, `depends_on`.
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
"""The profile of a service; bot-core's are either started from its Compose files or attached."""


SetName = Literal["upstream", "local"]
"""The image sets: the plan's upstream images, or the local set, which is built from Debian packages."""


@dataclass(frozen=True, slots=True)
class HttpProbe:
    """Ready when `path` at the published port of `via` returns 200.

    With `metric`, the page must also contain this metric, with `value` in each of its series.
    """

    path: str
    via: str | None = None
    metric: str | None = None
    value: float = 1


@dataclass(frozen=True, slots=True)
class LogRoundTrip:
    """Ready when a query returns a line that was pushed to Loki: `/ready` alone can succeed while queries hang."""


@dataclass(frozen=True, slots=True)
class ContainerSeries:
    """Ready when its metrics include a container's: cAdvisor can be healthy without containers."""

    path: str = "/metrics"
    metric: str = "container_start_time_seconds"
    """A series that every container has from the first response on."""
    health: str = "/healthz"
    """Path that returns 200 even without containers."""


@dataclass(frozen=True, slots=True)
class LinesSent:
    """Ready when a log collector has sent lines to Loki, according to its counters.

    Its /ready returns 200 even if it cannot read anything, for example because Docker's API rejects its requests.
    """

    read: str
    """The counter of lines read from containers."""
    sent: str
    """The counter of lines that Loki accepted."""


@dataclass(frozen=True, slots=True)
class ContainerHealth:
    """Ready when the container's health check passes; for services that publish no port."""


@dataclass(frozen=True, slots=True)
class Alive:
    """Ready when it is running and its health check, if any, passes, or it exited with 0; for bot-core's services."""


Probe = HttpProbe | LogRoundTrip | LinesSent | ContainerSeries | ContainerHealth | Alive


@dataclass(frozen=True, slots=True)
class Port:
    """A port published on this machine: its setting and its default."""

    setting: str
    default: int


@dataclass(frozen=True, slots=True)
class ConfigCheck:
    """A program's validation of its configuration. Without `entrypoint`, the image's receives the arguments."""

    folder: str
    """The folder in the rendered configuration."""
    at: str
    """The path at which the program expects this folder."""
    entrypoint: str | None
    arguments: tuple[str, ...]
    files: tuple[str, ...] = ()
    """Patterns in the folder; matching files are passed as additional arguments."""
    subject: str = "configuration"


@dataclass(frozen=True, slots=True)
class Data:
    """The data of a service in a volume, and which releases of the program can read it."""

    volume: str
    """The volume's key in the compose files."""
    content: str
    """What it contains."""
    forward: int = 1
    """How many leading numbers of the version determine whether a release is too old for the data."""
    fixed: int = 0
    """How many of them must not change, because the program does not support such an upgrade."""
    in_backup: bool = True


@dataclass(frozen=True, slots=True)
class Service:
    """A service in the compose files."""

    name: str
    profile: Profile
    probe: Probe
    page: str | None = None
    """Path of its web page, if it has one."""
    port: Port | None = None
    image: str = ""
    """The name of its image, if it shares it with other services."""
    only_in: Release | None = None
    """The only release of its image in which it exists (compose/images.yml); None if it exists in both."""
    reads: tuple[str, ...] = ()
    """Paths in the state folder that it reads at startup. Compose replaces the container when they change."""
    checks: tuple[ConfigCheck, ...] = ()
    reloads: str | None = None
    """Folder in `config/` that it reloads after POST /-/reload."""
    watches: str | None = None
    """Folder in `config/` that it watches for changes."""
    data: Data | None = None
    expected_job: bool = False
    """Whether the plan's section 9.1 expects the job of its name to be up."""
    reaches_application: bool = False
    """Whether it connects to bot-core's services and therefore must be on their networks."""

    @property
    def image_name(self) -> str:
        """The name of its image, by default that of the service."""
        return self.image or self.name


def _variable(name: str, suffix: str) -> str:
    return f"{name.upper().replace('-', '_')}_{suffix}"


def image_variable(image: str) -> str:
    """Return the setting that overrides an image."""
    return _variable(image, "IMAGE")


def fingerprint_variable(image: str) -> str:
    """Return the variable in the compose files that changes with the files that an image's services read."""
    return _variable(image, "FINGERPRINT")


# The `kubernetes` fragment refers to files that only exist inside a cluster, hence --syntax-only.
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
        subject="rules",
    ),
)

_AUTHORITIES = "config/ca"
"""Additional certificate authorities, which programs written in Go read only at startup."""

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
        # A reload at the moment when a targets file becomes empty keeps the old targets (prometheus/prometheus#12858).
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
        # Its authors do not guarantee that an older release can read the data.
        data=Data("alertmanager_data", "silences and the notification log", forward=2),
    ),
    Service(
        "grafana",
        "monitoring",
        HttpProbe("/api/health"),
        page="/",
        port=Port("GRAFANA_PORT", 3001),
        reads=("config/grafana/provisioning", _AUTHORITIES, "secrets/grafana_password"),
        watches="grafana/dashboards/",
        data=Data("grafana_data", "annotations, users and custom dashboards"),
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
        # /metrics would wait for MongoDB, which may not be running.
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
        # It must be upgraded step by step, with feature flags enabled in between.
        data=Data("rabbitmq_data", "queues", fixed=2, in_backup=False),
    ),
    Service(
        "mongodb",
        "demo",
        # Only whether it is up, because some statistics take seconds.
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
    """Return the paths in the state folder that the services of an image read at startup."""
    return tuple(path for one in _ALL if one.image_name == image for path in one.reads)


def profile_variables(releases: Releases) -> dict[str, str]:
    """Return the variables with which the compose files leave out services that these releases do not use."""
    return {
        _variable(one.name, "PROFILE"): one.profile if _is_in(one, releases) else "not-in-release"
        for one in _ALL
        if one.only_in is not None
    }


def _is_in(service: Service, releases: Releases) -> bool:
    """Return whether a service exists in the chosen release of its image."""
    return service.only_in in {None, releases[service.image_name]}


LOG_COLLECTORS = ("promtail", "alloy")
"""The services that read the containers' logs, of which a stack has one."""


def log_collector(releases: Releases) -> str:
    """Return the service that reads the containers' logs in these releases."""
    (found,) = (one for one in LOG_COLLECTORS if _is_in(SERVICES[one], releases))
    return found


def application(name: str, *, attached: bool = False) -> Service:
    """Return a service of bot-core, about which only its container is known."""
    return Service(name, "attached" if attached else "application", Alive())


def without_container_series(service: Service) -> Service:
    """Return a service with a readiness probe that does not require metrics of containers."""
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
    """Return the services with these names, or all of the chosen profiles, in the plan's order.

    Services that `releases` do not use are left out. Raises UsageError for an unknown name, with the closest known one.
    """
    wanted = list(names)
    known: dict[str, Service] = {}
    for service in among:
        known.setdefault(service.name, service)
    for name in wanted:
        if name not in known:
            raise UsageError(f"unknown service {name!r}", remedy=nearest(name, list(known)))
    if wanted:
        return [service for service in known.values() if service.name in wanted]
    return [
        service
        for service in known.values()
        if (demo or service.profile != "demo") and (releases is None or _is_in(service, releases))
    ]
