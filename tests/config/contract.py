"""bot-core's metric contract: what its applications expose. Rules use no application metric that is not here."""

from __future__ import annotations

import re

TARGET_LABELS = frozenset({"job", "instance", "service"})
"""The labels that scraping adds to every series."""

_TABLE = """
http_requests_total counter: method endpoint status
http_request_duration_seconds histogram: method endpoint
trades_total counter: symbol side
trades_success_total counter: symbol side
trades_failed_total counter: symbol side
trade_execution_duration_seconds histogram:
trade_volume_total counter: symbol
trading_enabled gauge:
trading_balance_usdt gauge:
portfolio_value_usd gauge:
profit_loss_daily gauge:
profit_loss_total gauge:
position_size_btc gauge: symbol
max_drawdown_ratio gauge:
sharpe_ratio gauge:
websocket_connections_active gauge:
websocket_messages_total counter: client
websocket_messages_sent_total counter: client
websocket_messages_received_total counter: client
websocket_errors_total counter:
websocket_disconnects_total counter: reason
websocket_message_duration_seconds histogram:
websocket_connection_duration_seconds histogram:
db_query_duration_seconds histogram: collection operation
db_pool_connections gauge: state
users_active_total gauge:
user_registrations_total counter:
user_logins_total counter:
user_sessions_total counter:
strategy_trades_total counter: strategy
platform_fees_total counter:
ai_analysis_total counter:
ai_analysis_duration_seconds histogram:
ai_model_confidence gauge: model
ai_confidence_score histogram:
ai_predictions_total counter: signal
ai_prediction_accuracy gauge:
openai_requests_total counter:
openai_errors_total counter:
openai_rate_limit_errors_total counter:
model_load_failures_total counter: model
model_load_duration_seconds gauge: model
ai_models_active gauge: model version
"""


def _series() -> dict[str, frozenset[str]]:
    series = {}
    for line in _TABLE.strip().splitlines():
        head, _, labels = line.partition(":")
        name, kind = head.split()
        suffixes = ("_bucket", "_sum", "_count") if kind == "histogram" else ("",)
        for suffix in suffixes:
            own = {*labels.split(), *(["le"] if suffix == "_bucket" else [])}
            series[name + suffix] = TARGET_LABELS | own
    return series


SERIES = _series()
"""Every series of the applications, and the labels that it has."""

EXPORTED = re.compile(
    r"up|(node|container|mongodb|redis|rabbitmq|kong|probe|process|prometheus|alertmanager"
    r"|blackbox_exporter)_\w+"
)
"""The series of exporters, of processes and of the monitoring itself."""
