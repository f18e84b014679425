"""Is the platform up, and does every machine and container have what it needs?"""

from __future__ import annotations

from grafana_foundation_sdk.models import units
from grafana_foundation_sdk.models.dashboard import Dashboard

from dashboards import limits
from dashboards.builders import UP_DOWN, Column, Field, Query, dial, lines, number, rows
from dashboards.frame import ALL, APPLICATIONS, Section, Variable, dashboard

SERVICE = "container_label_com_docker_compose_service"

RESTARTS = (
    "sum by (service) (label_replace("
    f'max without (cpu) (resets(container_cpu_usage_seconds_total{{{SERVICE}!=""}}[24h])) + 1,'
    f' "service", "$1", "{SERVICE}", "(.+)")) - 1'
)
"""Starts of a service's containers in a day but the first: a new container is a new series, one that starts again a
counter that starts again. The start time would not do: cAdvisor's is that of the creation, and a restart leaves it."""

SERVICES = Section(
    "Services",
    5,
    [
        number(
            "Service Status",
            "Whether Prometheus reaches each application's metrics. Worry at once: two minutes "
            "down call somebody. Look at the service's logs, then at its container.",
            Query(f'up{{job=~"{APPLICATIONS}"}}', "{{job}}"),
            unit=units.NoUnit,
            width=8,
            limit=limits.UP,
            texts=UP_DOWN,
            by_service=True,
        ),
        number(
            "Backing Services",
            "Whether the databases, the queue and the gateway answer, by their own exporters. "
            "Worry when one is down: applications fail with it, so begin here.",
            Query("mongodb_up", "mongodb"),
            Query("redis_up", "redis"),
            Query('up{job=~"rabbitmq|kong"}', "{{job}}"),
            unit=units.NoUnit,
            width=6,
            limit=limits.UP,
            texts=UP_DOWN,
            by_service=True,
        ),
        number(
            "Health Checks",
            "Whether each health address answers from outside. Worry when one is down while "
            "Service Status says up: the process runs, but says of itself that it cannot work.",
            Query("min by (service, job) (probe_success)", "{{service}} {{job}}"),
            unit=units.NoUnit,
            width=6,
            limit=limits.REACHED,
            texts=UP_DOWN,
            by_service=True,
        ),
        number(
            "Firing Alerts",
            "Alerts firing now, by severity. Worry about critical ones: somebody was called. The "
            "table below names them.",
            *(
                Query(
                    f'count(ALERTS{{alertstate="firing",severity="{severity}"}}) or vector(0)',
                    severity,
                )
                for severity in ("critical", "warning")
            ),
            unit=units.Short,
            fields=[
                Field("critical", limit=limits.CRITICAL_ALERTS),
                Field("warning", limit=limits.ANY),
            ],
        ),
    ],
)

CPU_AND_MEMORY = Section(
    "CPU and memory",
    9,
    [
        lines(
            "CPU Usage",
            "Share of the machine's CPU time in use, and of each service's own limit (of the machine where it has "
            "none). Worry above 80 % for five minutes: latency follows. The highest service line tells who.",
            Query(
                'instance:node_cpu_utilization:rate5m{instance=~"$instance"} * 100',
                "machine {{instance}}",
            ),
            Query(
                "(max by (service) (container:cpu_utilization:ratio)"
                " or sum by (service) (container:cpu_usage_cores:rate5m)"
                ' / scalar(count(node_cpu_seconds_total{mode="idle"}))) * 100',
                "{{service}}",
            ),
            unit=units.Percent,
            limit=limits.CPU,
            by_service=True,
        ),
        lines(
            "Memory Usage",
            "Share of the machine's memory in use, and of each service's own limit (of the machine where it has none). "
            "Worry above 90 % for five minutes: the kernel will end a process. A line that only "
            "climbs is a leak.",
            Query(
                'instance:node_memory_utilization:ratio{instance=~"$instance"} * 100',
                "machine {{instance}}",
            ),
            Query(
                "(max by (service) (container:memory_utilization:ratio)"
                " or sum by (service) (container:memory_working_set_bytes:max)"
                " / scalar(sum(node_memory_MemTotal_bytes))) * 100",
                "{{service}}",
            ),
            unit=units.Percent,
            limit=limits.MEMORY,
            by_service=True,
        ),
    ],
)

