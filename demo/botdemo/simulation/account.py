"""A futures account: a balance in USDT, the positions held against it, and their results."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

_DUST = 1e-9


@dataclass
class Position:
    """A signed quantity of one symbol and its mean entry price."""

    quantity: float = 0.0
    entry_price: float = 0.0

    def result(self, price: float) -> float:
        """Return the result of closing the position at `price`, in USDT."""
        return self.quantity * (price - self.entry_price)

    def add(self, quantity: float, price: float) -> float:
        """Trade a signed quantity at `price`; return the realized result in USDT."""
        total = self.quantity + quantity
        if self.quantity * quantity >= 0:
            cost = self.quantity * self.entry_price + quantity * price
            self.entry_price = cost / total if total else 0.0
            self.quantity = total
            return 0.0
        closed = min(abs(quantity), abs(self.quantity))
        realised = closed * (price - self.entry_price) * (1 if self.quantity > 0 else -1)
        if abs(quantity) > abs(self.quantity):
            self.entry_price = price
        self.quantity = 0.0 if abs(total) < _DUST else total
        return realised


@dataclass(frozen=True)
class Statement:
    """The account at one moment, in USDT; `value` is the balance plus the result of closing all positions."""

    balance: float
    positions_value: float
    profit_total: float
    profit_daily: float
    peak: float
    max_drawdown: float

    @property
    def value(self) -> float:
        """The portfolio's value."""
        return self.balance + self.positions_value

    def losing(self, ratio: float) -> Statement:
        """Return the statement after open positions lost so much that today's loss is `ratio` of the value."""
        value = (self.value - self.profit_daily) / (1 + ratio)
        loss = self.value - value
        return dataclasses.replace(
            self,
            positions_value=self.positions_value - loss,
            profit_total=self.profit_total - loss,
            profit_daily=self.profit_daily - loss,
            max_drawdown=max(self.max_drawdown, (self.peak - value) / self.peak),
        )

    def scaled(self, factor: float) -> Statement:
        """Return the statement of an account `factor` times as large; all ratios stay the same."""
        return Statement(
            self.balance * factor,
            self.positions_value * factor,
            self.profit_total * factor,
            self.profit_daily * factor,
            self.peak * factor,
            self.max_drawdown,
        )


class Account:
    """An account that trades against a deposit and keeps the day's opening value and the running peak."""

    def __init__(self, deposit: float, today: date) -> None:
        self.balance = deposit
        self.positions: dict[str, Position] = {}
        self._deposit = deposit
        self._today = today
        self._opening_value = deposit
        self._peak = deposit
        self._max_drawdown = 0.0

    def trade(self, symbol: str, quantity: float, price: float, fee: float) -> None:
        """Buy (or, if negative, sell) `quantity` at `price`; the fee is paid from the balance."""
        position = self.positions.setdefault(symbol, Position())
        self.balance += position.add(quantity, price) - fee

    def notional(self, symbol: str, price: float) -> float:
        """Return the signed size of a position in USDT."""
        position = self.positions.get(symbol)
        return position.quantity * price if position else 0.0

    def close_books(self, prices: Mapping[str, float], today: date) -> Statement:
        """Return the account's statement at `prices`; a new UTC day begins with a daily result of zero."""
        positions_value = sum(
            position.result(prices[symbol]) for symbol, position in self.positions.items()
        )
        value = self.balance + positions_value
        if today != self._today:
            self._today = today
            self._opening_value = value
        self._peak = max(self._peak, value)
        self._max_drawdown = max(self._max_drawdown, (self._peak - value) / self._peak)
        return Statement(
            balance=self.balance,
            positions_value=positions_value,
            profit_total=value - self._deposit,
            profit_daily=value - self._opening_value,
            peak=self._peak,
            max_drawdown=self._max_drawdown,
        )
