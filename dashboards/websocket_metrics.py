"""Do clients get their prices live?"""

from __future__ import annotations

from grafana_foundation_sdk.models import units
from grafana_foundation_sdk.models.dashboard import Dashboard

from dashboards import limits
from dashboards.builders import UP_DOWN, Column, Query, dial, distribution, lines, number, pie, rows
from dashboards.frame import Section, dashboard
from dashboards.promql import counted, quantile

DECILES = [tenth / 10 for tenth in range(1, 10)]

MESSAGES = Section(
    "Connections and messages",
    9,
    [
        number(
            "WebSocket Endpoint",
            "Whether a WebSocket handshake with the engine succeeds from outside. Worry when it is "
            "down with connections still open: old clients stay, new ones get none.",
            Query('probe_success{job="blackbox-websocket"}', "{{service}}"),
            unit=units.NoUnit,
            limit=limits.REACHED,
            texts=UP_DOWN,
            by_service=True,
        ),
        lines(
            "Active Connections",
            "Clients connected now. Worry above 1000, the most that was tried, and about a sudden fall: look at the "
            "disconnect reasons.",
            Query("websocket:connections_active:current", "connections"),
            unit=units.Short,
            width=10,
            limit=limits.WEBSOCKET_CONNECTIONS,
        ),
        lines(
            "Messages Sent/Received",
            "Messages a second to and from clients. Worry when sent falls while clients stay connected: the price feed "
            "has stopped.",
            Query("websocket:messages_sent:rate5m", "sent"),
            Query("websocket:messages_received:rate5m", "received"),
            unit=units.MessagesPerSecond,
            width=10,
        ),
    ],
)

QUALITY = Section(
    "Latency and errors",
    8,
    [
        lines(
            "Message Latency",
            "95 % of the messages are handled within this time. Worry when it grows with the number of connections: "
            "the engine sends to one client after the other.",
            Query("websocket:message_duration_seconds:p95", "p95"),
            unit=units.Seconds,
            width=10,
            limit=limits.MESSAGE_SECONDS,
        ),
        dial(
            "Error Rate",
            "WebSocket errors a second in the last five minutes. Worry about any that stay: read "
            "the engine's log.",
            Query("websocket:errors:rate5m", "errors"),
            unit=units.CountsPerSecond,
            maximum=2,
            width=4,
            limit=limits.WEBSOCKET_ERRORS,
        ),
        distribution(
            "Connection Duration",
            "How long connections last: each tenth of them is one count a point in time. Worry when the bars crowd at "
            "the left: clients are cut off and come back.",
            *(
                Query(
                    quantile(share, "websocket_connection_duration_seconds"),
                    f"{share:.0%} are shorter",
                )
                for share in DECILES
            ),
            unit=units.Seconds,
            width=10,
        ),
    ],
)

CLIENTS = Section(
    "Clients",
    9,
    [
        rows(
            "Top Clients",
            "The ten clients with most messages in the chosen time range. Worry about one that sends most of all: it "
            "may crowd out the others.",
            {
                "Messages": Column(
                    f"topk(10, {counted('websocket_messages_total', by='client')})",
                    units.Short,
                )
            },
            labels={"client": "Client"},
        ),
        pie(
            "Disconnect Reasons",
            "Why connections ended in the chosen time range. Worry when errors and timeouts outweigh clients that left "
            "by themselves.",
            Query(counted("websocket_disconnects_total", by="reason"), "{{reason}}"),
            unit=units.Short,
            width=12,
        ),
    ],
)


def build() -> Dashboard:
    """Give the dashboard."""
    return dashboard(
        "websocket-metrics",
        "Connections, messages and errors of the live feed that rust-core-engine serves at /ws.",
        [MESSAGES, QUALITY, CLIENTS],
        services="rust-core-engine",
    )
