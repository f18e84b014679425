"""Promtail's own metrics, under its names."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram


class Metrics:
    """The counters that targets, pipelines and clients count in."""

    def __init__(self, registry: CollectorRegistry) -> None:
        def counter(name: str, text: str, labels: tuple[str, ...] = ()) -> Counter:
            return Counter(name, text, labels, registry=registry)

        host = ("host",)
        reason = ("host", "tenant", "reason")
        self.encoded_bytes = counter("promtail_encoded_bytes_total", "Bytes ready to send.", host)
        self.sent_bytes = counter("promtail_sent_bytes_total", "Bytes sent.", host)
        self.sent_entries = counter("promtail_sent_entries_total", "Log entries sent.", host)
        self.dropped_bytes = counter(
            "promtail_dropped_bytes_total", "Bytes dropped after all retries.", reason
        )
        self.dropped_entries = counter(
            "promtail_dropped_entries_total", "Log entries dropped after all retries.", reason
        )
        self.mutated_bytes = counter(
            "promtail_mutated_bytes_total", "Bytes cut off long entries.", reason
        )
        self.mutated_entries = counter(
            "promtail_mutated_entries_total", "Log entries that were cut.", reason
        )
        self.batch_retries = counter(
            "promtail_batch_retries_total", "Times that a batch was sent again.", ("host", "tenant")
        )
        self.request_seconds = Histogram(
            "promtail_request_duration_seconds",
            "Duration of send requests.",
            ["status_code", "host"],
            registry=registry,
        )
        self.docker_entries = counter(
            "promtail_docker_target_entries_total", "Entries read from containers."
        )
        self.docker_errors = counter(
            "promtail_docker_target_parsing_errors_total", "Container lines without a time."
        )
        self.targets_active = Gauge(
            "promtail_targets_active_total", "Targets being read.", registry=registry
        )
        self.pipeline_drops = counter(
            "logentry_dropped_lines_total", "Lines that a stage dropped.", ("reason",)
        )
