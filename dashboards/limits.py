"""The values from which alerts fire (the plan's Alert Rules Summary), so that a panel turns red when they do."""

from __future__ import annotations

from dataclasses import dataclass

from grafana_foundation_sdk.builders.dashboard import ThresholdsConfig
from grafana_foundation_sdk.models.dashboard import Threshold, ThresholdsMode

from dashboards.palette import BAD, GOOD, WARN
from dashboards.palette import NEUTRAL as NEUTRAL_COLOR


@dataclass(frozen=True)
class Limit:
    """A warning and a critical value, in the unit of the panel that shows them."""

    warning: float | None = None
    critical: float | None = None
    below: bool = False
    """Whether alerts fire below the value instead of above it."""
    alerts: tuple[str, ...] = ()
    """The alerts that fire there; none for a target without an alert."""
    good: str = GOOD
    """The color of a value for which no alert fires."""
    either_way: bool = False
    """Whether the negative of a value fires like the value itself."""

    def thresholds(self) -> ThresholdsConfig:
        """Return Grafana's steps: a color holds from its value upwards, the first one from minus infinity."""
        values = [(self.warning, WARN), (self.critical, BAD)]
        colors = [color for value, color in values if value is not None]
        bounds = [value for value, _ in values if value is not None]
        colors.insert(0, self.good)
        if self.below:
            colors.reverse()
            bounds.reverse()
        if self.either_way:
            colors = [*reversed(colors[1:]), *colors]
            bounds = [*(-value for value in reversed(bounds)), *bounds]
        steps = [
            Threshold(value, color) for value, color in zip([None, *bounds], colors, strict=True)
        ]
        return ThresholdsConfig().mode(ThresholdsMode.ABSOLUTE).steps(steps)


# For a value that is neither good nor bad. Without steps of its own, a panel gets Grafana's: red from 80.
NEUTRAL = Limit(good=NEUTRAL_COLOR)

# For something that should not exist at all, although no alert counts it this way.
ANY = Limit(warning=1)
# For a result that is a loss below zero.
RESULT = Limit(warning=0, below=True)

# Infrastructure, percent
CPU = Limit(80, 95, alerts=("HighCPUUsage", "CriticalCPUUsage"))
MEMORY = Limit(90, 95, alerts=("HighMemoryUsage", "CriticalMemoryUsage"))
DISK = Limit(80, 90, alerts=("DiskSpaceWarning", "DiskSpaceLow"))
DISK_IO = Limit(80, alerts=("HighDiskIO",))
UP = Limit(critical=1, below=True, alerts=("ServiceDown", "MongoDBDown", "RedisDown"))
REACHED = Limit(
    critical=1,
    below=True,
    alerts=("HealthCheckFailed", "WebSocketEndpointDown", "BinanceAPIDown"),
)
CRITICAL_ALERTS = Limit(critical=1)
RESTARTS_15M = Limit(1, 3, alerts=("ContainerRestartLoop",))
PROCESS_STARTS_1H = Limit(3, alerts=("ApplicationRestarting",))
OOM_KILLS = Limit(critical=1, alerts=("HostOOMKill",))
CLOCK_SECONDS = Limit(0.1, alerts=("HostClockSkew",), either_way=True)
PACKET_ERROR_PERCENT = Limit(1, alerts=("NetworkInterfaceErrors",))
CERTIFICATE_SECONDS = Limit(
    14 * 86400, 3 * 86400, below=True, alerts=("CertificateRenewalDue", "TLSCertificateExpiring")
)
FILE_DESCRIPTOR_PERCENT = Limit(critical=90, alerts=("FileDescriptorsExhausted",))
CONFIGURATION = Limit(1, below=True, alerts=("ConfigReloadFailed",))
LOST = Limit(critical=1, alerts=("AlertDeliveryFailing", "RuleEvaluationFailing"))

