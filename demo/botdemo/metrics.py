"""The metrics of bot-core's services, one class for each part, and the text format of a registry.

Names, types and labels are a contract: rules, alerts and dashboards depend on them.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Metric,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)

# Otherwise each counter and histogram would have a `…_created` gauge, which no other client library exposes.
disable_created_metrics()  # type: ignore[no-untyped-call]

TEXT_FORMAT = "text/plain; version=0.0.4; charset=utf-8"

REQUEST_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2, 3, 5, 10, 30)
TRADE_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2, 3, 5, 10, 30, 60)
QUERY_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
MESSAGE_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5, 30)
CONNECTION_SECONDS = (1, 10, 30, 60, 180, 300, 600, 1800, 3600, 14400)
ANALYSIS_SECONDS = (0.1, 0.25, 0.5, 0.75, 1, 1.5, 2, 3, 5, 7.5, 10, 15, 20, 30, 60, 120)
CONFIDENCE = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1)

# The buckets, in milliseconds, of Kong 3's prometheus plugin.
KONG_LATENCY = (1, 2, 5, 7, 10, 15, 20, 30, 50, 75, 100, 200, 500, 750, 1000, 3000, 6000)
UPSTREAM_LATENCY = (25, 50, 80, 100, 250, 400, 700, 1000, 2000, 5000, 10000, 30000, 60000)


class Families:
    """Families in the shape of a registry, of which `generate_latest` uses nothing else."""

    def __init__(self, families: Iterable[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        """Return the families."""
        return self._families


def exposition(registry: CollectorRegistry | Families) -> bytes:
    """Return a registry in Prometheus' text format (0.0.4)."""
    return generate_latest(registry)


class HttpMetrics:
    """Metrics of requests and of the process, which all three applications expose."""

    def __init__(self, registry: CollectorRegistry) -> None:
        ProcessCollector(registry=registry)
        self.requests = Counter(
            "http_requests_total",
            "HTTP requests answered",
            ["method", "endpoint", "status"],
            registry=registry,
        )
        self.duration = Histogram(
            "http_request_duration_seconds",
            "Duration of a request",
            ["method", "endpoint"],
            buckets=REQUEST_SECONDS,
            registry=registry,
        )

    def observe(self, method: str, endpoint: str, status: int, seconds: float) -> None:
        """Count one request; `endpoint` is the route's template, never the requested path."""
        self.requests.labels(method, endpoint, status).inc()
        self.duration.labels(method, endpoint).observe(seconds)


class TradingMetrics:
    """Trades, the account and its risk."""

    def __init__(self, registry: CollectorRegistry) -> None:
        counter = partial(Counter, registry=registry)
        gauge = partial(Gauge, registry=registry)
        self.trades = counter("trades_total", "Trades attempted", ["symbol", "side"])
        self.succeeded = counter("trades_success_total", "Trades filled", ["symbol", "side"])
        self.failed = counter("trades_failed_total", "Trades not filled", ["symbol", "side"])
        self.duration = Histogram(
            "trade_execution_duration_seconds",
            "Time from order to fill",
            buckets=TRADE_SECONDS,
            registry=registry,
        )
        self.volume = counter("trade_volume_total", "Volume of filled trades in USD", ["symbol"])
        self.strategy_trades = counter(
            "strategy_trades_total", "Trades attempted by strategy", ["strategy"]
        )
        self.fees = counter("platform_fees_total", "Fees earned in USD")
        self.enabled = gauge("trading_enabled", "Whether the engine trades (1) or not (0)")
        self.balance = gauge("trading_balance_usdt", "Balance of the account in USDT")
        self.portfolio = gauge("portfolio_value_usd", "Balance and open positions in USD")
        self.profit_daily = gauge("profit_loss_daily", "Result since midnight UTC in USD")
        self.profit_total = gauge("profit_loss_total", "Result since the start in USD")
        self.position = gauge("position_size_btc", "Size of a position in BTC, signed", ["symbol"])
        self.drawdown = gauge("max_drawdown_ratio", "Deepest fall from a peak of the portfolio")
        self.sharpe = gauge("sharpe_ratio", "Sharpe ratio, annualised")


class SocketMetrics:
    """WebSocket connections and messages."""

    def __init__(self, registry: CollectorRegistry) -> None:
        counter = partial(Counter, registry=registry)
        self.active = Gauge(
            "websocket_connections_active", "Open WebSocket connections", registry=registry
        )
        self.messages = counter("websocket_messages_total", "Messages both ways", ["client"])
        self.sent = counter("websocket_messages_sent_total", "Messages sent", ["client"])
        self.received = counter(
            "websocket_messages_received_total", "Messages received", ["client"]
        )
        self.errors = counter("websocket_errors_total", "WebSocket errors")
        self.disconnects = counter(
            "websocket_disconnects_total", "WebSocket connections that ended", ["reason"]
        )
        self.message_duration = Histogram(
            "websocket_message_duration_seconds",
            "Time to handle or deliver a message",
            buckets=MESSAGE_SECONDS,
            registry=registry,
        )
        self.connection_duration = Histogram(
            "websocket_connection_duration_seconds",
            "How long a connection was open",
            buckets=CONNECTION_SECONDS,
            registry=registry,
        )


