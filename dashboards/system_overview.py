"""Is the platform up, and does every machine and container have the resources that it needs?"""

from __future__ import annotations

from grafana_foundation_sdk.models import units
from grafana_foundation_sdk.models.dashboard import Dashboard

from dashboards import limits
from dashboards.builders import FIRING, active_alerts, dial, lines, number, rows, with_logs
from dashboards.fields import UP_DOWN, Column, Field, Query
from dashboards.frame import ALL, APPLICATIONS, Section, Variable, dashboard
from dashboards.links import to_dashboard
from dashboards.palette import GOOD, WARN

SERVICE = "container_label_com_docker_compose_service"

RESTARTS = (
    "sum by (service) (sum by (service, id) (label_replace("
    f'max without (cpu) (resets(container_cpu_usage_seconds_total{{{SERVICE}!=""}}[24h])) + 1,'
    f' "service", "$1", "{SERVICE}", "(.+)")) - 1)'
)
"""Starts of each container (`id`) in a day except its first, added up by service: a recreated container has not
restarted. A restart begins a new series (cAdvisor has `restartcount` among the labels) or resets the counter. The start
time does not help, because cAdvisor's is the time of creation."""

STATUS = Section(
    None,
    4,
    [
        number(
            "Service Status",
            "Whether Prometheus can scrape each application.",
            "An application that is down for two minutes pages somebody. Read its log, then look at its container.",
            Query(f'up{{job=~"{APPLICATIONS}"}}', "{{job}}"),
            unit=units.NoUnit,
            width=7,
            limit=limits.UP,
            texts=UP_DOWN,
            by_service=True,
            details=to_dashboard("api-performance", job="${__field.labels.job}"),
        ),
        number(
            "Backing Services",
            "Whether the databases, the queue and the gateway respond.",
            "Applications fail along with what they depend on: if one of these is down, start here.",
            Query("mongodb_up", "mongodb"),
            Query("redis_up", "redis"),
            Query('up{job=~"rabbitmq|kong"}', "{{job}}"),
            unit=units.NoUnit,
            width=7,
            limit=limits.UP,
            texts=UP_DOWN,
            by_service=True,
            more="database-performance",
        ),
        number(
            "Health Checks",
            "Whether each application reports itself healthy: all its probes succeed.",
            "Down here while Service Status says up means that the process runs but cannot work.",
            Query("min by (service) (probe_success)", "{{service}}"),
            unit=units.NoUnit,
            width=7,
            limit=limits.REACHED,
            texts=UP_DOWN,
            by_service=True,
        ),
        number(
            "Firing Alerts",
            "Alerts that are firing now, by severity.",
            "A critical alert has paged somebody. Active Alerts lists every alert that is counted here.",
            *(
                Query(
                    f'count(ALERTS{{{FIRING},severity="{severity}"}}) or vector(0)',
                    severity,
                )
                for severity in ("critical", "warning", "info")
            ),
            unit=units.Short,
            width=3,
            fields=[
                Field("critical", limit=limits.CRITICAL_ALERTS),
                Field("warning", limit=limits.ANY),
            ],
        ),
    ],
)

ALERTS_AND_TRAFFIC = Section(
    None,
    7,
    [
        active_alerts(ALL, width=15),
        lines(
            "Network Traffic",
            "Bytes per second that the machine receives and sends, as cAdvisor sees them. Traffic between containers "
            "is not included.",
            "A sudden drop to zero means that the machine is cut off; a plateau means that the link is saturated.",
            Query(
                "instance:node_network_throughput_bytes:rate5m",
                "{{direction}} {{instance}}",
            ),
            unit=units.BytesPerSecondIEC,
            width=9,
            top=1024.0,
        ),
    ],
)

ERRORS_AND_SATURATION = Section(
    None,
    6,
    [
        rows(
            "Container Restart Count",
            "How often the containers of each service restarted within 24 hours, and within the last 15 minutes. A "
            "recreated container does not count.",
            "A service that keeps restarting drops requests. Its last log lines say why it ended.",
            {
                "24 h": Column(with_logs(RESTARTS), units.Short, limits.ANY),
                "15 min": Column(
                    with_logs("max by (service) (container:restarts:15m)"),
                    units.Short,
                    limits.RESTARTS_15M,
                ),
            },
            labels={"service": "Service", "logs": "Logs"},
            width=7,
        ),
        lines(
            "CPU Usage",
            "CPU time in use: of the machine, and of each service as a share of its own limit, or of the machine if "
            "it has no limit.",
            "Latency rises when the CPU is saturated. The legend is sorted: start with its first rows.",
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
            width=6,
            limit=limits.CPU,
            by_service=True,
        ),
        lines(
            "Memory Usage",
            "Memory in use: of the machine, and of each service as a share of its own limit, or of the machine if "
            "it has no limit.",
            "At the limit the kernel kills a process. A line that only climbs is a leak.",
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
            width=6,
            limit=limits.MEMORY,
            by_service=True,
        ),
        dial(
            "Disk Usage",
            "How full each file system is.",
            "At 90 % and above, databases and logs are about to stop writing.",
            Query(
                'instance:node_disk_utilization:ratio{instance=~"$instance"} * 100',
                "{{mountpoint}}",
            ),
            unit=units.Percent,
            maximum=100,
            width=5,
            limit=limits.DISK,
        ),
    ],
)

