"""Links out of a dashboard: other dashboards, the logs of the same service and time, and the rule behind an alert."""

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

TAG = "bot-core"

LOGGED = (
    "rust-core-engine",
    "python-ai-service",
    "nextjs-ui-dashboard",
    "mongodb",
    "redis",
    "rabbitmq",
    "kong",
    "prometheus",
    "alertmanager",
    "grafana",
    "node-exporter",
    "cadvisor",
    "mongodb-exporter",
    "redis-exporter",
)
"""The services that write to their log in normal operation. The others (Loki and Promtail at level `warn`, the blackbox
exporter, the socket proxy) would lead to an empty page."""

_TIME, _VARIABLES = "${__url_time_range}", "&${__all_variables}"


def explore_logs(selector: str) -> str:
    """Return the address of Explore with a LogQL selector, over the dashboard's time range.

    Grafana replaces its own variables in it, so those stay readable; everything else is percent-encoded.
    The shape is that of the `panes` parameter, which Grafana has had since 10.1.
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


def to_other_dashboards() -> DashboardLink:
    """Return the drop-down of all dashboards with our tag; time range and variables are kept."""
    return (
        DashboardLink("Dashboards")
        .type(DashboardLinkType.DASHBOARDS)
        .tags([TAG])
        .as_dropdown(True)
        .include_vars(True)
        .keep_time(True)
    )


def to_dashboard(uid: str, **variables: str) -> DashboardLink:
    """Return a link to a dashboard from a panel or series; time range and variables are kept.

    `variables` sets variables of that dashboard instead, to texts in which Grafana replaces its own variables.
    """
    chosen = "".join(f"&var-{name}={value}" for name, value in variables.items())
    of_which = f" of {', '.join(variables.values())}" if variables else ""
    return DashboardLink(f"{TITLES[uid]}{of_which}").url(f"/d/{uid}?{_TIME}{chosen or _VARIABLES}")


def to_logs(selector: str) -> DashboardLink:
    """Return the dashboard's link to the logs that a LogQL selector picks."""
    return (
        DashboardLink("Logs")
        .type(DashboardLinkType.LINK)
        .icon("doc")
        .tooltip("Logs of the same services and time in Loki")
        .url(explore_logs(selector))
        .target_blank(True)
    )


def to_logs_of(service: str) -> DashboardLink:
    """Return a link to a service's logs from its series or table cell; `service` is Grafana's variable for it."""
    selector = f'{{job="{service}"}}'
    return DashboardLink(f"Logs of {service}").url(explore_logs(selector)).target_blank(True)


def to_rule(alert: str) -> DashboardLink:
    """Return a link to the page of an alert's rule, which has its summary, runbook and state.

    `alert` is Grafana's variable for the alert's name. The route finds a rule of a data source by its name
    (public/app/routes/routes.tsx, `/alerting/:sourceName/:name/find`).
    """
    return DashboardLink(f"Rule of {alert}").url(f"/alerting/Prometheus/{alert}/find")
