"""A healthy bot-core as time series, and what changes in them during an incident."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

STEP = 30
"""Seconds between samples, and between evaluations of the rules."""

Value = float | None
"""A sample; None where the target does not expose the series."""


@dataclass
class State:
    """What can go wrong, at one moment. The defaults are a healthy stack."""

    down: frozenset[str] = frozenset()
    """Instances, HOST:PORT, that do not answer."""
    unknown: bool = False
    """Whether Prometheus does not run either, so that nothing has a sample."""
    vanished: frozenset[str] = frozenset()
    """Jobs that have no targets."""
    error_ratio: Mapping[str, float] = field(default_factory=dict)
    """Service → share of its requests that end with a 5xx, all of one endpoint first."""
    seconds: Mapping[str, float] = field(default_factory=dict)
    """Service → how long its requests take."""
    unhealthy: frozenset[str] = frozenset()
    """Services whose health address answers an error."""
    gateway_errors: float = 0.0005
    trades_a_second: float = 1.0
    trade_failures: float = 0.01
    trade_seconds: float = 0.3
    position_btc: float = 0.05
    mongodb: bool = True
    redis: bool = True
    pool_used: float = 14
    pool_idle: float = 86
    query_seconds: float = 0.02
    binance: int = 200
    """The status that Binance answers with; 0 is no answer."""
    openai_limits: float = 0.0
    openai_errors: float = 0.0
    analyses_a_second: float = 0.6
    analysis_seconds: float = 1.0
    disk_used: float = 0.4
    rdb_saved: bool = True
    blocked: bool = False
    """Whether RabbitMQ has raised its disk alarm."""
    cpu_busy: float = 0.2
    memory_used: float = 0.5
    out_of_memory_kills: float = 0.0
    """A second."""
    discarded_lines: float = 0.0
    """A second, by Loki."""
    lines_sent: float = 10.0
    containers_seen: bool = True
    restarts: int = 0
    """How often the engine has been started again: each makes its counters begin at 0."""
    notifications_failed: float = 0.0
    """A second, by Slack."""


def targets(engines: tuple[str, ...] = ("rust-core-engine:8080",)) -> dict[str, tuple[str, str]]:
    """Return instance → job and service of everything that is scraped, without the probes."""
    single = {
        "localhost:9090": "prometheus",
        "alertmanager:9093": "alertmanager",
        "grafana:3000": "grafana",
        "loki:3100": "loki",
        "promtail:9080": "promtail",
        "node-exporter:9100": "node-exporter",
        "cadvisor:8080": "cadvisor",
        "python-ai-service:8000": "python-ai-service",
        "nextjs-ui-dashboard:3000": "nextjs-ui-dashboard",
        "mongodb-exporter:9216": "mongodb",
        "redis-exporter:9121": "redis",
        "rabbitmq:15692": "rabbitmq",
        "kong:8001": "kong",
        "blackbox-exporter:9115": "blackbox-exporter",
    }
    single |= dict.fromkeys(engines, "rust-core-engine")
    return {instance: (job, job) for instance, job in single.items()}


PROBES = {
    "rust-core-engine": "/api/health",
    "python-ai-service": "/health",
    "nextjs-ui-dashboard": "/api/health",
}
_BUCKETS = (0.1, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0)


@dataclass(frozen=True)
class Series:
    """A series: what it reads off a state, as a gauge's value or a counter's growth a second."""

    name: str
    labels: Mapping[str, str]
    read: Callable[[State], Value]
    counter: bool = False
    probe_of: str = ""
    """The instance whose state a probe's series follow; they are scraped from the blackbox exporter."""

    @property
    def instance(self) -> str:
        """The target that exposes it."""
        return self.labels["instance"]


def series(engines: tuple[str, ...]) -> Iterator[Series]:
    """Yield every series that rules read, of a stack with these instances of the engine."""
    for instance, (job, service) in targets(engines).items():
        own = {"job": job, "service": service, "instance": instance}
        for name, labels, read, counter in _of_job(job, len(engines)):
            yield Series(name, {**own, **labels}, read, counter)
        yield Series("scrape_samples_post_metric_relabeling", own, lambda state: 100)
        if job in PROBES:
            yield from _probe(instance, service, f"http://{instance}{PROBES[job]}", "blackbox-http")
        if job == "rust-core-engine":
            yield from _probe(instance, service, instance, "blackbox-websocket")
    binance = {"job": "binance-api", "service": "binance-api"}
    binance["instance"] = "https://api.binance.com/api/v3/ping"
    yield Series("probe_success", binance, lambda state: float(state.binance == 200), probe_of="-")
    yield Series("probe_http_status_code", binance, lambda state: state.binance, probe_of="-")
    yield Series(
        "probe_duration_seconds",
        binance,
        lambda state: 0.2 if state.binance else 10.0,
        probe_of="-",
    )


