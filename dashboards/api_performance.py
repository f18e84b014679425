"""Do the applications respond correctly, and in time?"""

from __future__ import annotations

from grafana_foundation_sdk.models import units
from grafana_foundation_sdk.models.dashboard import Dashboard

from dashboards import limits
from dashboards.builders import active_alerts, dial, heat, lines, log_lines, number, pie, rows
from dashboards.fields import UP_DOWN, Column, Query
from dashboards.frame import APPLICATIONS, Section, Variable, dashboard
from dashboards.promql import WINDOW, counted, quantile, slower_than

JOB = '{job=~"$job"}'
ENDPOINT = "service, method, endpoint"
ENDPOINT_LABELS = {"service": "Service", "method": "Method", "endpoint": "Endpoint"}

STATUS = Section(
    None,
    4,
    [
        number(
            "Service Status",
            "Whether Prometheus can scrape each application.",
            "An application that is down for two minutes pages somebody.",
            Query(f'up{{job=~"{APPLICATIONS}",job=~"$job"}}', "{{job}}"),
            unit=units.NoUnit,
            width=8,
            limit=limits.UP,
            texts=UP_DOWN,
            by_service=True,
        ),
        dial(
            "API Availability",
            "Share of the requests of the last 24 hours without a 5xx response. The objective is 99.5 %.",
            "Below it, the month's error budget does not last at this rate.",
            Query(f"slo:api_availability:24h{JOB}", "{{service}}"),
            unit=units.PercentUnit,
            minimum=0.98,
            maximum=1,
            width=8,
            limit=limits.AVAILABILITY,
            places=2,
        ),
        number(
            "Error Budget",
            "Remaining share of the failures that the objective allows within 30 days.",
            "Below half, hold back risky deployments until it has recovered.",
            Query(f"slo:api_availability:error_budget_remaining30d{JOB} * 100", "{{service}}"),
            unit=units.Percent,
            width=8,
            limit=limits.BUDGET_PERCENT,
            by_service=True,
        ),
    ],
)

SIGNALS = Section(
    None,
    7,
    [
        lines(
            "Request Rate",
            "Requests per second that each service handles.",
            "A drop to zero means that the gateway or the service in front is gone. More than 1000 has never been "
            "tested.",
            Query(f"service:http_requests:rate5m{JOB}", "{{service}}"),
            unit=units.RequestsPerSecond,
            width=8,
            limit=limits.REQUEST_RATE,
            by_service=True,
            top=1.0,
        ),
        lines(
            "Error Rate",
            "Share of the responses with a 5xx status: by service, and dashed by each endpoint that sent one.",
            "A single endpoint points to its own code; all of them point to what they share.",
            Query(f"service:http_error_ratio:rate5m{JOB} * 100", "{{service}}"),
            Query(
                f'sum by (service, endpoint) (rate(http_requests_total{{job=~"$job",status=~"5.."}}[{WINDOW}]))'
                f" / sum by (service, endpoint) (rate(http_requests_total{JOB}[{WINDOW}])) * 100 > 0",
                "{{service}} {{endpoint}}",
                empty="No endpoint responds with a 5xx",
                dashed=True,
            ),
            unit=units.Percent,
            width=8,
            limit=limits.ERROR_PERCENT,
            by_service=True,
        ),
        lines(
            "p95/p99 Latency",
            "95 %, and dashed 99 %, of the requests of each service take at most this long.",
            "Clients notice a p95 above 1 s; above 2 s they give up.",
            Query(f"service:http_request_duration_seconds:p95{JOB}", "p95 {{service}}"),
            Query(
                f"service:http_request_duration_seconds:p99{JOB}", "p99 {{service}}", dashed=True
            ),
            unit=units.Seconds,
            width=8,
            limit=limits.LATENCY_SECONDS,
            by_service=True,
        ),
    ],
)

ALERTS_AND_BUDGET = Section(
    None,
    6,
    [
        active_alerts(f"{APPLICATIONS}|kong"),
        lines(
            "Error Budget Burn",
            "How many times faster than allowed the last hour spent the budgets for availability and, dashed, latency.",
            "Above 1 the budget does not last the month; at 14.4 it lasts two days.",
            Query(f"slo:api_availability:burnrate1h{JOB}", "availability {{service}}"),
            Query(f"slo:api_latency:burnrate1h{JOB}", "latency {{service}}", dashed=True),
            unit=units.Short,
            limit=limits.BURN_RATE,
            by_service=True,
            places=2,
        ),
    ],
)

ENDPOINTS = Section(
    "Endpoints",
    10,
    [
        heat(
            "Latency Distribution",
            "Number of requests by duration; the more a cell stands out from the background, the more requests.",
            "A second band above the first means that some requests wait for something that the others do not.",
            f"sum by (le) (rate(http_request_duration_seconds_bucket{JOB}[{WINDOW}]))",
            unit=units.Seconds,
            width=16,
        ),
        pie(
            "Response Status Codes",
            "Responses within the time range, by status.",
            "A visible slice of 5xx, or any 429, means that requests of clients fail.",
            Query(counted("http_requests_total", by="status", where=JOB), "{{status}}"),
            unit=units.Short,
            width=8,
        ),
        rows(
            "Top Endpoints",
            "The ten endpoints with the most requests within the time range.",
            "If an endpoint that should be rare is at the top, a client is repeating its requests.",
            {
                "Requests": Column(
                    f"topk(10, {counted('http_requests_total', by=ENDPOINT, where=JOB)})",
                    units.Short,
                )
            },
            labels=ENDPOINT_LABELS,
            width=12,
        ),
        rows(
            "Slow Queries (>1s)",
            "How many requests of each endpoint took more than a second within the time range, and the endpoint's p95.",
            "If its p95 is above 1 s, slow is the endpoint's normal state.",
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
            width=12,
        ),
    ],
)

GATEWAY = Section(
    "Gateway",
    8,
    [
        lines(
            "Gateway Responses",
            "Responses per second that Kong passes on, by status.",
            "A 5xx here but not above means that requests do not reach the applications.",
            Query(f"sum by (code) (rate(kong_http_requests_total[{WINDOW}]))", "{{code}}"),
            unit=units.RequestsPerSecond,
            stacked=True,
        ),
        lines(
            "Gateway Latency",
            "95 % of the requests spend at most this long in Kong itself.",
            "Above 1 s one of its plugins waits for something.",
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
            "The latest log lines of the chosen services.",
            "An error that repeats names the cause of what stands out above.",
            f'{{job=~"{APPLICATIONS}",job=~"$job"}}',
        )
    ],
)


def build() -> Dashboard:
    """Return the dashboard."""
    return dashboard(
        "api-performance",
        "Requests, errors and latency of the three applications, down to the endpoint.",
        [STATUS, SIGNALS, ALERTS_AND_BUDGET, ENDPOINTS, GATEWAY, LOGS],
        services=APPLICATIONS,
        variables=[Variable("job", "http_requests_total")],
        logs=f'{{job=~"{APPLICATIONS}",job=~"${{job:regex}}"}}',
    )
