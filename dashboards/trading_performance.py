"""Does the engine trade, how well, and within its risk limits?"""

from __future__ import annotations

from grafana_foundation_sdk.models import units
from grafana_foundation_sdk.models.dashboard import Dashboard

from dashboards import limits
from dashboards.builders import active_alerts, dial, lines, log_lines, number, pie
from dashboards.fields import (
    BITCOIN,
    SIGNED_DOLLARS,
    TRADES_PER_MINUTE,
    UP_DOWN,
    Field,
    Query,
)
from dashboards.frame import Section, Variable, dashboard
from dashboards.links import to_dashboard
from dashboards.palette import GOOD, WARN
from dashboards.promql import WINDOW, counted

ENGINE = "rust-core-engine"
SYMBOL = '{symbol=~"$symbol"}'
NO_ADDRESS = "BINANCE_API_URL is not set"

STATUS = Section(
    None,
    4,
    [
        number(
            "Trading",
            "Whether the engine is allowed to trade.",
            "If nobody switched it off, the engine stopped itself: its log says why.",
            Query("trading_enabled", "trading"),
            unit=units.NoUnit,
            width=3,
            limit=limits.TRADING_ENABLED,
            texts={0: ("Halted", WARN), 1: ("Enabled", GOOD)},
            by_service=True,
        ),
        number(
            "Binance API",
            "Whether Binance responds to a probe from here.",
            "While it is down, no order can be placed or closed.",
            Query('probe_success{job="binance-api"}', "{{instance}}", empty=NO_ADDRESS),
            unit=units.NoUnit,
            width=4,
            limit=limits.REACHED,
            texts=UP_DOWN,
        ),
        dial(
            "Trade Success Rate",
            "Share of the trades of the last five minutes that succeeded. The target is 95 %.",
            "Below 90 % the exchange rejects orders, or the balance is too low.",
            Query("trading:trade_success_ratio:rate5m * 100", "success"),
            unit=units.Percent,
            maximum=100,
            width=4,
            limit=limits.TRADE_SUCCESS_PERCENT,
        ),
        number(
            "Daily P&L",
            "Profit or loss of the last 24 hours, and today's as a share of its opening value.",
            "A loss of 5 % is the daily loss limit.",
            Query("business:profit_loss:24h", "last 24 h"),
            Query(
                "sum(profit_loss_daily) / (sum(portfolio_value_usd) - sum(profit_loss_daily) > 0) * 100",
                "of portfolio",
            ),
            unit=SIGNED_DOLLARS,
            width=5,
            limit=limits.RESULT,
            fields=[
                Field(
                    "of portfolio",
                    unit=units.Percent,
                    limit=limits.DAILY_RESULT_PERCENT,
                    decimals=2,
                )
            ],
        ),
        number(
            "Trading Balance",
            "USDT that is free to trade.",
            "Below 100 there is little room; below 50 orders fail for lack of funds.",
            Query("trading_balance_usdt", "balance"),
            unit=units.Dollars,
            limit=limits.BALANCE_USDT,
            by_service=True,
        ),
        dial(
            "Open Positions",
            "Trading pairs whose position is not zero.",
            "At ten the engine may not open another.",
            Query("trading:open_positions:count", "{{instance}}"),
            unit=units.Short,
            maximum=12,
            width=4,
            limit=limits.OPEN_POSITIONS,
        ),
    ],
)

EXECUTION = Section(
    None,
    7,
    [
        lines(
            "Trades per Minute",
            "Trades per minute, by pair.",
            "If all lines drop to zero while trading is enabled, TradingHalted fires after ten minutes.",
            Query(f"sum by (symbol) (rate(trades_total{SYMBOL}[{WINDOW}])) * 60", "{{symbol}}"),
            unit=TRADES_PER_MINUTE,
            width=8,
            stacked=True,
        ),
        number(
            "Trade Failures",
            "Trades that failed within the time range, by pair.",
            "If one pair collects them, its market may be closed or its minimum order size may have changed.",
            Query(counted("trades_failed_total", by="symbol", where=SYMBOL), "{{symbol}}"),
            unit=units.Short,
            width=7,
            limit=limits.ANY,
            details=to_dashboard("trading-performance", symbol="${__field.labels.symbol}"),
        ),
        lines(
            "Trade Execution Latency",
            "Time from order to execution: 50 %, 95 % and 99 % of the trades take at most this long.",
            "Prices move while orders wait: a p95 above its usual band costs money.",
            *(
                Query(f"trading:trade_duration_seconds:{name}", name)
                for name in ("p50", "p95", "p99")
            ),
            unit=units.Seconds,
            width=9,
            limit=limits.EXECUTION_SECONDS,
        ),
    ],
)