MACHINE = Section(
    "Machine $instance",
    8,
    [
        lines(
            "System Load",
            "Processes that run or wait to run, averaged over 1, 5 and 15 minutes, and the number of CPUs.",
            "Work queues up while the 15 minute line stays above the number of CPUs.",
            Query('node_load1{instance=~"$instance"}', "1 min {{instance}}"),
            Query('node_load5{instance=~"$instance"}', "5 min {{instance}}"),
            Query('node_load15{instance=~"$instance"}', "15 min {{instance}}"),
            Query(
                'count by (instance) (node_cpu_seconds_total{mode="idle",instance=~"$instance"})',
                "CPUs {{instance}}",
                dashed=True,
            ),
            unit=units.Short,
            width=8,
            places=1,
        ),
        lines(
            "Disk I/O",
            "Share of the time in which each disk is busy.",
            "Above 80 %, whatever reads or writes has to wait.",
            Query(
                'instance:node_disk_io_utilization:rate5m{instance=~"$instance"} * 100',
                "{{instance}} {{device}}",
            ),
            unit=units.Percent,
            width=8,
            limit=limits.DISK_IO,
        ),
        lines(
            "Clock Offset",
            "How far the machine's clock is from its time server.",
            "Beyond 0.1 s either way the exchange rejects orders because of their timestamps.",
            Query('node_timex_offset_seconds{instance=~"$instance"}', "{{instance}}"),
            unit=units.Seconds,
            width=8,
            limit=limits.CLOCK_SECONDS,
            from_zero=False,
        ),
    ],
    repeat="instance",
)

KERNEL = Section(
    "Packets, memory and certificates",
    7,
    [
        lines(
            "Packet Errors",
            "Share of the packets of each of the machine's interfaces that have errors.",
            "More than 1 % points to a cable, a port or a driver.",
            Query(
                'sum by (instance, interface) (rate(container_network_receive_errors_total{id="/"}[5m])'
                ' + rate(container_network_transmit_errors_total{id="/"}[5m]))'
                ' / (sum by (instance, interface) (rate(container_network_receive_packets_total{id="/"}[5m])'
                ' + rate(container_network_transmit_packets_total{id="/"}[5m])) > 0) * 100',
                "{{interface}}",
            ),
            unit=units.Percent,
            width=10,
            limit=limits.PACKET_ERROR_PERCENT,
        ),
        number(
            "Killed for Memory",
            "Processes that the kernel killed within the last ten minutes because memory ran out.",
            "Any is one too many: the process that was killed is rarely the one that leaks.",
            # Its name is that of a gauge although it only climbs: Grafana would warn about `increase`.
            Query(
                'clamp_min(round(delta(node_vmstat_oom_kill{instance=~"$instance"}[10m])), 0)',
                "{{instance}}",
            ),
            unit=units.Short,
            width=6,
            limit=limits.OOM_KILLS,
        ),
        number(
            "Certificates",
            "How long the certificates that the probes see remain valid.",
            "Below 14 days the renewal has failed; an expired certificate locks every client out.",
            Query(
                "min by (service, instance) (probe_ssl_earliest_cert_expiry) - time()",
                "{{instance}}",
                empty="No probe uses TLS",
            ),
            unit=units.Seconds,
            width=8,
            limit=limits.CERTIFICATE_SECONDS,
        ),
    ],
)

ITSELF = Section(
    "Processes and the monitoring itself",
    7,
    [
        lines(
            "File Descriptors",
            "Share of its file descriptors that each process has open.",
            "At its limit a process refuses connections.",
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
            "How often each application's process started within the last hour.",
            "Three starts mean that something keeps ending it.",
            Query(
                f'changes(process_start_time_seconds{{job=~"{APPLICATIONS}"}}[1h])', "{{service}}"
            ),
            unit=units.Short,
            width=5,
            limit=limits.PROCESS_STARTS_1H,
            by_service=True,
        ),
        number(
            "Configuration",
            "Whether each program accepted its latest configuration.",
            "A program that rejected it keeps running with the previous one, and will not start with the new one.",
            Query("prometheus_config_last_reload_successful", "{{service}}"),
            Query("alertmanager_config_last_reload_successful", "{{service}}"),
            Query("blackbox_exporter_config_last_reload_successful", "{{service}}"),
            unit=units.NoUnit,
            width=6,
            limit=limits.CONFIGURATION,
            texts={0: ("Rejected", WARN), 1: ("Accepted", GOOD)},
            by_service=True,
        ),
        number(
            "Alerts Lost",
            "Notifications that failed, and rules that could not be evaluated, within the last five minutes.",
            "Until this is zero again, nobody may be paged: watch Active Alerts yourself.",
            Query(
                "round(sum(increase(alertmanager_notifications_failed_total[5m])))", "notifications"
            ),
            Query("round(sum(increase(prometheus_rule_evaluation_failures_total[5m])))", "rules"),
            unit=units.Short,
            width=5,
            limit=limits.LOST,
        ),
    ],
)


def build() -> Dashboard:
    """Return the dashboard."""
    return dashboard(
        "system-overview",
        "Start here: which service is down, which alerts fire, and how full the machines and containers are.",
        [STATUS, ALERTS_AND_TRAFFIC, ERRORS_AND_SATURATION, MACHINE, KERNEL, ITSELF],
        services=ALL,
        variables=[Variable("instance", "node_uname_info")],
        logs=f'{{job=~"{APPLICATIONS}"}}',
    )