def _probe(instance: str, service: str, address: str, job: str) -> Iterator[Series]:
    labels = {"job": job, "service": service, "instance": address}

    def succeeded(state: State) -> Value:
        healthy = job == "blackbox-websocket" or service not in state.unhealthy
        return float(instance not in state.down and healthy)

    yield Series("probe_success", labels, succeeded, probe_of=instance)


Row = tuple[str, dict[str, str], Callable[[State], Value], bool]


def _gauge(name: str, read: Callable[[State], Value], /, **labels: str) -> Row:
    return name, labels, read, False


def _counter(name: str, rate: Callable[[State], Value], /, **labels: str) -> Row:
    return name, labels, rate, True


def _of_job(job: str, instances: int) -> Iterator[Row]:
    yield from (_JOBS[job](instances) if job in _JOBS else ())


def _requests(service: str, rate: float) -> Iterator[Row]:
    """Yield the requests of an application: nine tenths to one endpoint, one tenth to another.

    Errors are those of the smaller endpoint first, so that a share of 0.1 is one broken endpoint.
    """

    def broken(state: State) -> float:
        return min(state.error_ratio.get(service, 0.0) / 0.1, 1.0)

    def others(state: State) -> float:
        return max(state.error_ratio.get(service, 0.0) - 0.1, 0.0) / 0.9

    for endpoint, share, failing in (("/api/orders", 0.1, broken), ("/api/portfolio", 0.9, others)):
        labels = {"method": "GET", "endpoint": endpoint}
        yield _counter(
            "http_requests_total",
            lambda state, share=share, failing=failing: rate * share * (1 - failing(state)),
            status="200",
            **labels,
        )
        yield _counter(
            "http_requests_total",
            lambda state, share=share, failing=failing: rate * share * failing(state),
            status="500",
            **labels,
        )
        yield from _histogram(
            "http_request_duration_seconds",
            lambda state, share=share: rate * share,
            lambda state: state.seconds.get(service, 0.08),
            **labels,
        )
    yield _gauge("process_open_fds", lambda state: 60)
    yield _gauge("process_max_fds", lambda state: 1024)


def _histogram(
    name: str, rate: Callable[[State], float], seconds: Callable[[State], float], **labels: str
) -> Iterator[Row]:
    for bound in _BUCKETS:
        yield _counter(
            f"{name}_bucket",
            lambda state, bound=bound: rate(state) * (seconds(state) <= bound),
            le=f"{bound:g}",
            **labels,
        )
    yield _counter(f"{name}_bucket", rate, le="+Inf", **labels)
    yield _counter(f"{name}_count", rate, **labels)
    yield _counter(f"{name}_sum", lambda state: rate(state) * seconds(state), **labels)


def _engine(instances: int) -> Iterator[Row]:
    share = 1 / instances
    yield from _requests("rust-core-engine", 8.0 * share)
    yield _gauge("process_start_time_seconds", lambda state: -86400 + state.restarts)
    half = 0.5 * share
    for symbol in ("BTCUSDT", "ETHUSDT"):
        labels = {"symbol": symbol, "side": "buy"}
        yield _counter("trades_total", lambda state: state.trades_a_second * half, **labels)
        yield _counter(
            "trades_failed_total",
            lambda state: state.trades_a_second * half * state.trade_failures,
            **labels,
        )
        yield _counter(
            "trades_success_total",
            lambda state: state.trades_a_second * half * (1 - state.trade_failures),
            **labels,
        )
        yield _gauge("position_size_btc", lambda state: state.position_btc, symbol=symbol)
    yield from _histogram(
        "trade_execution_duration_seconds",
        lambda state: state.trades_a_second * share,
        lambda state: state.trade_seconds,
    )
    yield from _histogram(
        "db_query_duration_seconds",
        lambda state: 8.0 * share,
        lambda state: state.query_seconds,
        collection="trades",
        operation="find",
    )
    yield from _histogram(
        "websocket_message_duration_seconds", lambda state: 15.0 * share, lambda state: 0.01
    )
    for name, value in {
        "trading_enabled": 1.0,
        "trading_balance_usdt": 90_000.0,
        "portfolio_value_usd": 100_000.0,
        "profit_loss_daily": 100.0,
        "max_drawdown_ratio": 0.02,
        "sharpe_ratio": 1.8,
        "users_active_total": 120.0,
        "websocket_connections_active": 42.0,
    }.items():
        yield _gauge(name, lambda state, value=value: value)
    yield _counter("platform_fees_total", lambda state: 0.02)
    yield _counter("trade_volume_total", lambda state: 80.0, symbol="BTCUSDT")
    yield _counter("websocket_errors_total", lambda state: 0.0)
    yield _gauge("db_pool_connections", lambda state: state.pool_used, state="used")
    yield _gauge("db_pool_connections", lambda state: state.pool_idle, state="idle")
    yield _gauge("db_pool_connections", lambda state: 100, state="max")


