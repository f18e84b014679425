"""The collector's own metrics, under the names of the original program."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from standins.promtail.program import Program


class Metrics:
    """The counters of targets, pipelines and clients."""

    def __init__(self, registry: CollectorRegistry, program: Program) -> None:
        self._own = program.sending_labels

        def sending(name: str, text: str, labels: tuple[str, ...]) -> Counter:
            names = (*program.sending_labels, *labels)
            return Counter(f"{program.sending}_{name}", text, names, registry=registry)

        def reading(name: str, text: str) -> Counter:
            counter = Counter(
                f"{program.reading}_{name}", text, (*program.reading_labels,), registry=registry
            )
            return counter.labels(**program.reading_labels) if program.reading_labels else counter

        # Alloy distinguishes tenants everywhere, and does not count truncated lines.
        own = None if self._own else registry
        host = ("host", "tenant") if self._own else ("host",)
        reason = ("host", "tenant", "reason")
        self.sent_bytes = sending("sent_bytes_total", "Bytes sent.", host)
        self.sent_entries = sending("sent_entries_total", "Log entries sent.", host)
        self.dropped_bytes = sending(
            "dropped_bytes_total", "Bytes dropped after all retries.", reason
        )
        self.dropped_entries = sending(
            "dropped_entries_total", "Log entries dropped after all retries.", reason
        )
        self.mutated_bytes = Counter(
            "promtail_mutated_bytes_total", "Bytes cut off long entries.", reason, registry=own
        )
        self.mutated_entries = Counter(
            "promtail_mutated_entries_total", "Log entries that were cut.", reason, registry=own
        )
        self.batch_retries = sending(
            "batch_retries_total", "Times that a batch was sent again.", ("host", "tenant")
        )
        self.request_seconds = Histogram(
            f"{program.sending}_request_duration_seconds",
            "Duration of send requests.",
            (*program.sending_labels, "status_code", "host"),
            registry=registry,
        )
        self.docker_entries = reading("entries_total", "Entries read from containers.")
        self.docker_errors = reading("parsing_errors_total", "Container lines without a time.")
        self.targets_active = Gauge(
            "promtail_targets_active_total",
            "Targets being read.",
            registry=own,
        )
        self.pipeline_drops = Counter(
            "loki_process_dropped_lines_total" if self._own else "logentry_dropped_lines_total",
            "Lines that a stage dropped.",
            ("reason",),
            registry=registry,
        )

    def by_host(self, host: str) -> dict[str, str]:
        """Return the labels of data that was sent to a host."""
        return {**self._own, "host": host, **({"tenant": ""} if self._own else {})}

    def by_reason(self, host: str, reason: str) -> dict[str, str]:
        """Return the labels of data that was dropped or changed, by host and reason."""
        return {**self._own, "host": host, "tenant": "", "reason": reason}

    def observe_request(self, status: int, host: str, seconds: float) -> None:
        """Count a request and its duration in seconds; a status below 0 means no response."""
        labels = {**self._own, "status_code": str(status), "host": host}
        self.request_seconds.labels(**labels).observe(seconds)
