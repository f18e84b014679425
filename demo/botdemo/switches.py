"""The switches of each role, as data: name, default, what it takes, what it does."""

from __future__ import annotations

from dataclasses import dataclass

from botdemo.control import Switches, switch


@dataclass(frozen=True, kw_only=True)
class HttpSwitches(Switches):
    """What every role that answers or forwards requests can be turned to."""

    error_ratio: float = switch(
        0.0,
        "number",
        "Share of requests that fail with a 5xx status; health, metrics and control never do.",
    )
    latency_seconds: float = switch(
        0.0, "number", "Seconds that a request takes longer.", maximum=30
    )
    request_rate: float | None = switch(
        None, "number", "Simulated requests a second.", maximum=10_000
    )


@dataclass(frozen=True, kw_only=True)
class ApplicationSwitches(HttpSwitches):
    """Mistakes that an application can make with its metrics, for `stackctl verify` to find."""

    content_type: bool = switch(True, "boolean", "Whether the page of metrics has a Content-Type.")
    largest_bucket: float | None = switch(
        None, "number", "Where the buckets of every histogram end.", minimum=0.001, maximum=100_000
    )
    endpoints_by_id: int = switch(
        0, "integer", "Endpoints with an ID in them, each a series of its own.", maximum=10_000
    )
    counters_as_gauges: bool = switch(
        False, "boolean", "Counters have the type of a gauge, and a gauge the name of a counter."
    )
    missing_metrics: bool = switch(
        False, "boolean", "Histograms, and metrics without labels, are not exposed."
    )
    clock_offset_seconds: float = switch(
        0.0,
        "number",
        "Samples have timestamps, of a clock that is ahead by so much.",
        minimum=-3600,
        maximum=3600,
    )


@dataclass(frozen=True, kw_only=True)
class EngineSwitches(ApplicationSwitches):
    """What rust-core-engine can be turned to."""

    trading_enabled: bool = switch(True, "boolean", "Whether the engine trades at all.")
    trade_rate_factor: float = switch(
        1.0, "number", "Times as many trades; 0: enabled, but no trade happens.", maximum=50
    )
    trade_failure_ratio: float | None = switch(None, "number", "Share of trades that fail.")
    trade_latency_seconds: float = switch(
        0.0, "number", "Seconds that a trade takes longer.", maximum=60
    )
    trade_volume_factor: float = switch(
        1.0, "number", "Times the volume and the fees that are counted for a trade.", maximum=1000
    )
    balance_usdt: float | None = switch(
        None,
        "number",
        "The account as if it had this balance: its positions and results shrink or grow with it.",
        maximum=10_000_000,
    )
    daily_loss_ratio: float | None = switch(
        None,
        "number",
        "Open positions lose so much that today's loss is this share of the portfolio's value.",
    )
    position_size_btc: float | None = switch(
        None, "number", "Size of the BTCUSDT position, in BTC.", minimum=-1000, maximum=1000
    )
    open_positions: int | None = switch(
        None, "integer", "Number of symbols with an open position.", maximum=12
    )
    max_drawdown_ratio: float | None = switch(None, "number", "Deepest fall from a peak.")
    sharpe_ratio: float | None = switch(
        None, "number", "Return against its deviation, a year.", minimum=-10, maximum=10
    )
    websocket_connections: int | None = switch(
        None, "integer", "Simulated clients that are connected.", maximum=10_000
    )
    websocket_errors_per_second: float | None = switch(
        None, "number", "WebSocket errors a second.", maximum=1000
    )
    websocket_disconnects_per_second: float = switch(
        0.0, "number", "Connections a second that time out, and come back.", maximum=1000
    )
    websocket_latency_seconds: float = switch(
        0.0, "number", "Seconds that a WebSocket message takes longer.", maximum=30
    )
    db_query_seconds: float = switch(
        0.0, "number", "Seconds that a database query takes longer.", maximum=30
    )
    db_pool_used: int | None = switch(
        None, "integer", "Connections of the pool of 100 that are in use.", maximum=100
    )
    users_active: int | None = switch(None, "integer", "Active users.", maximum=1_000_000)


@dataclass(frozen=True, kw_only=True)
class AnalystSwitches(ApplicationSwitches):
    """What python-ai-service can be turned to."""

    analyses_per_second: float | None = switch(None, "number", "Analyses a second.", maximum=100)
    analysis_seconds: float | None = switch(
        None, "number", "Seconds that an analysis takes.", maximum=120
    )
    confidence: float | None = switch(None, "number", "Confidence of every model.")
    accuracy: float | None = switch(None, "number", "Share of predictions that come true.")
    openai_error_ratio: float | None = switch(None, "number", "Share of OpenAI requests that fail.")
    openai_rate_limit_ratio: float = switch(
        0.0, "number", "Share of OpenAI requests that are refused for their rate."
    )
    model_load_failure: bool = switch(
        False, "boolean", "Every second one of the models is loaded again, and fails."
    )
    model_load_seconds: float | None = switch(
        None, "number", "Seconds that each model's last load took.", maximum=600
    )
    models_active: bool = switch(True, "boolean", "Whether the models are in use.")


@dataclass(frozen=True, kw_only=True)
class GatewaySwitches(HttpSwitches):
    """What kong can be turned to; requests are those that it forwards, latency is its upstreams'."""

    kong_latency_seconds: float = switch(
        0.0, "number", "Seconds that Kong itself adds to a request.", maximum=30
    )
    datastore_reachable: bool = switch(True, "boolean", "Whether Kong reaches its datastore.")