def _analyst(_: int) -> Iterator[Row]:
    yield from _requests("python-ai-service", 2.0)
    yield _counter("ai_analysis_total", lambda state: state.analyses_a_second)
    yield from _histogram(
        "ai_analysis_duration_seconds",
        lambda state: state.analyses_a_second,
        lambda state: state.analysis_seconds,
    )
    yield _gauge("ai_model_confidence", lambda state: 0.7, model="a")
    for signal in ("LONG", "SHORT"):
        yield _counter(
            "ai_predictions_total", lambda state: state.analyses_a_second / 2, signal=signal
        )
    yield _gauge("ai_prediction_accuracy", lambda state: 0.66)
    yield _counter("openai_requests_total", lambda state: 0.5)
    yield _counter(
        "openai_errors_total",
        lambda state: 0.5 * min(state.openai_errors + state.openai_limits, 1.0),
    )
    yield _counter("openai_rate_limit_errors_total", lambda state: 0.5 * state.openai_limits)
    yield _counter("model_load_failures_total", lambda state: 0.0, model="a")
    yield _gauge("ai_models_active", lambda state: 1, model="a", version="1")


def _dashboard(_: int) -> Iterator[Row]:
    yield from _requests("nextjs-ui-dashboard", 4.0)


def _kong(_: int) -> Iterator[Row]:
    yield _counter("kong_http_requests_total", lambda s: 6 * (1 - s.gateway_errors), code="200")
    yield _counter("kong_http_requests_total", lambda s: 6 * s.gateway_errors, code="502")
    for bound in ("10", "1000", "+Inf"):
        yield _counter("kong_kong_latency_ms_bucket", lambda state: 6.0, le=bound)
    yield _gauge("kong_datastore_reachable", lambda state: 1)


def _mongodb(_: int) -> Iterator[Row]:
    yield _gauge("mongodb_up", lambda state: float(state.mongodb))

    def while_up(value: float) -> Callable[[State], Value]:
        return lambda state: value if state.mongodb else None

    yield _gauge("mongodb_ss_connections", while_up(20), conn_type="current")
    yield _gauge("mongodb_ss_connections", while_up(800), conn_type="available")


def _redis(_: int) -> Iterator[Row]:
    yield _gauge("redis_up", lambda state: float(state.redis))

    def while_up(read: Callable[[State], float]) -> Callable[[State], Value]:
        return lambda state: read(state) if state.redis else None

    yield _gauge("redis_memory_used_bytes", while_up(lambda state: 30e6))
    yield _gauge("redis_memory_max_bytes", while_up(lambda state: 64e6))
    yield _gauge("redis_rdb_last_bgsave_status", while_up(lambda state: float(state.rdb_saved)))
    yield _gauge("redis_instance_info", while_up(lambda state: 1), maxmemory_policy="noeviction")


def _rabbitmq(_: int) -> Iterator[Row]:
    yield _gauge("rabbitmq_alarms_memory_used_watermark", lambda state: 0)
    yield _gauge("rabbitmq_alarms_free_disk_space_watermark", lambda state: float(state.blocked))
    yield _gauge("rabbitmq_queue_messages_ready", lambda state: 3)


def _machine(_: int) -> Iterator[Row]:
    yield _counter("node_cpu_seconds_total", lambda s: 1 - s.cpu_busy, cpu="0", mode="idle")
    yield _counter("node_cpu_seconds_total", lambda s: s.cpu_busy, cpu="0", mode="user")
    yield _gauge("node_memory_MemTotal_bytes", lambda state: 8e9)
    yield _gauge("node_memory_MemAvailable_bytes", lambda s: 8e9 * (1 - s.memory_used))
    disk = {"device": "/dev/sda1", "mountpoint": "/", "fstype": "ext4"}
    yield _gauge("node_filesystem_size_bytes", lambda state: 1e11, **disk)
    yield _gauge("node_filesystem_avail_bytes", lambda s: 1e11 * (1 - s.disk_used), **disk)
    yield _gauge("node_filesystem_readonly", lambda state: 0, **disk)
    yield _counter("node_vmstat_oom_kill", lambda state: state.out_of_memory_kills)


