"""Do people use the platform, and does it earn money?"""

from __future__ import annotations

from grafana_foundation_sdk.models import units
from grafana_foundation_sdk.models.dashboard import Dashboard

from dashboards import limits
from dashboards.builders import active_alerts, counted_bars, lines, number, rows
from dashboards.fields import DOLLARS_PER_HOUR, PER_HOUR, Column, Query
from dashboards.frame import Section, dashboard
from dashboards.promql import WINDOW, counted

SERVICES = "rust-core-engine|nextjs-ui-dashboard"

STATUS = Section(
    None,
    4,
    [
        number(
            "Users Online",
            "Users who are active now.",
            "Nobody during business hours means that people cannot get in.",
            Query("business:users_active:current", "now"),
            unit=units.Short,
            width=4,
            limit=limits.ACTIVE_USERS,
            by_service=True,
        ),
        number(
            "Registrations (1h)",
            "Users who registered within the last hour.",
            "Compare it with its usual value: none at a busy time means that registration is broken.",
            Query("business:user_registrations:1h", "registrations"),
            unit=units.Short,
            width=4,
            by_service=True,
            places=0,
        ),
        number(
            "Trading Volume (24h)",
            "Volume traded within the last 24 hours.",
            "If it is half its usual value, compare Trading Performance.",
            Query("business:trading_volume:24h", "volume"),
            unit=units.Dollars,
            width=6,
            by_service=True,
            more="trading-performance",
        ),
        number(
            "Revenue (24h)",
            "Fees that the platform earned within the last 24 hours.",
            "If it falls while the volume does not, fees are not booked.",
            Query("business:platform_fees:24h", "fees"),
            unit=units.Dollars,
            width=5,
            by_service=True,
        ),
        number(
            "Portfolio Value Growth",
            "Change of the portfolio's value within 24 hours.",
            "-5 % is the daily loss limit.",
            Query("business:portfolio_value_growth:24h * 100", "growth"),
            unit=units.Percent,
            width=5,
            limit=limits.DAILY_RESULT_PERCENT,
            by_service=True,
            places=2,
            more="trading-performance",
        ),
    ],
)

USERS = Section(
    None,
    7,
    [
        lines(
            "Active Users",
            "Users who are active, and the maximum of the hour before.",
            "A drop that the time of day does not explain means that people cannot get in.",
            Query("business:users_active:1h", "most in an hour"),
            Query("business:users_active:current", "now"),
            unit=units.Short,
            width=8,
            limit=limits.ACTIVE_USERS,
        ),
        counted_bars(
            "New Registrations",
            "Registrations within each interval of five minutes or more, as the time range allows.",
            "A whole day without any means that registration is broken: try it.",
            Query(
                "round(60 * sum_over_time(business:user_registrations:rate5m[$__interval]))",
                "registrations",
            ),
            unit=units.Short,
            width=8,
        ),
        lines(
            "User Engagement",
            "Logins and new sessions per hour.",
            "Logins without sessions mean that people get in and leave at once.",
            Query(f"sum(rate(user_logins_total[{WINDOW}])) * 3600", "logins"),
            Query(f"sum(rate(user_sessions_total[{WINDOW}])) * 3600", "sessions"),
            unit=PER_HOUR,
            width=8,
        ),
    ],
)

ALERTS_AND_FEES = Section(
    None,
    6,
    [
        active_alerts(SERVICES),
        rows(
            "Top Strategies",
            "The ten strategies with the most trades within the time range.",
            "A strategy that should trade but is missing has stopped.",
            {
                "Trades": Column(
                    f"topk(10, {counted('strategy_trades_total', by='strategy')})",
                    units.Short,
                )
            },
            labels={"strategy": "Strategy"},
        ),
    ],
)

FEES = Section(
    "Fees",
    8,
    [
        lines(
            "Platform Fees",
            "Fees that the platform earns per hour.",
            "A flat line while trades continue means that fees are not booked.",
            Query(f"sum(rate(platform_fees_total[{WINDOW}])) * 3600", "fees"),
            unit=DOLLARS_PER_HOUR,
            width=24,
        ),
    ],
)


def build() -> Dashboard:
    """Return the dashboard."""
    return dashboard(
        "business-metrics",
        "Users, volume, revenue and strategies.",
        [STATUS, USERS, ALERTS_AND_FEES, FEES],
        services=SERVICES,
    )
