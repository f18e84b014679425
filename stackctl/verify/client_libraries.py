"""What to change in an application, in the words of its language's client libraries, by service.

rust-core-engine is in Rust (the crates prometheus, and metrics with metrics-exporter-prometheus), python-ai-service in
Python (prometheus_client), nextjs-ui-dashboard runs on Node (prom-client).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

_RUST, _PYTHON, _NODE = "rust-core-engine", "python-ai-service", "nextjs-ui-dashboard"

REGISTER: Mapping[str, str] = {
    _RUST: "register each when the service starts, in the registry that its page renders, and create the label"
    " values that you know (with_label_values), so that they begin at 0; process_* need the feature `process` of"
    " the prometheus crate",
    _PYTHON: "create each when the service starts, in the registry that its page renders, and the label values that"
    " you know (.labels(…)), so that they begin at 0; a registry of your own needs a ProcessCollector for process_*",
    _NODE: "create each when the service starts, on the register that its page renders, and the label values that you"
    " know (.inc({ … }, 0)), so that they begin at 0; process_* need collectDefaultMetrics()",
}
"""For a metric that is missing."""

KINDS: Mapping[str, str] = {
    _RUST: "use IntCounter or Counter for what only grows, Gauge for what falls too, and Histogram for durations and"
    " scores; with the metrics crate a histogram is a summary unless the exporter is given set_buckets",
    _PYTHON: "use Counter for what only grows, Gauge for what falls too, and Histogram, not Summary, for durations and"
    " scores",
    _NODE: "use client.Counter for what only grows, client.Gauge for what falls too, and client.Histogram, not"
    " client.Summary, for durations and scores",
}
"""For a metric of another type."""

LABELS: Mapping[str, str] = {
    _RUST: "make a label only of what has few values, and log the rest; an endpoint is the route's template:"
    " MatchedPath of axum, match_pattern() of actix-web, not uri().path()",
    _PYTHON: "make a label only of what has few values, and log the rest; an endpoint is the route's template:"
    ' request.scope["route"].path of FastAPI, not request.url.path',
    _NODE: "make a label only of what has few values, and log the rest; an endpoint is the route's pattern, such as"
    " /api/orders/[id], not req.url",
}
"""For a label with too many values."""

CONTENT_TYPE: Mapping[str, str] = {
    _RUST: "set the header Content-Type of the page: TextEncoder::new().format_type(), which is"
    " text/plain; version=0.0.4",
    _PYTHON: "set the header Content-Type of the page: prometheus_client.CONTENT_TYPE_LATEST beside generate_latest(),"
    " or mount make_asgi_app()",
    _NODE: 'set the header Content-Type of the page: res.setHeader("Content-Type", register.contentType)',
}
"""For a page without one."""

CLOCK = "synchronize the clock of the machine that it runs on (chrony, systemd-timesyncd), and restart it"
"""For a clock that is off."""

TIMESTAMPS: Mapping[str, str] = {
    _RUST: "expose samples without a timestamp (no set_timestamp_ms): Prometheus has the time of the scrape",
    _PYTHON: "expose samples without a timestamp (no timestamp= in a collector's add_metric): Prometheus has the time"
    " of the scrape",
    _NODE: "expose samples without a timestamp at the end of their line: Prometheus has the time of the scrape",
}
"""For samples with timestamps of their own."""


def _bucket_change(code: str, number: str) -> Callable[[str, Sequence[float]], str]:
    def change(histogram: str, bounds: Sequence[float]) -> str:
        wanted = ", ".join(format(bound, number) for bound in bounds)
        return f"give {histogram} buckets with {wanted} among them: " + code.format(wanted)

    return change


BUCKETS: Mapping[str, Callable[[str, Sequence[float]], str]] = {
    _RUST: _bucket_change(
        "HistogramOpts::new(…).buckets(vec![…, {}]), or the exporter's set_buckets_for_metric", ""
    ),
    _PYTHON: _bucket_change("Histogram(…, buckets=(…, {}))", "g"),
    _NODE: _bucket_change("new client.Histogram({{ …, buckets: […, {}] }})", "g"),
}
"""For a histogram that lacks bounds, by its name and those bounds."""
