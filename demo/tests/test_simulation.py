"""What is simulated is random, but reproducible, bounded, and adds up."""

from __future__ import annotations

import json
import statistics
from datetime import UTC, datetime, timedelta

import pytest

from botdemo.roles.base import Role
from botdemo.simulation.analysis import Signal
from botdemo.simulation.chance import Arrivals, MeanReverting, activity, log_normal
from botdemo.simulation.market import REFERENCE_PRICES, Market
from demo.tests.helpers import (
    APPLICATIONS,
    KONG,
    generator,
    make_analyst,
    make_engine,
    make_role,
    read,
    run,
    turn,
)

SYMBOLS = list(REFERENCE_PRICES)


def own_samples(role: Role) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in role.registry.collect()
        for sample in family.samples
        if not sample.name.startswith("process_")
    }


@pytest.mark.parametrize("name", [*APPLICATIONS, KONG])
def test_a_seed_gives_one_history_and_another_seed_another(name: str) -> None:
    first, same, other = make_role(name), make_role(name), make_role(name, seed=2)
    for role in (first, same, other):
        run(role, 60, 0.5)
    assert own_samples(first) == own_samples(same)
    assert own_samples(first) != own_samples(other)


def test_trades_add_up() -> None:
    role = make_engine()
    turn(role, trade_failure_ratio=0.3)
    run(role, 600)
    for symbol in SYMBOLS:
        for side in ("BUY", "SELL"):
            attempted, filled, failed = (
                read(role, name, symbol=symbol, side=side)
                for name in ("trades_total", "trades_success_total", "trades_failed_total")
            )
            assert attempted == filled + failed
            assert filled > 0
    assert read(role, "trades_total") == read(role, "strategy_trades_total")
    assert read(role, "trades_total") == read(role, "trade_execution_duration_seconds_count")
    assert read(role, "platform_fees_total") == pytest.approx(
        read(role, "trade_volume_total") * 0.0002
    )


def test_the_account_that_is_exposed_is_consistent() -> None:
    role = make_engine()
    run(role, 600)
    positions_value = sum(
        position.result(role.desk.market.prices[symbol])
        for symbol, position in role.desk.account.positions.items()
    )
    value = read(role, "portfolio_value_usd")
    assert value == pytest.approx(read(role, "trading_balance_usdt") + positions_value)
    assert value == pytest.approx(100_000 + read(role, "profit_loss_total"))
    in_usd = read(role, "position_size_btc") * role.desk.market.prices["BTCUSDT"]
    assert in_usd == pytest.approx(
        sum(
            position.quantity * role.desk.market.prices[symbol]
            for symbol, position in role.desk.account.positions.items()
        )
    )


def test_messages_are_those_sent_and_those_received() -> None:
    role = make_engine()
    run(role, 120, 0.5)
    for client in ("web", "mobile", "api"):
        sent = read(role, "websocket_messages_sent_total", client=client)
        received = read(role, "websocket_messages_received_total", client=client)
        assert sent > received > 0
        assert read(role, "websocket_messages_total", client=client) == sent + received


def test_the_pool_is_used_idle_and_no_larger_than_its_size() -> None:
    role = make_engine()
    role.advance(1.0)
    used, idle, size = (
        read(role, "db_pool_connections", state=state) for state in ("used", "idle", "max")
    )
    assert used + idle == size == 100
    assert used > 0


def test_analyses_add_up() -> None:
    role = make_analyst()
    run(role, 300)
    done = read(role, "ai_analysis_total")
    assert done == read(role, "ai_predictions_total")
    assert done == read(role, "ai_confidence_score_count")
    assert done == read(role, "ai_analysis_duration_seconds_count")
    assert done > read(role, "openai_requests_total") > 0
    assert {signal.symbol for signal in role.analyst.outbox} == set(SYMBOLS)


def test_kong_forwards_what_it_counts() -> None:
    role = make_role(KONG)
    run(role, 120, 0.5)
    forwarded = read(role, "kong_http_requests_total")
    assert forwarded == read(role, "kong_request_latency_ms_count")
    assert forwarded == read(role, "kong_nginx_requests_total")
    whole, kong, upstream = (
        read(role, f"kong_{part}_latency_ms_sum") for part in ("request", "kong", "upstream")
    )
    assert whole == pytest.approx(kong + upstream, rel=0.01)


