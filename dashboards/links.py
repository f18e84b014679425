"""Ways out of a dashboard: to the other dashboards, and to the logs of the same service and time."""

from __future__ import annotations

import json
import re
from urllib.parse import quote

from grafana_foundation_sdk.builders.dashboard import DashboardLink
from grafana_foundation_sdk.models.dashboard import DashboardLinkType

TITLES = {
    "system-overview": "System Overview",
    "trading-performance": "Trading Performance",
    "api-performance": "API Performance",
    "ai-analysis": "AI Analysis",
    "database-performance": "Database Performance",
    "websocket-metrics": "WebSocket Metrics",
    "business-metrics": "Business Metrics",
}
"""The dashboards in the plan's order: uid (also the file's name) and title."""


def explore_logs(selector: str) -> str:
    """Give the address of Explore with a LogQL selector, over the dashboard's time range.

    Grafana replaces its own variables in it, so those stay readable; all else is percent-encoded.
    The shape is that of Grafana 10's `panes` parameter.
    """
    query = {
        "refId": "A",
        "expr": selector,
        "queryType": "range",
        "datasource": {"type": "loki", "uid": "loki"},
    }
    pane = {
        "datasource": "loki",
        "queries": [query],
        "range": {"from": "${__from}", "to": "${__to}"},
    }
    panes = quote(json.dumps({"logs": pane}, separators=(",", ":")), safe="")
    readable = re.sub(
        r"%24%7B(.+?)%7D", lambda found: "${" + found[1].replace("%3A", ":") + "}", panes
    )
    return f"/explore?orgId=1&schemaVersion=1&panes={readable}"


def to_other_dashboards(uid: str) -> list[DashboardLink]:
    """Give a link to each dashboard but the one with this uid, with the time range kept."""
    return [
        DashboardLink(title)
        .type(DashboardLinkType.LINK)
        .icon("dashboard")
        .tooltip(f"{title}, same time range")
        .url(f"/d/{other}")
        .keep_time(True)
        for other, title in TITLES.items()
        if other != uid
    ]


def to_logs(selector: str) -> DashboardLink:
    """Give the dashboard's link to the logs that a LogQL selector picks."""
    return (
        DashboardLink("Logs")
        .type(DashboardLinkType.LINK)
        .icon("doc")
        .tooltip("Logs of the same services and time in Loki")
        .url(explore_logs(selector))
        .target_blank(True)
    )


def to_logs_of(service: str) -> DashboardLink:
    """Give a link to the logs of a service from its series or table cell; `service` is Grafana's variable for it."""
    selector = f'{{job="{service}"}}'
    return DashboardLink(f"Logs of {service}").url(explore_logs(selector)).target_blank(True)