class DatabaseMetrics:
    """Queries and the connection pool, as the client sees them."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.query_duration = Histogram(
            "db_query_duration_seconds",
            "Time of a database query",
            ["collection", "operation"],
            buckets=QUERY_SECONDS,
            registry=registry,
        )
        self.pool = Gauge(
            "db_pool_connections", "Connections of the pool", ["state"], registry=registry
        )


class UserMetrics:
    """What users do."""

    def __init__(self, registry: CollectorRegistry) -> None:
        counter = partial(Counter, registry=registry)
        self.active = Gauge("users_active_total", "Users active now", registry=registry)
        self.registrations = counter("user_registrations_total", "Users registered")
        self.logins = counter("user_logins_total", "Logins")
        self.sessions = counter("user_sessions_total", "Sessions begun")


class AnalysisMetrics:
    """Analyses, models and the OpenAI client."""

    def __init__(self, registry: CollectorRegistry) -> None:
        counter = partial(Counter, registry=registry)
        gauge = partial(Gauge, registry=registry)
        histogram = partial(Histogram, registry=registry)
        self.analyses = counter("ai_analysis_total", "Analyses done")
        self.duration = histogram(
            "ai_analysis_duration_seconds", "Time of an analysis", buckets=ANALYSIS_SECONDS
        )
        self.model_confidence = gauge(
            "ai_model_confidence", "Mean confidence of a model's predictions", ["model"]
        )
        self.confidence = histogram(
            "ai_confidence_score", "Confidence of single predictions", buckets=CONFIDENCE
        )
        self.predictions = counter("ai_predictions_total", "Predictions", ["signal"])
        self.accuracy = gauge("ai_prediction_accuracy", "Share of correct predictions")
        self.openai_requests = counter("openai_requests_total", "Requests to OpenAI")
        self.openai_errors = counter("openai_errors_total", "Requests to OpenAI that failed")
        self.openai_rate_limits = counter(
            "openai_rate_limit_errors_total", "Requests to OpenAI rejected by the rate limit"
        )
        self.load_failures = counter("model_load_failures_total", "Failed loads", ["model"])
        self.load_duration = gauge(
            "model_load_duration_seconds", "Time of a model's last load", ["model"]
        )
        self.active = gauge(
            "ai_models_active", "Whether a model is in use (1) or not (0)", ["model", "version"]
        )


class SinkMetrics:
    """Counters of received notifications."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.received = Counter(
            "notification_sink_messages_total",
            "Notifications taken in",
            ["channel", "status"],
            registry=registry,
        )


class GatewayMetrics:
    """The series of Kong 3's prometheus plugin with its per-request metrics switched on.

    Names and labels are those of `kong/plugins/prometheus/exporter.lua` of Kong 3.10, HTTP subsystem.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        counter = partial(Counter, registry=registry)
        gauge = partial(Gauge, registry=registry)
        histogram = partial(Histogram, registry=registry)
        route = ["service", "route", "workspace"]
        self.requests = counter(
            "kong_http_requests_total",
            "Requests forwarded, by status",
            ["service", "route", "code", "source", "workspace", "consumer"],
        )
        self.bandwidth = counter(
            "kong_bandwidth_bytes",
            "Bytes forwarded, by direction",
            ["service", "route", "direction", "workspace", "consumer"],
        )
        self.kong_latency = histogram(
            "kong_kong_latency_ms",
            "Milliseconds spent in Kong and its plugins",
            route,
            buckets=KONG_LATENCY,
        )
        self.upstream_latency = histogram(
            "kong_upstream_latency_ms",
            "Milliseconds until the upstream has responded",
            route,
            buckets=UPSTREAM_LATENCY,
        )
        self.request_latency = histogram(
            "kong_request_latency_ms",
            "Milliseconds of whole requests",
            route,
            buckets=UPSTREAM_LATENCY,
        )
        self.connections = gauge(
            "kong_nginx_connections_total",
            "Connections of nginx by state",
            ["node_id", "subsystem", "state"],
        )
        self.nginx_requests = gauge(
            "kong_nginx_requests_total", "Requests to nginx", ["node_id", "subsystem"]
        )
        self.timers = gauge("kong_nginx_timers", "Timers of nginx by state", ["state"])
        self.metric_errors = counter(
            "kong_nginx_metric_errors_total", "Errors of the metrics library"
        )
        self.datastore = gauge(
            "kong_datastore_reachable", "Whether Kong reaches its datastore (1) or not (0)"
        )
        self.node_info = gauge("kong_node_info", "The node and its version", ["node_id", "version"])
        self.dictionary_used = gauge(
            "kong_memory_lua_shared_dict_bytes",
            "Bytes used of a shared dictionary",
            ["node_id", "shared_dict", "kong_subsystem"],
        )
        self.dictionary_size = gauge(
            "kong_memory_lua_shared_dict_total_bytes",
            "Size of a shared dictionary in bytes",
            ["node_id", "shared_dict", "kong_subsystem"],
        )
        self.worker_memory = gauge(
            "kong_memory_workers_lua_vms_bytes",
            "Bytes that a worker's Lua VM uses",
            ["node_id", "pid", "kong_subsystem"],
        )

    @staticmethod
    def exposition(registry: CollectorRegistry) -> bytes:
        """Return the registry as text under Kong's names: the client library appends `_total` to a counter's name."""
        return exposition(registry).replace(b"kong_bandwidth_bytes_total", b"kong_bandwidth_bytes")