DISK_AND_NETWORK = Section(
    "Disk and network",
    8,
    [
        dial(
            "Disk Usage",
            "How full each file system is. Worry from 80 %; from 90 % databases and logs are about "
            "to stop writing.",
            Query(
                'instance:node_disk_utilization:ratio{instance=~"$instance"} * 100',
                "{{mountpoint}}",
            ),
            unit=units.Percent,
            maximum=100,
            limit=limits.DISK,
        ),
        lines(
            "Network Traffic",
            "Bytes a second that the machine receives (RX) and sends (TX), as its cAdvisor sees them; what "
            "containers send each other is not in it. Worry about a sudden fall to nothing, or a plateau at what the "
            "link can carry.",
            Query(
                "instance:node_network_throughput_bytes:rate5m",
                "{{direction}} {{instance}}",
            ),
            unit=units.BytesPerSecondIEC,
            width=10,
        ),
        lines(
            "Disk I/O",
            "Share of the time in which each disk is busy. Worry above 80 %: whatever reads or "
            "writes waits in line.",
            Query(
                'instance:node_disk_io_utilization:rate5m{instance=~"$instance"} * 100',
                "{{instance}} {{device}}",
            ),
            unit=units.Percent,
            width=8,
            limit=limits.DISK_IO,
        ),
    ],
)

EVENTS = Section(
    "Restarts, alerts and load",
    9,
    [
        rows(
            "Container Restart Count",
            "How often each service's container started anew in the last 24 hours. Worry about a service that you did "
            "not restart yourself: its last log lines say why it ended.",
            {
                "Restarts (24 h)": Column(RESTARTS, units.Short, limits.ANY),
                "15 min": Column(
                    "max by (service) (container:restarts:15m)", units.Short, limits.RESTARTS_15M
                ),
            },
            labels={"service": "Service"},
            width=6,
        ),
        rows(
            "Active Alerts",
            "What fires now, and how long it has. Worry about critical ones first, the oldest at "
            "the top. `stackctl runbook ALERT` says what to do.",
            {
                "For": Column(
                    "max by (severity, alertname, service, instance) "
                    "(time() - (ALERTS_FOR_STATE and ignoring (alertstate) "
                    'ALERTS{alertstate="firing",severity!="none"}))',
                    units.Seconds,
                )
            },
            labels={
                "severity": "Severity",
                "alertname": "Alert",
                "service": "Service",
                "instance": "Instance",
            },
            width=10,
            empty="No alert fires",
        ),
        lines(
            "System Load",
            "Processes that run or wait to, averaged over 1, 5 and 15 minutes, and the number of CPUs. Worry when the "
            "15 minute line stays above the CPUs: work queues up.",
            Query('node_load1{instance=~"$instance"}', "1m {{instance}}"),
            Query('node_load5{instance=~"$instance"}', "5m {{instance}}"),
            Query('node_load15{instance=~"$instance"}', "15m {{instance}}"),
            Query(
                'count by (instance) (node_cpu_seconds_total{mode="idle",instance=~"$instance"})',
                "CPUs {{instance}}",
            ),
            unit=units.Short,
            width=8,
        ),
    ],
)

