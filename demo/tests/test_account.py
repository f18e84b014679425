"""The account adds up, whatever is traded and wherever prices go."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from botdemo.simulation.account import Account, Position, Statement

TODAY = date(2025, 11, 18)
TOMORROW = date(2025, 11, 19)

trades = st.lists(
    st.tuples(
        st.sampled_from(["BTCUSDT", "ETHUSDT"]),
        st.floats(-5, 5).filter(lambda quantity: abs(quantity) > 1e-3),
        st.floats(10, 1000),
    ),
    max_size=30,
)
final_prices = st.fixed_dictionaries(
    {"BTCUSDT": st.floats(10, 1000), "ETHUSDT": st.floats(10, 1000)}
)


@given(trades=trades, prices=final_prices)
def test_value_is_the_deposit_and_what_every_trade_has_gained_since(
    trades: list[tuple[str, float, float]], prices: dict[str, float]
) -> None:
    account = Account(100_000.0, TODAY)
    for symbol, quantity, price in trades:
        account.trade(symbol, quantity, price, fee=1.0)
    gained = sum(quantity * (prices[symbol] - price) for symbol, quantity, price in trades)

    statement = account.close_books(prices, TODAY)

    assert statement.value == pytest.approx(100_000 + gained - len(trades), abs=0.01)
    assert statement.value == statement.balance + statement.positions_value
    assert statement.profit_total == pytest.approx(statement.value - 100_000)
    assert statement.profit_daily == statement.profit_total


def test_a_position_that_turns_is_entered_anew() -> None:
    position = Position()
    assert position.add(2, 100) == 0
    assert position.add(2, 200) == 0
    assert position.entry_price == 150
    assert position.add(-1, 170) == 20
    assert position.entry_price == 150
    assert position.add(-5, 140) == -30
    assert (position.quantity, position.entry_price) == (-2, 140)
    assert position.result(100) == 80


def test_the_daily_result_begins_anew_at_midnight_and_the_total_does_not() -> None:
    account = Account(1000.0, TODAY)
    account.trade("BTCUSDT", 1, 100, fee=0)
    assert account.close_books({"BTCUSDT": 150}, TODAY).profit_daily == 50
    midnight = account.close_books({"BTCUSDT": 160}, TOMORROW)
    assert (midnight.profit_daily, midnight.profit_total) == (0, 60)
    assert account.close_books({"BTCUSDT": 155}, TOMORROW).profit_daily == -5


def test_drawdown_is_the_deepest_fall_from_the_running_peak() -> None:
    account = Account(1000.0, TODAY)
    account.trade("BTCUSDT", 10, 100, fee=0)
    falls = [
        account.close_books({"BTCUSDT": price}, TODAY).max_drawdown
        for price in (90, 120, 84, 150, 149)
    ]
    assert falls == pytest.approx([0.1, 0.1, 0.3, 0.3, 0.3])


STATEMENT = Statement(
    balance=990.0,
    positions_value=30.0,
    profit_total=20.0,
    profit_daily=10.0,
    peak=1030.0,
    max_drawdown=0.01,
)


@given(ratio=st.floats(0, 1))
def test_a_loss_keeps_the_statement_consistent(ratio: float) -> None:
    losing = STATEMENT.losing(ratio)
    assert losing.profit_daily == pytest.approx(-ratio * losing.value)
    assert losing.value == losing.balance + losing.positions_value
    assert losing.balance == STATEMENT.balance
    assert losing.value - losing.profit_total == pytest.approx(1000)
    assert losing.max_drawdown >= (1030 - losing.value) / 1030


@given(factor=st.floats(0.0001, 1000))
def test_a_scaled_account_has_the_same_ratios(factor: float) -> None:
    scaled = STATEMENT.scaled(factor)
    assert scaled.balance == pytest.approx(990 * factor)
    assert scaled.profit_daily / scaled.value == pytest.approx(10 / 1020)
    assert scaled.max_drawdown == STATEMENT.max_drawdown