def _prometheus(_: int) -> Iterator[Row]:
    yield _gauge("prometheus_notifications_alertmanagers_discovered", lambda state: 1)
    yield _gauge("prometheus_config_last_reload_successful", lambda state: 1)


def _alertmanager(_: int) -> Iterator[Row]:
    yield _gauge("alertmanager_config_last_reload_successful", lambda state: 1)
    yield _counter(
        "alertmanager_notifications_failed_total",
        lambda state: state.notifications_failed,
        integration="slack",
        reason="serverError",
    )


def _loki(_: int) -> Iterator[Row]:
    yield _counter(
        "loki_discarded_samples_total",
        lambda state: state.discarded_lines,
        reason="rate_limited",
        tenant="fake",
    )
    yield _gauge("process_start_time_seconds", lambda state: -86400)


def _promtail(_: int) -> Iterator[Row]:
    yield _counter("promtail_sent_entries_total", lambda state: state.lines_sent, host="loki:3100")
    yield _counter("promtail_docker_target_entries_total", lambda state: state.lines_sent)


def _cadvisor(_: int) -> Iterator[Row]:
    def seen(value: float) -> Callable[[State], Value]:
        return lambda state: value if state.containers_seen else None

    labels = {
        "id": "/docker/1",
        "name": "rust-core-engine",
        "container_label_com_docker_compose_service": "rust-core-engine",
        "container_label_com_docker_compose_project": "bot-core",
    }
    yield _counter("container_cpu_usage_seconds_total", lambda state: 0.1, cpu="total", **labels)
    yield _gauge("container_memory_working_set_bytes", seen(1e8), **labels)
    yield _gauge("container_spec_memory_limit_bytes", seen(1e9), **labels)


_JOBS: Mapping[str, Callable[[int], Iterator[Row]]] = {
    "rust-core-engine": _engine,
    "python-ai-service": _analyst,
    "nextjs-ui-dashboard": _dashboard,
    "kong": _kong,
    "mongodb": _mongodb,
    "redis": _redis,
    "rabbitmq": _rabbitmq,
    "node-exporter": _machine,
    "prometheus": _prometheus,
    "alertmanager": _alertmanager,
    "loki": _loki,
    "promtail": _promtail,
    "cadvisor": _cadvisor,
}


def input_series(states: list[State], engines: tuple[str, ...]) -> list[dict[str, Any]]:
    """Return the series of these states, a step apart, as promtool's unit tests take them."""
    found = []
    for instance, (job, service) in targets(engines).items():
        labels = {"job": job, "service": service, "instance": instance}
        found.append(_written("up", labels, [_up(state, instance, job) for state in states]))
    for service, job in (
        ("rust-core-engine", "blackbox-http"),
        ("rust-core-engine", "blackbox-websocket"),
    ):
        labels = {"job": job, "service": service, "instance": f"{engines[0]} {job}"}
        found.append(_written("up", labels, [_up(state, "-", job) for state in states]))
    found += [
        _written(one.name, one.labels, list(_samples(one, states))) for one in series(engines)
    ]
    return found


def _up(state: State, instance: str, job: str) -> Value:
    return None if state.unknown or job in state.vanished else float(instance not in state.down)


def _samples(one: Series, states: list[State]) -> Iterator[Value]:
    total, restarts, was_down = 1000.0, 0, False
    for state in states:
        is_down = state.unknown or (not one.probe_of and one.instance in state.down)
        is_down = is_down or one.labels["job"] in state.vanished
        if is_down:
            was_down = True
            yield None
            continue
        value = one.read(state)
        if one.counter:
            of_engine = "rust-core-engine" in {one.labels["job"], one.labels.get("name")}
            restarted = was_down or (of_engine and restarts != state.restarts)
            total = (0.0 if restarted else total) + (value or 0.0) * STEP
            restarts, was_down = state.restarts, False
            yield total
        else:
            was_down = False
            yield value


def _written(name: str, labels: Mapping[str, str], values: list[Value]) -> dict[str, Any]:
    """Write a series. A sample that is missing after another is a stale marker, as a failed scrape leaves it."""
    text = []
    last: Value = None
    for value in values:
        if value is None:
            text.append("_" if last is None else "stale")
        else:
            text.append(f"{value:.6g}" if value < 1e6 else f"{value:.9g}")
        last = value
    inside = ",".join(f'{key}="{value}"' for key, value in labels.items())
    return {"series": f"{name}{{{inside}}}", "values": " ".join(text)}