def test_time_in_which_the_process_stood_still_is_not_made_up_for() -> None:
    role = make_engine()
    role.advance(3600.0)
    assert role.now == datetime(2025, 11, 18, 13, tzinfo=UTC)
    assert 0 < read(role, "trades_total") < 20


def test_the_daily_result_begins_anew_at_midnight_utc() -> None:
    role = make_engine(start=datetime(2025, 11, 18, 23, 50, tzinfo=UTC))
    while role.now < datetime(2025, 11, 18, 23, 59, 59, tzinfo=UTC):
        role.advance(1.0)
    before = read(role, "profit_loss_daily")
    total = read(role, "profit_loss_total")
    role.advance(1.0)
    assert before == pytest.approx(total) != 0
    assert read(role, "profit_loss_daily") == 0
    assert read(role, "profit_loss_total") == pytest.approx(total, abs=50)


def test_a_mean_reverting_value_has_its_deviation_and_keeps_its_bounds() -> None:
    process = MeanReverting(generator(1), mean=10, deviation=2, relaxation=60)
    values = [process.advance(30) for _ in range(5000)]
    assert statistics.mean(values) == pytest.approx(10, abs=0.3)
    assert statistics.stdev(values) == pytest.approx(2, rel=0.1)
    assert 4 <= min(values) < max(values) <= 16


def test_a_mean_reverting_value_does_not_depend_on_the_length_of_steps() -> None:
    small, large = (MeanReverting(generator(seed), 0, 1, 60) for seed in (1, 2))
    in_small_steps = []
    for index in range(40_000):
        value = small.advance(3)
        if index % 20 == 0:
            in_small_steps.append(value)
    in_large_steps = [large.advance(60) for _ in range(2000)]
    assert statistics.stdev(in_small_steps) == pytest.approx(
        statistics.stdev(in_large_steps), rel=0.1
    )


def test_arrivals_keep_their_rate_and_leave_no_minute_empty() -> None:
    arrivals = Arrivals(generator(1))
    minutes = [sum(arrivals.due(0.05, 0.5) for _ in range(120)) for _ in range(1000)]
    assert statistics.mean(minutes) == pytest.approx(3, rel=0.02)
    assert min(minutes) >= 2
    assert arrivals.due(0.0, 60) == 0


def test_latencies_have_their_median_and_a_long_tail() -> None:
    rng = generator(1)
    drawn = sorted(log_normal(rng, 0.1, 0.5) for _ in range(10_000))
    assert drawn[5000] == pytest.approx(0.1, rel=0.05)
    assert drawn[9500] == pytest.approx(0.1 * 2.718 ** (1.645 * 0.5), rel=0.05)


def test_the_day_is_busiest_in_the_afternoon() -> None:
    midnight = datetime(2025, 11, 18, tzinfo=UTC)
    hours = [activity(midnight + timedelta(hours=hour)) for hour in range(24)]
    assert hours.index(max(hours)) == 14
    assert statistics.mean(hours) == pytest.approx(1)
    assert 0.6 < min(hours) < max(hours) < 1.4


def test_prices_move_and_never_run_away() -> None:
    market = Market(generator(1))
    for _ in range(10_000):
        market.advance(600)
        for symbol, reference in REFERENCE_PRICES.items():
            assert 0.9 < market.prices[symbol] / reference < 1.1
    assert market.prices != dict(REFERENCE_PRICES)


def test_a_signal_survives_the_message_queue() -> None:
    signal = Signal("BTCUSDT", "LONG", 0.71, "lstm-trend", "2025-11-18T12:00:00.000+00:00")
    assert Signal.from_json(signal.to_json()) == signal


@pytest.mark.parametrize(
    "text",
    [
        b"\xff",
        "no json",
        "[]",
        "3",
        "{}",
        json.dumps({"symbol": "BTCUSDT"}),
        json.dumps(vars(Signal("DOGE", "LONG", 0.7, "m", "t"))),
        json.dumps(vars(Signal("BTCUSDT", "MAYBE", 0.7, "m", "t"))),
        json.dumps(vars(Signal("BTCUSDT", "LONG", 0.7, "m", "t")) | {"symbol": ["BTCUSDT"]}),
    ],
)
def test_what_is_no_signal_is_refused(text: str | bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        Signal.from_json(text)
