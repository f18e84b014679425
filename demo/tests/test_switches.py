"""Each switch has the effect that an alert or a dashboard would see, and at once."""

from __future__ import annotations

import dataclasses
import functools
from dataclasses import dataclass
from typing import Any

import pytest

from botdemo.roles.base import Role
from botdemo.switches import ApplicationSwitches, HttpSwitches
from demo.tests.helpers import (
    ANALYST,
    APPLICATIONS,
    ENGINE,
    KONG,
    make_role,
    read,
    run,
    samples,
    turn,
)


@dataclass(frozen=True)
class Effect:
    """What a minute with a switch does to a sample: its value (gauges) or its increase (counters)."""

    role: str
    switch: str
    value: object
    sample: str
    low: float
    high: float
    labels: tuple[tuple[str, str], ...] = ()
    over: str = ""


def mean(role: str, switch: str, value: object, histogram: str, low: float, high: float) -> Effect:
    """The effect on a histogram's mean."""
    return Effect(role, switch, value, histogram + "_sum", low, high, over=histogram + "_count")


GAUGES = [
    Effect(ENGINE, "trading_enabled", False, "trading_enabled", 0, 0),
    Effect(ENGINE, "balance_usdt", 40, "trading_balance_usdt", 40, 40),
    Effect(ENGINE, "balance_usdt", 40, "portfolio_value_usd", 38, 42),
    Effect(
        ENGINE, "position_size_btc", -12, "position_size_btc", -12, -12, (("symbol", "BTCUSDT"),)
    ),
    Effect(ENGINE, "open_positions", 12, "position_size_btc", 0.01, 0.01, (("symbol", "TRXUSDT"),)),
    Effect(ENGINE, "open_positions", 0, "position_size_btc", 0, 0),
    Effect(ENGINE, "max_drawdown_ratio", 0.3, "max_drawdown_ratio", 0.3, 0.3),
    Effect(ENGINE, "sharpe_ratio", -0.5, "sharpe_ratio", -0.5, -0.5),
    Effect(ENGINE, "websocket_connections", 1200, "websocket_connections_active", 1200, 1200),
    Effect(ENGINE, "db_pool_used", 97, "db_pool_connections", 97, 97, (("state", "used"),)),
    Effect(ENGINE, "users_active", 0, "users_active_total", 0, 0),
    Effect(ANALYST, "confidence", 0.3, "ai_model_confidence", 0.899, 0.901),
    Effect(ANALYST, "accuracy", 0.4, "ai_prediction_accuracy", 0.4, 0.4),
    Effect(ANALYST, "model_load_seconds", 90, "model_load_duration_seconds", 270, 270),
    Effect(ANALYST, "models_active", False, "ai_models_active", 0, 0),
    Effect(KONG, "datastore_reachable", False, "kong_datastore_reachable", 0, 0),
]

COUNTERS = [
    *(
        Effect(
            role,
            "error_ratio",
            0.5,
            "http_requests_total",
            0.35,
            0.65,
            (("status", "500"),),
            "http_requests_total",
        )
        for role in APPLICATIONS
    ),
    *(
        mean(role, "latency_seconds", 3, "http_request_duration_seconds", 3, 3.2)
        for role in APPLICATIONS
    ),
    *(Effect(role, "request_rate", 50, "http_requests_total", 2850, 3150) for role in APPLICATIONS),
    Effect(ENGINE, "trading_enabled", False, "trades_total", 0, 0),
    Effect(ENGINE, "trade_rate_factor", 0, "trades_total", 0, 0),
    Effect(ENGINE, "trade_rate_factor", 10, "trades_total", 500, 1000),
    Effect(ENGINE, "trade_failure_ratio", 1, "trades_success_total", 0, 0),
    Effect(ENGINE, "trade_failure_ratio", 1, "trades_failed_total", 40, 120),
    mean(ENGINE, "trade_latency_seconds", 4, "trade_execution_duration_seconds", 4, 4.3),
    Effect(ENGINE, "trade_volume_factor", 100, "trade_volume_total", 200_000, 2_000_000),
    Effect(ENGINE, "websocket_errors_per_second", 5, "websocket_errors_total", 270, 330),
    Effect(
        ENGINE,
        "websocket_disconnects_per_second",
        5,
        "websocket_disconnects_total",
        270,
        330,
        (("reason", "timeout"),),
    ),
    mean(ENGINE, "websocket_latency_seconds", 2, "websocket_message_duration_seconds", 2, 2.1),
    mean(ENGINE, "db_query_seconds", 0.5, "db_query_duration_seconds", 0.5, 0.55),
    Effect(ENGINE, "users_active", 0, "user_logins_total", 0, 0),
    Effect(ENGINE, "users_active", 12_000, "user_registrations_total", 270, 350),
    Effect(ANALYST, "analyses_per_second", 0, "ai_analysis_total", 0, 0),
    Effect(ANALYST, "analyses_per_second", 10, "ai_analysis_total", 570, 630),
    mean(ANALYST, "analysis_seconds", 12, "ai_analysis_duration_seconds", 11.4, 12.6),
    mean(ANALYST, "confidence", 0.3, "ai_confidence_score", 0.27, 0.33),
    Effect(
        ANALYST, "openai_error_ratio", 1, "openai_errors_total", 1, 1, over="openai_requests_total"
    ),
    Effect(
        ANALYST,
        "openai_rate_limit_ratio",
        1,
        "openai_rate_limit_errors_total",
        1,
        1,
        over="openai_requests_total",
    ),
    Effect(
        ANALYST,
        "openai_rate_limit_ratio",
        1,
        "openai_errors_total",
        1,
        1,
        over="openai_requests_total",
    ),
    Effect(ANALYST, "model_load_failure", True, "model_load_failures_total", 55, 65),
    Effect(
        KONG,
        "error_ratio",
        0.5,
        "kong_http_requests_total",
        0.35,
        0.65,
        (("code", "502"),),
        "kong_http_requests_total",
    ),
    mean(KONG, "latency_seconds", 2, "kong_upstream_latency_ms", 2000, 2100),
    mean(KONG, "latency_seconds", 2, "kong_request_latency_ms", 2000, 2100),
    mean(KONG, "kong_latency_seconds", 0.5, "kong_kong_latency_ms", 500, 510),
    Effect(KONG, "request_rate", 50, "kong_http_requests_total", 2850, 3150),
]

