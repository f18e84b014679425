"""The metrics that rules and dashboards expect from bot-core's applications: names, types and labels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, cast

from stackctl.services.applications import WITH_HEALTH

Kind = Literal["counter", "gauge", "histogram"]

_SUFFIXES: Mapping[Kind, tuple[str, ...]] = {
    "counter": ("",),
    "gauge": ("",),
    "histogram": ("_bucket", "_sum", "_count"),
}


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric of an application."""

    name: str
    kind: Kind
    labels: tuple[str, ...]
    rare: bool = False
    """Whether all of its series may be missing for days because what they count is rare."""

    @property
    def series(self) -> Mapping[str, frozenset[str]]:
        """The names of its series in Prometheus."""
        return {
            self.name + suffix: frozenset((*self.labels, *(["le"] if suffix == "_bucket" else ())))
            for suffix in _SUFFIXES[self.kind]
        }


# NAME KIND LABEL…, and `rare` last.
_SHARED = """
http_requests_total counter method endpoint status
http_request_duration_seconds histogram method endpoint
"""

_OWN = {
    "rust-core-engine": """
trades_total counter symbol side
trades_success_total counter symbol side
trades_failed_total counter symbol side rare
trade_execution_duration_seconds histogram
trade_volume_total counter symbol
trading_enabled gauge
trading_balance_usdt gauge
portfolio_value_usd gauge
profit_loss_daily gauge
profit_loss_total gauge
position_size_btc gauge symbol rare
max_drawdown_ratio gauge
sharpe_ratio gauge
websocket_connections_active gauge
websocket_messages_total counter client
websocket_messages_sent_total counter client
websocket_messages_received_total counter client
websocket_errors_total counter
websocket_disconnects_total counter reason rare
websocket_message_duration_seconds histogram
websocket_connection_duration_seconds histogram
db_query_duration_seconds histogram collection operation
db_pool_connections gauge state
users_active_total gauge
user_registrations_total counter
user_logins_total counter
user_sessions_total counter
strategy_trades_total counter strategy
platform_fees_total counter
""",
    "python-ai-service": """
ai_analysis_total counter
ai_analysis_duration_seconds histogram
ai_model_confidence gauge model
ai_confidence_score histogram
ai_predictions_total counter signal
ai_prediction_accuracy gauge
openai_requests_total counter
openai_errors_total counter
openai_rate_limit_errors_total counter
model_load_failures_total counter model rare
model_load_duration_seconds gauge model
ai_models_active gauge model version
""",
    "nextjs-ui-dashboard": "",
}


def _metric(line: str) -> Metric:
    name, kind, *labels = line.split()
    rare = "rare" in labels
    return Metric(name, cast(Kind, kind), tuple(one for one in labels if one != "rare"), rare)


CONTRACT: Mapping[str, tuple[Metric, ...]] = {
    service: tuple(_metric(line) for line in (_SHARED + _OWN[service]).splitlines() if line)
    for service in WITH_HEALTH
}
"""Application → its metrics."""

PROCESS = (
    Metric("process_start_time_seconds", "gauge", ()),
    Metric("process_open_fds", "gauge", ()),
    Metric("process_max_fds", "gauge", ()),
)
"""What rules read of each application's process; the client library exposes it."""
