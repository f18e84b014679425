"""The switches of each role, as data: name, default, valid values and effect."""

from __future__ import annotations

from dataclasses import dataclass

from botdemo.control import Switches, switch


@dataclass(frozen=True, kw_only=True)
class HttpSwitches(Switches):
    """The switches of every role that handles or forwards requests."""

    error_ratio: float = switch(
        0.0,
        "number",
        "Share of requests that fail with a 5xx status; health, metrics and control never do.",
    )
    latency_seconds: float = switch(
        0.0, "number", "Additional seconds for each request.", maximum=30
    )
    request_rate: float | None = switch(
        None, "number", "Simulated requests per second.", maximum=10_000
    )


@dataclass(frozen=True, kw_only=True)
class ApplicationSwitches(HttpSwitches):
    """Mistakes in an application's metrics, for `stackctl verify` to find."""

    content_type: bool = switch(True, "boolean", "Whether the metrics page has a Content-Type.")
    largest_bucket: float | None = switch(
        None, "number", "The largest bucket of every histogram.", minimum=0.001, maximum=100_000
    )
    endpoints_by_id: int = switch(
        0, "integer", "Number of endpoints that contain an ID, each its own series.", maximum=10_000
    )
    counters_as_gauges: bool = switch(
        False, "boolean", "Counters have the type gauge, and a gauge has the name of a counter."
    )
    missing_metrics: bool = switch(
        False, "boolean", "Histograms, and metrics without labels, are not exposed."
    )
    clock_offset_seconds: float = switch(
        0.0,
        "number",
        "Samples have timestamps from a clock that is ahead by this much.",
        minimum=-3600,
        maximum=3600,
    )


@dataclass(frozen=True, kw_only=True)
class EngineSwitches(ApplicationSwitches):
    """The switches of rust-core-engine."""

    trading_enabled: bool = switch(True, "boolean", "Whether the engine trades at all.")
    trade_rate_factor: float = switch(
        1.0,
        "number",
        "Factor for the number of trades; at 0 trading is enabled, but there are no trades.",
        maximum=50,
    )
    trade_failure_ratio: float | None = switch(None, "number", "Share of trades that fail.")
    trade_latency_seconds: float = switch(
        0.0, "number", "Additional seconds for each trade.", maximum=60
    )
    trade_volume_factor: float = switch(
        1.0,
        "number",
        "Factor for the volume and the fees that are counted for a trade.",
        maximum=1000,
    )
    balance_usdt: float | None = switch(
        None,
        "number",
        "The account's balance; its positions and results are scaled with it.",
        maximum=10_000_000,
    )
    daily_loss_ratio: float | None = switch(
        None,
        "number",
        "Today's loss as a share of the portfolio's value; open positions lose that much.",
    )
    position_size_btc: float | None = switch(
        None, "number", "Size of the BTCUSDT position, in BTC.", minimum=-1000, maximum=1000
    )
    open_positions: int | None = switch(
        None, "integer", "Number of symbols with an open position.", maximum=12
    )
    max_drawdown_ratio: float | None = switch(None, "number", "Deepest drawdown.")
    sharpe_ratio: float | None = switch(
        None, "number", "Annual return relative to its deviation.", minimum=-10, maximum=10
    )
    websocket_connections: int | None = switch(
        None, "integer", "Number of simulated, connected clients.", maximum=10_000
    )
    websocket_errors_per_second: float | None = switch(
        None, "number", "WebSocket errors per second.", maximum=1000
    )
    websocket_disconnects_per_second: float = switch(
        0.0, "number", "Connections per second that time out and reconnect.", maximum=1000
    )
    websocket_latency_seconds: float = switch(
        0.0, "number", "Additional seconds for each WebSocket message.", maximum=30
    )
    db_query_seconds: float = switch(
        0.0, "number", "Additional seconds for each database query.", maximum=30
    )
    db_pool_used: int | None = switch(
        None, "integer", "Connections in use, of the pool's 100.", maximum=100
    )
    users_active: int | None = switch(None, "integer", "Active users.", maximum=1_000_000)


@dataclass(frozen=True, kw_only=True)
class AnalystSwitches(ApplicationSwitches):
    """The switches of python-ai-service."""

    analyses_per_second: float | None = switch(None, "number", "Analyses per second.", maximum=100)
    analysis_seconds: float | None = switch(
        None, "number", "Duration of an analysis in seconds.", maximum=120
    )
    confidence: float | None = switch(None, "number", "Confidence of every model.")
    accuracy: float | None = switch(None, "number", "Share of correct predictions.")
    openai_error_ratio: float | None = switch(None, "number", "Share of OpenAI requests that fail.")
    openai_rate_limit_ratio: float = switch(
        0.0, "number", "Share of OpenAI requests that are rejected by the rate limit."
    )
    model_load_failure: bool = switch(
        False, "boolean", "Every second a model is reloaded, and fails to load."
    )
    model_load_seconds: float | None = switch(
        None, "number", "Duration of each model's last load in seconds.", maximum=600
    )
    models_active: bool = switch(True, "boolean", "Whether the models are in use.")


@dataclass(frozen=True, kw_only=True)
class GatewaySwitches(HttpSwitches):
    """The switches of Kong; requests are those that it forwards, latency is that of its upstreams."""

    kong_latency_seconds: float = switch(
        0.0, "number", "Seconds that Kong itself adds to each request.", maximum=30
    )
    datastore_reachable: bool = switch(True, "boolean", "Whether Kong reaches its datastore.")
