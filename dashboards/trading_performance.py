"""Does the engine trade, well, and within its risk limits?"""

from __future__ import annotations

from grafana_foundation_sdk.models import units
from grafana_foundation_sdk.models.dashboard import Dashboard

from dashboards import limits
from dashboards.builders import UP_DOWN, Field, Query, dial, lines, log_lines, number, pie
from dashboards.frame import Section, Variable, dashboard
from dashboards.promql import counted

SYMBOL = '{symbol=~"$symbol"}'

EXECUTION = Section(
    "Execution",
    8,
    [
        number(
            "Trading",
            "Whether the engine is allowed to trade. Worry when it is halted without your doing: "
            "the log below says why.",
            Query("trading_enabled", "trading"),
            unit=units.NoUnit,
            width=3,
            limit=limits.TRADING_ENABLED,
            texts={0: ("Halted", limits.WARN), 1: ("Enabled", limits.GOOD)},
            by_service=True,
        ),
        lines(
            "Trades per Minute",
            "Trades of each pair in a minute. Worry when all lines fall to zero while trading is "
            "enabled: after ten minutes TradingHalted fires.",
            Query(
                f"sum by (symbol) (rate(trades_total{SYMBOL}[$__rate_interval])) * 60", "{{symbol}}"
            ),
            unit=units.OpsPerMinute,
            width=8,
            stacked=True,
        ),
        dial(
            "Trade Success Rate",
            "Trades of the last five minutes that went through; the target is 95 %. Worry below 90 "
            "%: the exchange rejects orders, or the balance is too small.",
            Query("trading:trade_success_ratio:rate5m * 100", "success"),
            unit=units.Percent,
            maximum=100,
            width=5,
            limit=limits.TRADE_SUCCESS_PERCENT,
        ),
        lines(
            "Trade Execution Latency",
            "Time from order to execution: half, 95 % and 99 % of the trades take at most this "
            "long. Worry when p95 leaves its usual band: prices move while orders wait.",
            *(
                Query(f"trading:trade_duration_seconds:{name}", name)
                for name in ("p50", "p95", "p99")
            ),
            unit=units.Seconds,
            width=8,
            limit=limits.EXECUTION_SECONDS,
        ),
    ],
)

MONEY = Section(
    "Portfolio",
    8,
    [
        lines(
            "Portfolio Value",
            "What all holdings are worth. Worry about a step down without a trade to explain it.",
            Query("portfolio_value_usd", "portfolio"),
            unit=units.Dollars,
            width=10,
            from_zero=False,
        ),
        number(
            "Daily P&L",
            "Profit or loss of the last 24 hours, and today's as a share of the portfolio's opening value. Worry "
            "from a loss of 5 %: the daily loss limit.",
            Query("business:profit_loss:24h", "last 24 h"),
            Query(
                "sum(profit_loss_daily) / (sum(portfolio_value_usd) - sum(profit_loss_daily) > 0) * 100",
                "of portfolio",
            ),
            unit=units.Dollars,
            width=5,
            limit=limits.RESULT,
            fields=[Field("of portfolio", unit=units.Percent, limit=limits.DAILY_RESULT_PERCENT)],
        ),
        dial(
            "Open Positions",
            "How many pairs have a position that is not zero. Worry at ten: the engine may open no more.",
            Query("trading:open_positions:count", "{{instance}}"),
            unit=units.Short,
            maximum=12,
            width=4,
            limit=limits.OPEN_POSITIONS,
        ),
        number(
            "Trade Failures",
            "Trades that failed in the chosen time range, by pair. Worry when one pair collects "
            "them: its market may be closed, or its minimum order size changed.",
            Query(counted("trades_failed_total", by="symbol", where=SYMBOL), "{{symbol}}"),
            unit=units.Short,
            width=5,
            limit=limits.ANY,
        ),
    ],
)

RISK = Section(
    "Risk",
    8,
    [
        number(
            "Trading Balance",
            "USDT free to trade. Worry below 100; below 50 orders fail for want of funds.",
            Query("trading_balance_usdt", "balance"),
            unit=units.Dollars,
            limit=limits.BALANCE_USDT,
            by_service=True,
        ),
        pie(
            "Top Traded Pairs",
            "The ten pairs with most trades in the chosen time range. Worry when one that should "
            "trade is missing.",
            Query(
                f"topk(10, {counted('trades_total', by='symbol', where=SYMBOL)})",
                "{{symbol}}",
            ),
            unit=units.Short,
        ),
        number(
            "Risk Metrics",
            "Max drawdown: the deepest fall from a peak. Sharpe ratio: return for the risk taken, "
            "below zero means loss. Worry when the first grows while the second falls.",
            Query("max_drawdown_ratio", "Max drawdown"),
            Query("sharpe_ratio", "Sharpe ratio"),
            unit=units.PercentUnit,
            limit=limits.DRAWDOWN,
            by_service=True,
            fields=[Field("Sharpe ratio", unit=units.Short, limit=limits.SHARPE)],
        ),
        lines(
            "Position Size",
            "Size of each position in BTC, short ones below zero. Worry beyond 10 either way: no "
            "strategy asks for it.",
            Query(f"position_size_btc{SYMBOL}", "{{symbol}}"),
            unit=units.Bictoin,
            width=10,
            limit=limits.POSITION_BTC,
        ),
    ],
)

NO_ADDRESS = "BINANCE_API_URL is not set"

BINANCE = Section(
    "Binance",
    7,
    [
        number(
            "Binance API",
            "Whether Binance answers a probe from here. Worry when it is down: no order can be placed or closed.",
            Query('probe_success{job="binance-api"}', "{{instance}}", empty=NO_ADDRESS),
            unit=units.NoUnit,
            width=6,
            limit=limits.REACHED,
            texts=UP_DOWN,
        ),
        number(
            "Binance Status",
            "The HTTP status of its last answer. Worry about 429 and 418: it throttles or bans this address, longer "
            "the more you ask.",
            Query('probe_http_status_code{job="binance-api"}', "{{instance}}", empty=NO_ADDRESS),
            unit=units.NoUnit,
            width=6,
            limit=limits.BINANCE_STATUS,
        ),
        lines(
            "Binance Latency",
            "Time that Binance takes to answer, five minutes' mean. Worry above 2 s: orders are filled at other prices "
            "than were seen.",
            Query(
                'avg_over_time(probe_duration_seconds{job="binance-api"}[5m])',
                "{{instance}}",
                empty=NO_ADDRESS,
            ),
            unit=units.Seconds,
            limit=limits.BINANCE_SECONDS,
        ),
    ],
)

LOGS = Section(
    "Log of the engine",
    10,
    [
        log_lines(
            "Engine Log",
            "The newest lines of rust-core-engine. Worry about rejected orders, and look for what "
            "happened before a fall above.",
            '{job="rust-core-engine"}',
        )
    ],
)


def build() -> Dashboard:
    """Give the dashboard."""
    return dashboard(
        "trading-performance",
        "Whether the engine trades, how well orders go through, and how the portfolio and its risk stand.",
        [EXECUTION, MONEY, RISK, BINANCE, LOGS],
        services="rust-core-engine",
        variables=[Variable("symbol", "trades_total")],
    )
