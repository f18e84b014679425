"""Do people use the platform, and does it earn?"""

from __future__ import annotations

from grafana_foundation_sdk.models import units
from grafana_foundation_sdk.models.dashboard import Dashboard

from dashboards import limits
from dashboards.builders import Column, Query, lines, number, rows
from dashboards.frame import Section, dashboard
from dashboards.promql import WINDOW, counted

USERS = Section(
    "Users",
    8,
    [
        lines(
            "Active Users",
            "Users active now, and the most at any time of the last hour. Worry about none during "
            "business hours.",
            Query("business:users_active:1h", "most in an hour"),
            Query("business:users_active:current", "now"),
            unit=units.Short,
            limit=limits.ACTIVE_USERS,
        ),
        lines(
            "New Registrations",
            "Registrations of the last hour and of the last day. Worry when a whole day has none: "
            "try to register.",
            Query("business:user_registrations:1h", "last hour"),
            Query("round(sum(increase(user_registrations_total[24h])))", "last 24 h"),
            unit=units.Short,
        ),
    ],
)

MONEY = Section(
    "Money",
    8,
    [
        number(
            "Trading Volume (24h)",
            "What was traded in the last 24 hours. Worry about half of the usual: compare Trading "
            "Performance.",
            Query("business:trading_volume:24h", "volume"),
            unit=units.Dollars,
            by_service=True,
        ),
        number(
            "Revenue (24h)",
            "Fees that the platform took in the last 24 hours. Worry when it falls while the "
            "volume does not.",
            Query("business:platform_fees:24h", "fees"),
            unit=units.Dollars,
            by_service=True,
        ),
        number(
            "Portfolio Value Growth",
            "Change of the portfolio's value in 24 hours. Worry from -5 %: the daily loss limit.",
            Query("business:portfolio_value_growth:24h * 100", "growth"),
            unit=units.Percent,
            limit=limits.DAILY_RESULT_PERCENT,
            by_service=True,
        ),
        lines(
            "User Engagement",
            "Logins and sessions begun in an hour. Worry when logins go on but sessions stop: "
            "people get in and leave.",
            Query(f"sum(rate(user_logins_total[{WINDOW}])) * 3600", "logins"),
            Query(f"sum(rate(user_sessions_total[{WINDOW}])) * 3600", "sessions"),
            unit=units.Short,
        ),
    ],
)

STRATEGIES = Section(
    "Strategies and fees",
    8,
    [
        rows(
            "Top Strategies",
            "The ten strategies with most trades in the chosen time range. Worry when one that "
            "should trade is missing.",
            {
                "Trades": Column(
                    f"topk(10, {counted('strategy_trades_total', by='strategy')})",
                    units.Short,
                )
            },
            labels={"strategy": "Strategy"},
        ),
        lines(
            "Platform Fees",
            "Fees in an hour. Worry when the line is flat while trades go on: fees are not booked.",
            Query(f"sum(rate(platform_fees_total[{WINDOW}])) * 3600", "fees per hour"),
            unit=units.Dollars,
        ),
    ],
)


def build() -> Dashboard:
    """Give the dashboard."""
    return dashboard(
        "business-metrics",
        "Users, volume, revenue and strategies: what the platform is for.",
        [USERS, MONEY, STRATEGIES],
        services="rust-core-engine|nextjs-ui-dashboard",
    )