FLAWS = {field.name for field in dataclasses.fields(ApplicationSwitches)} - {
    field.name for field in dataclasses.fields(HttpSwitches)
}
"""What `test_flaws` shows."""

ELSEWHERE = {"unhealthy", "daily_loss_ratio", *FLAWS}
"""Switches whose effect other tests show."""


@pytest.mark.parametrize("effect", GAUGES, ids=lambda e: f"{e.switch}={e.value}: {e.sample}")
def test_a_gauge_follows_its_switch_at_once_and_comes_back(effect: Effect) -> None:
    role = make_role(effect.role)
    role.advance(5.0)
    labels = dict(effect.labels)
    before = read(role, effect.sample, **labels)
    assert not effect.low <= before <= effect.high

    turn(role, **{effect.switch: effect.value})
    assert effect.low <= read(role, effect.sample, **labels) <= effect.high

    role.control.reset()
    role.advance(0.0)
    assert read(role, effect.sample, **labels) == pytest.approx(before, rel=0.2)


def after_a_minute(name: str, **switches: Any) -> Role:
    role = make_role(name)
    role.control.update(switches)
    run(role, 60)
    return role


undisturbed = functools.cache(after_a_minute)
"""A role after a minute without a switch, for reading: it is the same for every effect."""


@pytest.mark.parametrize("effect", COUNTERS, ids=lambda e: f"{e.switch}={e.value}: {e.sample}")
def test_a_minute_with_a_switch_is_unlike_one_without(effect: Effect) -> None:
    def measured(role: Role) -> float:
        value = read(role, effect.sample, **dict(effect.labels))
        return value / read(role, effect.over) if effect.over else value

    switched = after_a_minute(effect.role, **{effect.switch: effect.value})
    assert effect.low <= measured(switched) <= effect.high
    assert not effect.low <= measured(undisturbed(effect.role)) <= effect.high


@pytest.mark.parametrize("name", [*APPLICATIONS, KONG])
def test_no_switch_is_without_a_test(name: str) -> None:
    shown = {effect.switch for effect in (*GAUGES, *COUNTERS) if effect.role == name}
    assert set(make_role(name).control.values()) - ELSEWHERE == shown


def test_a_daily_loss_leaves_the_account_consistent() -> None:
    role = make_role(ENGINE)
    role.advance(5.0)
    balance = read(role, "trading_balance_usdt")
    turn(role, daily_loss_ratio=0.08)
    value = read(role, "portfolio_value_usd")
    assert read(role, "profit_loss_daily") == pytest.approx(-0.08 * value)
    assert read(role, "profit_loss_total") == pytest.approx(value - 100_000)
    assert read(role, "trading_balance_usdt") == balance
    assert read(role, "max_drawdown_ratio") == pytest.approx(1 - value / 100_000, rel=0.01)

    role.control.reset()
    role.advance(0.0)
    assert read(role, "max_drawdown_ratio") < 0.01, "what a switch showed must not be remembered"


def test_a_small_balance_provokes_no_alert_but_its_own() -> None:
    role = make_role(ENGINE)
    run(role, 60)
    ratio = read(role, "profit_loss_daily") / read(role, "portfolio_value_usd")
    turn(role, balance_usdt=40)
    scaled = read(role, "profit_loss_daily") / read(role, "portfolio_value_usd")
    assert scaled == pytest.approx(ratio)


def test_the_number_of_open_positions_is_what_the_switch_says() -> None:
    role = make_role(ENGINE)
    role.advance(5.0)
    for wanted in (0, 3, 10, 12):
        turn(role, open_positions=wanted)
        positions = samples(role, "position_size_btc")
        assert sum(size != 0 for size in positions) == wanted
