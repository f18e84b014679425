"""What to change in an application's code, in terms of its client library, by service.

rust-core-engine is written in Rust (the crates prometheus, or metrics with metrics-exporter-prometheus),
python-ai-service in Python (prometheus_client); nextjs-ui-dashboard runs on Node (prom-client).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

_RUST, _PYTHON, _NODE = "rust-core-engine", "python-ai-service", "nextjs-ui-dashboard"

REGISTER: Mapping[str, str] = {
    _RUST: "register each metric at startup, in the registry that the metrics page renders, and create known label"
    " values (with_label_values) so that they start at 0; process_* metrics require the feature `process` of the"
    " prometheus crate",
    _PYTHON: "create each metric at startup, in the registry that the metrics page renders, and create known label"
    " values (.labels(…)) so that they start at 0; a custom registry needs a ProcessCollector for process_* metrics",
    _NODE: "create each metric at startup, in the registry that the metrics page renders, and create known label"
    " values (.inc({ … }, 0)) so that they start at 0; process_* metrics require collectDefaultMetrics()",
}
"""The remedy for a missing metric."""

KINDS: Mapping[str, str] = {
    _RUST: "use IntCounter or Counter for values that only grow, Gauge for values that also fall, and Histogram for"
    " durations and scores; with the metrics crate, call set_buckets on the exporter, or histograms become summaries",
    _PYTHON: "use Counter for values that only grow, Gauge for values that also fall, and Histogram, not Summary, for"
    " durations and scores",
    _NODE: "use client.Counter for values that only grow, client.Gauge for values that also fall, and"
    " client.Histogram, not client.Summary, for durations and scores",
}
"""The remedy for a metric of the wrong type."""

LABELS: Mapping[str, str] = {
    _RUST: "use labels only for what has few values, and log the rest; for an endpoint use the route's template:"
    " MatchedPath in axum, match_pattern() in actix-web, not uri().path()",
    _PYTHON: "use labels only for what has few values, and log the rest; for an endpoint use the route's template:"
    ' request.scope["route"].path in FastAPI, not request.url.path',
    _NODE: "use labels only for what has few values, and log the rest; for an endpoint use the route's pattern, such as"
    " /api/orders/[id], not req.url",
}
"""The remedy for a label with too many values."""

CONTENT_TYPE: Mapping[str, str] = {
    _RUST: "set the page's Content-Type header to TextEncoder::new().format_type(), which is"
    " text/plain; version=0.0.4",
    _PYTHON: "set the page's Content-Type header to prometheus_client.CONTENT_TYPE_LATEST if you use generate_latest(),"
    " or mount make_asgi_app()",
    _NODE: 'set the page\'s Content-Type header: res.setHeader("Content-Type", register.contentType)',
}
"""The remedy for a page without a Content-Type."""

CLOCK = "synchronize the clock of its machine (chrony, systemd-timesyncd), and restart it"
"""The remedy for a clock that is off."""

TIMESTAMPS: Mapping[str, str] = {
    _RUST: "expose samples without a timestamp (no set_timestamp_ms): Prometheus uses the time of the scrape",
    _PYTHON: "expose samples without a timestamp (no timestamp= in a collector's add_metric): Prometheus uses the time"
    " of the scrape",
    _NODE: "expose samples without a timestamp at the end of the line: Prometheus uses the time of the scrape",
}
"""The remedy for samples with their own timestamps."""


def _bucket_change(code: str, number: str) -> Callable[[str, Sequence[float]], str]:
    def change(histogram: str, bounds: Sequence[float]) -> str:
        wanted = ", ".join(format(bound, number) for bound in bounds)
        return f"add buckets at {wanted} to {histogram}: " + code.format(wanted)

    return change


BUCKETS: Mapping[str, Callable[[str, Sequence[float]], str]] = {
    _RUST: _bucket_change(
        "HistogramOpts::new(…).buckets(vec![…, {}]), or the exporter's set_buckets_for_metric", ""
    ),
    _PYTHON: _bucket_change("Histogram(…, buckets=(…, {}))", "g"),
    _NODE: _bucket_change("new client.Histogram({{ …, buckets: […, {}] }})", "g"),
}
"""The remedy for a histogram that lacks buckets, from its name and the missing bounds."""
