"""The trading engine: a desk that trades its account on the market with four strategies."""

from __future__ import annotations

import logging
from collections import deque
from dataclasses import dataclass
from datetime import date, datetime
from random import Random

from botdemo.metrics import TradingMetrics
from botdemo.simulation.account import Account, Statement
from botdemo.simulation.chance import Arrivals, MeanReverting, log_normal
from botdemo.simulation.market import BITCOIN, REFERENCE_PRICES, Market
from botdemo.switches import EngineSwitches

SIDES = ("BUY", "SELL")
STRATEGIES = ("rsi_momentum", "macd_trend", "bollinger_reversion", "volume_breakout")
LISTED = (
    *REFERENCE_PRICES,
    *("XRPUSDT", "ADAUSDT", "DOGEUSDT", "AVAXUSDT", "LINKUSDT", "DOTUSDT", "LTCUSDT", "TRXUSDT"),
)
"""Every symbol with a position series; symbols that are not traded have no position unless a switch opens one."""

DEPOSIT = 100_000.0

_TRADES_PER_SECOND = 1.0
_FAILURE_RATIO = 0.005
_FEE_RATIO = 0.0002
_HALF_SPREAD = 0.0002
_POSITION_LIMIT = 40_000.0
_MEDIAN_NOTIONAL = 80.0
_MEDIAN_FILL_SECONDS = 0.08
_OPENED_BY_SWITCH_BTC = 0.01
_SYMBOL_WEIGHTS = (0.4, 0.3, 0.17, 0.13)

log = logging.getLogger("botdemo.trading")


@dataclass(frozen=True)
class Trade:
    """One attempted trade; `quantity` is unsigned, prices and notional are in USDT."""

    number: int
    time: datetime
    symbol: str
    side: str
    strategy: str
    quantity: float
    price: float
    filled: bool

    @property
    def notional(self) -> float:
        """The trade's size in USDT."""
        return self.quantity * self.price


class TradingDesk:
    """Trades, keeps the account, and exposes both as metrics."""

    def __init__(self, rng: Random, metrics: TradingMetrics, today: date) -> None:
        self._rng = rng
        self._metrics = metrics
        self._arrivals = Arrivals(rng)
        self._sharpe = MeanReverting(rng, 1.8, 0.1, 3600)
        self.market = Market(rng)
        self.account = Account(DEPOSIT, today)
        self.statement = self.account.close_books(self.market.prices, today)
        self.recent: deque[Trade] = deque(maxlen=50)
        self.attempted = 0
        for symbol in REFERENCE_PRICES:
            metrics.volume.labels(symbol)
            for side in SIDES:
                for counter in (metrics.trades, metrics.succeeded, metrics.failed):
                    counter.labels(symbol, side)
        for strategy in STRATEGIES:
            metrics.strategy_trades.labels(strategy)

    def advance(
        self, seconds: float, activity: float, now: datetime, switches: EngineSwitches
    ) -> None:
        """Simulate the trades of `seconds`, up to `now`; log one per step."""
        self.market.advance(seconds)
        self._sharpe.advance(seconds)
        rate = _TRADES_PER_SECOND * activity * switches.trade_rate_factor
        due = self._arrivals.due(rate, seconds) if switches.trading_enabled else 0
        for index in range(due):
            trade = self._decide(now, switches)
            took = log_normal(self._rng, _MEDIAN_FILL_SECONDS, 0.5) + switches.trade_latency_seconds
            self._execute(trade, took, switches.trade_volume_factor)
            if index == 0:
                self._report_trade(trade, took)
        self._publish(self.account.close_books(self.market.prices, now.date()), switches)

    def _decide(self, now: datetime, switches: EngineSwitches) -> Trade:
        symbol = self._rng.choices(list(REFERENCE_PRICES), _SYMBOL_WEIGHTS)[0]
        middle = self.market.prices[symbol]
        share = self.account.notional(symbol, middle) / _POSITION_LIMIT
        buying = self._rng.random() < 0.5 - 0.1 * self.market.richness(symbol) - 0.5 * share
        # The desk uses limit orders: it buys below the mid price and sells above it.
        price = middle * (1 - _HALF_SPREAD if buying else 1 + _HALF_SPREAD)
        failing = switches.trade_failure_ratio
        self.attempted += 1
        return Trade(
            number=self.attempted,
            time=now,
            symbol=symbol,
            side="BUY" if buying else "SELL",
            strategy=self._rng.choice(STRATEGIES),
            quantity=log_normal(self._rng, _MEDIAN_NOTIONAL, 0.6) / price,
            price=price,
            filled=self._rng.random() >= (_FAILURE_RATIO if failing is None else failing),
        )

    def _execute(self, trade: Trade, seconds: float, volume_factor: float) -> None:
        metrics = self._metrics
        self.recent.append(trade)
        metrics.trades.labels(trade.symbol, trade.side).inc()
        metrics.strategy_trades.labels(trade.strategy).inc()
        metrics.duration.observe(seconds)
        if not trade.filled:
            metrics.failed.labels(trade.symbol, trade.side).inc()
            return
        fee = trade.notional * _FEE_RATIO
        signed = trade.quantity if trade.side == "BUY" else -trade.quantity
        self.account.trade(trade.symbol, signed, trade.price, fee)
        metrics.succeeded.labels(trade.symbol, trade.side).inc()
        metrics.volume.labels(trade.symbol).inc(trade.notional * volume_factor)
        metrics.fees.inc(fee * volume_factor)

    def _report_trade(self, trade: Trade, seconds: float) -> None:
        level, outcome = (logging.INFO, "filled") if trade.filled else (logging.WARNING, "failed")
        log.log(
            level,
            "trade %d: %s %.6f %s at %.2f %s in %.0f ms (%s)",
            trade.number,
            trade.side,
            trade.quantity,
            trade.symbol,
            trade.price,
            outcome,
            seconds * 1000,
            trade.strategy,
        )

    def _publish(self, statement: Statement, switches: EngineSwitches) -> None:
        metrics = self._metrics
        if switches.daily_loss_ratio is not None:
            statement = statement.losing(switches.daily_loss_ratio)
        scale = 1.0
        if switches.balance_usdt is not None:
            scale = switches.balance_usdt / statement.balance
            statement = statement.scaled(scale)
        self.statement = statement

        metrics.enabled.set(switches.trading_enabled)
        metrics.balance.set(statement.balance)
        metrics.portfolio.set(statement.value)
        metrics.profit_daily.set(statement.profit_daily)
        metrics.profit_total.set(statement.profit_total)
        drawdown = switches.max_drawdown_ratio
        metrics.drawdown.set(statement.max_drawdown if drawdown is None else drawdown)
        sharpe = switches.sharpe_ratio
        metrics.sharpe.set(self._sharpe.value if sharpe is None else sharpe)
        for symbol, size in self._positions_btc(scale, switches).items():
            metrics.position.labels(symbol).set(size)

    def _positions_btc(self, scale: float, switches: EngineSwitches) -> dict[str, float]:
        prices = self.market.prices
        sizes = dict.fromkeys(LISTED, 0.0)
        for symbol in REFERENCE_PRICES:
            notional = self.account.notional(symbol, prices[symbol])
            sizes[symbol] = scale * notional / prices[BITCOIN]
        if switches.open_positions is not None:
            for index, symbol in enumerate(LISTED):
                opened = sizes[symbol] or _OPENED_BY_SWITCH_BTC
                sizes[symbol] = opened if index < switches.open_positions else 0.0
        if switches.position_size_btc is not None:
            sizes[BITCOIN] = switches.position_size_btc
        return sizes
