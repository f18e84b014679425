"""Do clients receive their prices live?"""

from __future__ import annotations

from grafana_foundation_sdk.models import units
from grafana_foundation_sdk.models.dashboard import Dashboard

from dashboards import limits
from dashboards.builders import active_alerts, dial, distribution, lines, number, pie, rows
from dashboards.fields import ERRORS_PER_SECOND, MESSAGES_PER_SECOND, UP_DOWN, Column, Query
from dashboards.frame import Section, dashboard
from dashboards.promql import counted, quantile

ENGINE = "rust-core-engine"
DECILES = [tenth / 10 for tenth in range(1, 10)]

STATUS = Section(
    None,
    4,
    [
        number(
            "Service Status",
            "Whether Prometheus can scrape the engine, which serves the feed.",
            "While it is down, no client is connected.",
            Query(f'up{{job="{ENGINE}"}}', "{{job}}"),
            unit=units.NoUnit,
            width=6,
            limit=limits.UP,
            texts=UP_DOWN,
            by_service=True,
        ),
        number(
            "WebSocket Endpoint",
            "Whether a WebSocket handshake with the engine succeeds from outside.",
            "Down with connections still open means that old clients stay and new ones are turned away.",
            Query('probe_success{job="blackbox-websocket"}', "{{service}}"),
            unit=units.NoUnit,
            width=6,
            limit=limits.REACHED,
            texts=UP_DOWN,
            by_service=True,
        ),
        number(
            "Connected Clients",
            "Clients that are connected now.",
            "It shows how many people a problem with the feed affects.",
            Query("websocket:connections_active:current", "clients"),
            unit=units.Short,
            width=6,
            limit=limits.WEBSOCKET_CONNECTIONS,
            by_service=True,
        ),
        dial(
            "Error Rate",
            "WebSocket errors per second, over the last five minutes.",
            "Errors that persist mean that messages do not arrive: the engine's log has them.",
            Query("websocket:errors:rate5m", "errors"),
            unit=ERRORS_PER_SECOND,
            maximum=2,
            width=6,
            limit=limits.WEBSOCKET_ERRORS,
        ),
    ],
)

SIGNALS = Section(
    None,
    7,
    [
        lines(
            "Active Connections",
            "Connected clients over time.",
            "More than 1000 has never been tested; a sudden drop has its cause under Disconnect Reasons.",
            Query("websocket:connections_active:current", "connections"),
            unit=units.Short,
            width=8,
            limit=limits.WEBSOCKET_CONNECTIONS,
            top=10.0,
        ),
        lines(
            "Messages Sent/Received",
            "Messages per second to and from clients.",
            "If sent drops while clients stay connected, the price feed has stopped.",
            Query("websocket:messages_sent:rate5m", "sent"),
            Query("websocket:messages_received:rate5m", "received"),
            unit=MESSAGES_PER_SECOND,
            width=8,
        ),
        lines(
            "Message Latency",
            "95 % of the messages are handled within this time.",
            "If it grows with the number of connections, the engine sends to one client after the other.",
            Query("websocket:message_duration_seconds:p95", "p95"),
            unit=units.Seconds,
            width=8,
            limit=limits.MESSAGE_SECONDS,
        ),
    ],
)

ALERTS_AND_REASONS = Section(
    None,
    6,
    [
        active_alerts(ENGINE),
        pie(
            "Disconnect Reasons",
            "Why connections ended within the time range.",
            "Errors and timeouts should not outweigh clients that left by themselves.",
            Query(counted("websocket_disconnects_total", by="reason"), "{{reason}}"),
            unit=units.Short,
            width=12,
        ),
    ],
)

CLIENTS = Section(
    "Connections and clients",
    9,
    [
        distribution(
            "Connection Duration",
            "How long connections last: the nine deciles, each counted once at every point in time.",
            "If the bars crowd at the left, clients are cut off and reconnect.",
            *(
                Query(
                    quantile(share, "websocket_connection_duration_seconds"),
                    f"{share:.0%} are shorter",
                )
                for share in DECILES
            ),
            unit=units.Seconds,
            width=12,
        ),
        rows(
            "Top Clients",
            "The ten clients with the most messages within the time range.",
            "A client that sends most of all may crowd out the others.",
            {
                "Messages": Column(
                    f"topk(10, {counted('websocket_messages_total', by='client')})",
                    units.Short,
                )
            },
            labels={"client": "Client"},
        ),
    ],
)


def build() -> Dashboard:
    """Return the dashboard."""
    return dashboard(
        "websocket-metrics",
        "Connections, messages and errors of the live feed that rust-core-engine serves at /ws.",
        [STATUS, SIGNALS, ALERTS_AND_REASONS, CLIENTS],
        services=ENGINE,
    )