MACHINE = Section(
    "Clock, packets and memory",
    7,
    [
        lines(
            "Clock Offset",
            "How far the machine's clock is from its time server. Worry beyond 0.1 s either way: the exchange refuses "
            "orders whose time is wrong.",
            Query('node_timex_offset_seconds{instance=~"$instance"}', "{{instance}}"),
            unit=units.Seconds,
            width=8,
            limit=limits.CLOCK_SECONDS,
            from_zero=False,
        ),
        lines(
            "Packet Errors",
            "Share of the packets of each of the machine's interfaces that have errors. Worry above 1 %: a cable, a "
            "port or a driver.",
            Query(
                'sum by (instance, interface) (rate(container_network_receive_errors_total{id="/"}[5m])'
                ' + rate(container_network_transmit_errors_total{id="/"}[5m]))'
                ' / (sum by (instance, interface) (rate(container_network_receive_packets_total{id="/"}[5m])'
                ' + rate(container_network_transmit_packets_total{id="/"}[5m])) > 0) * 100',
                "{{interface}}",
            ),
            unit=units.Percent,
            width=8,
            limit=limits.PACKET_ERROR_PERCENT,
        ),
        number(
            "Killed for Memory",
            "Processes that the kernel ended in the last ten minutes for want of memory. Worry about any.",
            Query(
                'round(increase(node_vmstat_oom_kill{instance=~"$instance"}[10m]))', "{{instance}}"
            ),
            unit=units.Short,
            limit=limits.OOM_KILLS,
        ),
        number(
            "Certificates",
            "How long the certificates that the probes see are valid. Worry below 14 days: the renewal does not run.",
            Query(
                "min by (service, instance) (probe_ssl_earliest_cert_expiry) - time()",
                "{{instance}}",
                empty="No probe speaks TLS",
            ),
            unit=units.Seconds,
            limit=limits.CERTIFICATE_SECONDS,
        ),
    ],
)

ITSELF = Section(
    "The processes, and the monitoring itself",
    7,
    [
        lines(
            "File Descriptors",
            "Share of the file descriptors that each process has in use. Worry above 90 %: at its limit it refuses "
            "connections.",
            Query(
                "max by (service) (process_open_fds / (process_max_fds > 0)) * 100", "{{service}}"
            ),
            unit=units.Percent,
            width=8,
            limit=limits.FILE_DESCRIPTOR_PERCENT,
            by_service=True,
        ),
        number(
            "Process Starts (1 h)",
            "How often each application's process started anew in the last hour. Worry about three: something ends it.",
            Query(
                f'changes(process_start_time_seconds{{job=~"{APPLICATIONS}"}}[1h])', "{{service}}"
            ),
            unit=units.Short,
            limit=limits.PROCESS_STARTS_1H,
            by_service=True,
        ),
        number(
            "Configuration",
            "Whether each took its last configuration. Worry when one refused it: it goes on with the old one, and "
            "will not start with the new.",
            Query("prometheus_config_last_reload_successful", "{{service}}"),
            Query("alertmanager_config_last_reload_successful", "{{service}}"),
            Query("blackbox_exporter_config_last_reload_successful", "{{service}}"),
            unit=units.NoUnit,
            width=6,
            limit=limits.CONFIGURATION,
            texts={0: ("Refused", limits.WARN), 1: ("Taken", limits.GOOD)},
            by_service=True,
        ),
        number(
            "Alerts Lost",
            "Notifications that failed, and rules that could not be evaluated, in the last five minutes. Worry about "
            "any: look at the list of alerts by hand until it works.",
            Query(
                "round(sum(increase(alertmanager_notifications_failed_total[5m])))", "notifications"
            ),
            Query("round(sum(increase(prometheus_rule_evaluation_failures_total[5m])))", "rules"),
            unit=units.Short,
            width=6,
            limit=limits.LOST,
        ),
    ],
)


def build() -> Dashboard:
    """Give the dashboard."""
    return dashboard(
        "system-overview",
        "Start here: which service is down, what fires, and how full the machines and containers are.",
        [SERVICES, CPU_AND_MEMORY, DISK_AND_NETWORK, EVENTS, MACHINE, ITSELF],
        services=ALL,
        variables=[Variable("instance", "node_uname_info")],
        logs=f'{{job=~"{APPLICATIONS}"}}',
    )