# Application
REQUEST_RATE = Limit(1000, alerts=("HighRequestRate",))
ERROR_PERCENT = Limit(critical=5, alerts=("HighErrorRate",))
LATENCY_SECONDS = Limit(1, 2, alerts=("HighLatencyP95", "CriticalLatencyP95"))
GATEWAY_SECONDS = Limit(critical=1, alerts=("GatewaySlow",))
AVAILABILITY = Limit(critical=0.995, below=True)
BUDGET_PERCENT = Limit(50, 0, below=True)
BURN_RATE = Limit(
    1, 14.4, alerts=("ApiAvailabilitySlowBurn", "ApiAvailabilityFastBurn", "LatencyFastBurn")
)

# Trading
TRADING_ENABLED = Limit(1, below=True, alerts=("TradingSwitchedOff",))
TRADE_SUCCESS_PERCENT = Limit(95, 90, below=True, alerts=("HighTradeFailureRate",))
EXECUTION_SECONDS = Limit(critical=2, alerts=("TradeExecutionSlow",))
BALANCE_USDT = Limit(100, 50, below=True, alerts=("LowTradingBalance", "CriticalTradingBalance"))
OPEN_POSITIONS = Limit(10, alerts=("MaxPositionsReached",))
POSITION_BTC = Limit(critical=10, alerts=("UnexpectedPositionSize",), either_way=True)
BINANCE_SECONDS = Limit(critical=2, alerts=("BinanceAPISlow",))
# 418 is a ban of this address for continuing after a 429 (Binance's API documentation, General Info).
BINANCE_STATUS = Limit(400, 418, alerts=("BinanceAPIThrottled",))
DAILY_RESULT_PERCENT = Limit(-2.5, -5, below=True, alerts=("HighDailyLossLimit",))
DRAWDOWN = Limit(critical=0.2, alerts=("MaxDrawdownExceeded",))
SHARPE = Limit(0, below=True, alerts=("NegativeSharpeRatio",))

# AI service
ANALYSIS_SECONDS = Limit(5, 10, alerts=("AIServiceSlow", "AIServiceCriticalSlow"))
CONFIDENCE_PERCENT = Limit(45, below=True, alerts=("LowModelConfidence",))
ACCURACY_PERCENT = Limit(55, below=True, alerts=("LowPredictionAccuracy",))
RATE_LIMITED = Limit(critical=1, alerts=("OpenAIRateLimited",))
LOAD_FAILURES = Limit(critical=1, alerts=("ModelLoadFailure",))
OPENAI_ERROR_PERCENT = Limit(5, 20, alerts=("OpenAIErrorRateElevated", "OpenAIErrorRateHigh"))

# Databases, cache and queue
CONNECTION_PERCENT = Limit(
    80,
    95,
    alerts=("MongoDBHighConnections", "MongoDBConnectionsExhausted", "DatabasePoolExhausted"),
)
QUERY_SECONDS = Limit(0.1, alerts=("MongoDBSlowQueries",))
REPLICATION_LAG_SECONDS = Limit(10, alerts=("MongoDBReplicationLag",))
REPLICA_MEMBER = Limit(critical=1, below=True, alerts=("MongoDBReplicaMemberDown",))
REDIS_MEMORY_PERCENT = Limit(critical=90, alerts=("RedisMemoryFull",))
REDIS_SNAPSHOT = Limit(critical=1, below=True, alerts=("RedisPersistenceFailing",))
EVICTIONS = Limit(10, alerts=("RedisEvictingKeys",))
REFUSALS = Limit(1, alerts=("RedisRejectingConnections",))
QUEUE_ALARMS = Limit(critical=1, alerts=("RabbitMQPublishersBlocked",))
QUEUE_MESSAGES = Limit(1000, alerts=("RabbitMQQueueBacklog",))

# WebSocket
WEBSOCKET_CONNECTIONS = Limit(1000, alerts=("WebSocketConnectionsHigh",))
WEBSOCKET_ERRORS = Limit(1, alerts=("WebSocketErrorRateHigh",))
MESSAGE_SECONDS = Limit(0.5, alerts=("WebSocketMessagesSlow",))

# Business
ACTIVE_USERS = Limit(1, below=True, alerts=("NoActiveUsers",))
