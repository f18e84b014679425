"""Are the applications' answers right, and in time?"""

from __future__ import annotations

from grafana_foundation_sdk.models import units
from grafana_foundation_sdk.models.dashboard import Dashboard

from dashboards import limits
from dashboards.builders import Column, Query, dial, heat, lines, log_lines, number, pie, rows
from dashboards.frame import APPLICATIONS, Section, Variable, dashboard
from dashboards.promql import WINDOW, counted, quantile, slower_than

JOB = '{job=~"$job"}'
ENDPOINT = "service, method, endpoint"
ENDPOINT_LABELS = {"service": "Service", "method": "Method", "endpoint": "Endpoint"}

TRAFFIC = Section(
    "Traffic and errors",
    9,
    [
        lines(
            "Request Rate",
            "Requests a second that each service answers. Worry about a fall to zero: the gateway or the service in "
            "front is gone. Above 1000 the platform has never been tried.",
            Query(f"service:http_requests:rate5m{JOB}", "{{service}}"),
            unit=units.RequestsPerSecond,
            limit=limits.REQUEST_RATE,
            by_service=True,
        ),
        lines(
            "Error Rate",
            "Share of answers with a status of 5xx, by service and by each endpoint that gave one. Worry above 5 % for "
            "five minutes. One endpoint alone: its own code; all at once: what they share.",
            Query(f"service:http_error_ratio:rate5m{JOB} * 100", "{{service}}"),
            Query(
                f'sum by (service, endpoint) (rate(http_requests_total{{job=~"$job",status=~"5.."}}[{WINDOW}]))'
                f" / sum by (service, endpoint) (rate(http_requests_total{JOB}[{WINDOW}])) * 100 > 0",
                "{{service}} {{endpoint}}",
                empty="No endpoint answers with a 5xx",
            ),
            unit=units.Percent,
            limit=limits.ERROR_PERCENT,
            by_service=True,
        ),
    ],
)

LATENCY = Section(
    "Latency",
    9,
    [
        heat(
            "Latency Distribution",
            "How many requests took how long, darker for more. Worry about a second band above the first: some "
            "requests wait for something that the others do not.",
            f"sum by (le) (rate(http_request_duration_seconds_bucket{JOB}[{WINDOW}]))",
            unit=units.Seconds,
        ),
        lines(
            "p95/p99 Latency",
            "95 % and 99 % of the requests of each service take at most this long. Worry when p95 is "
            "above 1 s for five minutes, at once above 2 s; p99 above 2 s.",
            *(
                Query(
                    f"service:http_request_duration_seconds:{name}{JOB}", f"{name} {{{{service}}}}"
                )
                for name in ("p95", "p99")
            ),
            unit=units.Seconds,
            limit=limits.LATENCY_SECONDS,
            by_service=True,
        ),
    ],
)

ENDPOINTS = Section(
    "Endpoints",
    10,
    [
        pie(
            "Response Status Codes",
            "Answers of the chosen time range by status. Worry when 5xx is a slice that you can "
            "see, or 429 appears.",
            Query(counted("http_requests_total", by="status", where=JOB), "{{status}}"),
            unit=units.Short,
            width=6,
        ),
        rows(
            "Top Endpoints",
            "The ten endpoints with most requests in the chosen time range. Worry when one that should be rare leads: "
            "a client repeats itself.",
            {
                "Requests": Column(
                    f"topk(10, {counted('http_requests_total', by=ENDPOINT, where=JOB)})",
                    units.Short,
                )
            },
            labels=ENDPOINT_LABELS,
            width=8,
        ),
        rows(
            "Slow Queries (>1s)",
            "How many requests of each endpoint took more than a second in the chosen time range, and its p95. "
            "Worry about an endpoint whose p95 is itself above 1 s: slow is its normal state.",
            {
                "Over 1 s": Column(
                    slower_than("1|1[.]0", "http_request_duration_seconds", by=ENDPOINT, where=JOB),
                    units.Short,
                    limits.ANY,
                ),
                "p95": Column(
                    quantile(
                        0.95, "http_request_duration_seconds", "$__range", by=ENDPOINT, where=JOB
                    ),
                    units.Seconds,
                    limits.LATENCY_SECONDS,
                ),
            },
            labels=ENDPOINT_LABELS,
            width=10,
        ),
    ],
)

OBJECTIVES = Section(
    "Objectives",
    8,
    [
        dial(
            "API Availability",
            "Share of requests of the last 24 hours answered without a 5xx; the objective is 99.5 %. Worry below it: "
            "at this rate the month's error budget does not last.",
            Query(f"slo:api_availability:24h{JOB}", "{{service}}"),
            unit=units.PercentUnit,
            minimum=0.98,
            maximum=1,
            width=8,
            limit=limits.AVAILABILITY,
        ),
        number(
            "Error Budget",
            "What is left of the failures that the objective allows in 30 days. Worry below half: no risky deployment "
            "until it has recovered.",
            Query(f"slo:api_availability:error_budget_remaining30d{JOB} * 100", "{{service}}"),
            unit=units.Percent,
            width=6,
            limit=limits.BUDGET_PERCENT,
            by_service=True,
        ),
        lines(
            "Error Budget Burn",
            "How many times faster than allowed the last hour spent the budgets of availability and of latency. Worry "
            "above 1 for long; at 14.4 a month's budget lasts two days.",
            Query(f"slo:api_availability:burnrate1h{JOB}", "availability {{service}}"),
            Query(f"slo:api_latency:burnrate1h{JOB}", "latency {{service}}"),
            unit=units.Short,
            width=10,
            limit=limits.BURN_RATE,
            by_service=True,
        ),
    ],
)

GATEWAY = Section(
    "Gateway",
    8,
    [
        lines(
            "Gateway Responses",
            "Answers a second that Kong passes on, by status. Worry about 5xx here but not above: requests do "
            "not reach the applications.",
            Query(f"sum by (code) (rate(kong_http_requests_total[{WINDOW}]))", "{{code}}"),
            unit=units.RequestsPerSecond,
            stacked=True,
        ),
        lines(
            "Gateway Latency",
            "95 % of the requests spend at most this long in Kong itself. Worry above 1 s: a "
            "plugin waits for something.",
            Query(f"{quantile(0.95, 'kong_kong_latency_ms')} / 1000", "p95"),
            unit=units.Seconds,
            limit=limits.GATEWAY_SECONDS,
        ),
    ],
)

LOGS = Section(
    "Logs",
    10,
    [
        log_lines(
            "Application Logs",
            "The newest lines of the chosen services. Worry about the error that repeats: look for "
            "the endpoint that stands out above.",
            '{job=~"$job"}',
        )
    ],
)


def build() -> Dashboard:
    """Give the dashboard."""
    return dashboard(
        "api-performance",
        "Requests, errors and latency of the three applications, down to the endpoint.",
        [TRAFFIC, LATENCY, ENDPOINTS, OBJECTIVES, GATEWAY, LOGS],
        services=APPLICATIONS,
        variables=[Variable("job", "http_requests_total")],
        logs='{job=~"${job:regex}"}',
    )