ALERTS_AND_VALUE = Section(
    None,
    6,
    [
        active_alerts(ENGINE),
        lines(
            "Portfolio Value",
            "Value of all holdings.",
            "A step down without a trade that explains it needs an investigation.",
            Query("portfolio_value_usd", "portfolio"),
            # Grafana shortens dollars to thousands, which hides the changes of a day.
            unit=SIGNED_DOLLARS,
            from_zero=False,
            places=0,
        ),
    ],
)

RISK = Section(
    "Pairs and risk",
    8,
    [
        lines(
            "Trades by Side",
            "Trades per minute, bought and sold.",
            "If one side stops while the other continues, the engine only builds up or only unwinds positions.",
            Query(f"sum by (side) (rate(trades_total{SYMBOL}[{WINDOW}])) * 60", "{{side}}"),
            unit=TRADES_PER_MINUTE,
            width=6,
        ),
        pie(
            "Top Traded Pairs",
            "The ten pairs with the most trades within the time range.",
            "A pair that should trade but is missing points to its strategy or its market.",
            Query(
                f"topk(10, {counted('trades_total', by='symbol', where=SYMBOL)})",
                "{{symbol}}",
            ),
            unit=units.Short,
        ),
        number(
            "Risk Metrics",
            "Max drawdown: the deepest fall from a peak. Sharpe ratio: return relative to risk, below zero for a loss.",
            "The first growing while the second falls means more risk for less return.",
            Query("max_drawdown_ratio", "Max drawdown"),
            Query("sharpe_ratio", "Sharpe ratio"),
            unit=units.PercentUnit,
            width=3,
            limit=limits.DRAWDOWN,
            by_service=True,
            fields=[Field("Sharpe ratio", unit=units.Short, limit=limits.SHARPE, decimals=2)],
        ),
        lines(
            "Position Size",
            "Size of each position in BTC; short positions are below zero.",
            "No strategy asks for more than 10 BTC either way.",
            Query(f"position_size_btc{SYMBOL}", "{{symbol}}"),
            unit=BITCOIN,
            width=7,
            limit=limits.POSITION_BTC,
            top=0.01,
        ),
    ],
)

BINANCE = Section(
    "Binance",
    7,
    [
        number(
            "Binance Status",
            "HTTP status of the last response.",
            "429 and 418 mean that Binance throttles or bans this address, for longer the more often it is asked.",
            Query('probe_http_status_code{job="binance-api"}', "{{instance}}", empty=NO_ADDRESS),
            unit=units.NoUnit,
            width=8,
            limit=limits.BINANCE_STATUS,
        ),
        lines(
            "Binance Latency",
            "Response time of Binance, averaged over five minutes.",
            "Above 2 s orders are filled at prices other than those they were based on.",
            Query(
                'avg_over_time(probe_duration_seconds{job="binance-api"}[5m])',
                "{{instance}}",
                empty=NO_ADDRESS,
            ),
            unit=units.Seconds,
            width=16,
            limit=limits.BINANCE_SECONDS,
        ),
    ],
)

LOGS = Section(
    "Engine log",
    10,
    [
        log_lines(
            "Engine Log",
            "The latest log lines of rust-core-engine.",
            "Rejected orders, and what happened before a drop above, are here.",
            f'{{job="{ENGINE}"}}',
        )
    ],
)


def build() -> Dashboard:
    """Return the dashboard."""
    return dashboard(
        "trading-performance",
        "Whether the engine trades, how well orders are executed, and how the portfolio and its risk stand.",
        [STATUS, EXECUTION, ALERTS_AND_VALUE, RISK, BINANCE, LOGS],
        services=ENGINE,
        variables=[Variable("symbol", "trades_total")],
    )
