"""At rest no threshold of the plan's alerts comes near, at any hour of the day, and no counter stands still."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
from prometheus_client import CollectorRegistry

from botdemo.metrics import TradingMetrics
from botdemo.roles.base import Role
from botdemo.simulation.chance import activity
from botdemo.simulation.trading import LISTED, TradingDesk
from botdemo.switches import EngineSwitches
from demo.tests.helpers import (
    ANALYST,
    APPLICATIONS,
    DASHBOARD,
    ENGINE,
    KONG,
    Exposing,
    generator,
    make_role,
    read,
    run,
)

MIDNIGHT = datetime(2025, 11, 18, tzinfo=UTC)
HOURS = (2, 14)

ERRORS = {
    *("trades_failed_total", "websocket_errors_total", "openai_errors_total"),
    *("openai_rate_limit_errors_total", "model_load_failures_total"),
    "kong_nginx_metric_errors_total",
}


def quantile(role: Exposing, histogram: str, q: float) -> float:
    """Return the upper bound of the bucket that holds a quantile, over all series of a histogram."""
    buckets: dict[float, float] = {}
    for family in role.registry.collect():
        for sample in family.samples:
            if sample.name == histogram + "_bucket":
                bound = float(sample.labels["le"])
                buckets[bound] = buckets.get(bound, 0) + sample.value
    total = buckets[float("inf")]
    return min(bound for bound, count in buckets.items() if count >= q * total)


def busy(name: str, hour: int) -> Role:
    """Return a role after ten minutes of an hour of the day."""
    role = make_role(name, start=MIDNIGHT + timedelta(hours=hour))
    run(role, 300, 2.0)
    return role


@pytest.mark.parametrize("seed", [1])
def test_a_day_of_trading(seed: int) -> None:
    registry = CollectorRegistry()
    desk = TradingDesk(generator(seed), TradingMetrics(registry), MIDNIGHT.date())
    exposed = SimpleNamespace(registry=registry)
    now, switches = MIDNIGHT, EngineSwitches()
    for step in range(1, 24 * 30 + 1):
        now += timedelta(seconds=120)
        desk.advance(120.0, activity(now), now, switches)
        if step % 5:
            continue
        assert desk.attempted >= step * 120 * 0.6
        value = read(exposed, "portfolio_value_usd")
        assert read(exposed, "profit_loss_daily") > -0.02 * value
        assert read(exposed, "trading_balance_usdt") > 50_000
        assert read(exposed, "max_drawdown_ratio") < 0.03
        assert read(exposed, "sharpe_ratio") > 1.4
        sizes = [read(exposed, "position_size_btc", symbol=symbol) for symbol in LISTED]
        assert max(abs(size) for size in sizes) < 1
        assert sum(size != 0 for size in sizes) <= 4
    failed = read(exposed, "trades_failed_total")
    assert 0 < failed / read(exposed, "trades_total") < 0.01


@pytest.mark.parametrize("hour", HOURS)
def test_the_engine(hour: int) -> None:
    role = busy(ENGINE, hour)
    requests = read(role, "http_requests_total")
    assert 2 < requests / 600 < 10
    assert read(role, "http_requests_total", status="500") / requests <= 0.001
    assert quantile(role, "http_request_duration_seconds", 0.95) <= 0.25
    assert quantile(role, "trade_execution_duration_seconds", 0.95) <= 0.5
    assert quantile(role, "db_query_duration_seconds", 0.99) <= 0.1
    assert quantile(role, "websocket_message_duration_seconds", 0.95) <= 0.05
    assert read(role, "db_pool_connections", state="used") < 50
    assert 20 < read(role, "websocket_connections_active") < 100
    assert read(role, "websocket_errors_total") <= 1
    assert 50 < read(role, "users_active_total") < 250
    assert read(role, "trading_enabled") == 1


@pytest.mark.parametrize("hour", HOURS)
def test_the_ai_service(hour: int) -> None:
    role = busy(ANALYST, hour)
    requests = read(role, "http_requests_total")
    assert read(role, "http_requests_total", status="500") / requests <= 0.002
    assert quantile(role, "http_request_duration_seconds", 0.95) <= 0.25
    assert quantile(role, "ai_analysis_duration_seconds", 0.95) <= 3
    assert quantile(role, "ai_analysis_duration_seconds", 0.99) <= 5
    for model in ("lstm-trend", "transformer-signal", "gpt-4-turbo"):
        assert read(role, "ai_model_confidence", model=model) > 0.6
    assert read(role, "ai_prediction_accuracy") > 0.6
    assert read(role, "openai_errors_total") / read(role, "openai_requests_total") <= 0.02
    assert read(role, "openai_rate_limit_errors_total") == 0
    assert read(role, "model_load_failures_total") == 0
    assert read(role, "ai_models_active") == 3


@pytest.mark.parametrize("hour", HOURS)
def test_the_dashboard(hour: int) -> None:
    role = busy(DASHBOARD, hour)
    requests = read(role, "http_requests_total")
    assert read(role, "http_requests_total", status="500") / requests <= 0.002
    assert quantile(role, "http_request_duration_seconds", 0.95) <= 0.25


@pytest.mark.parametrize("hour", HOURS)
def test_kong(hour: int) -> None:
    role = busy(KONG, hour)
    requests = read(role, "kong_http_requests_total")
    assert read(role, "kong_http_requests_total", code="502") / requests <= 0.002
    assert quantile(role, "kong_request_latency_ms", 0.95) <= 250
    assert read(role, "kong_datastore_reachable") == 1


@pytest.mark.parametrize("name", [*APPLICATIONS, KONG])
def test_every_counter_moves_in_every_minute_of_the_quietest_hour(name: str) -> None:
    role = make_role(name, start=MIDNIGHT + timedelta(hours=2))
    names = {
        family.name + suffix
        for family in role.registry.collect()
        if not family.name.startswith("process_")
        for suffix in {"counter": ("_total",), "histogram": ("_count",)}.get(family.type, ())
    } - ERRORS
    assert names
    for _ in range(10):
        before = {metric: read(role, metric) for metric in names}
        run(role, 60)
        still = {metric for metric in names if read(role, metric) <= before[metric]}
        assert not still
