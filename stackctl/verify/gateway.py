"""Whether Kong exposes what rules and dashboards read: by default, its Prometheus plugin does not."""

from __future__ import annotations

from stackctl.verify.model import Check, Context, Finding, skipped

_JOB = "kong"
_READ = ("kong_http_requests_total", "kong_kong_latency_ms_bucket")
_OF_KONG_2 = ("kong_http_status", "kong_latency_bucket")
"""Their names in Kong 2's plugin (Kong's CHANGELOG, 3.0.0, "Prometheus")."""
_IDLE_SECONDS = 3600
"""How long Kong may have no series, because they begin with the first request."""
_PLUGIN = "in the configuration of Kong's Prometheus plugin, set status_code_metrics and latency_metrics to true"


async def _exposes(context: Context) -> Finding:
    expected = f"{' and '.join(_READ)} from Kong's Prometheus plugin"
    if _JOB in context.left_out:
        return skipped(expected, "no Kong is monitored")
    names = "|".join((*_READ, *_OF_KONG_2))
    found = {
        sample.metric.get("__name__", "")
        for sample in await context.prometheus.query(
            f'count by (__name__) ({{job="{_JOB}",__name__=~"{names}"}})'
        )
    }
    if found.issuperset(_READ):
        return Finding(True, expected, "both")
    if found.intersection(_OF_KONG_2):
        seen = (
            f"Kong 2's {' and '.join(sorted(found.intersection(_OF_KONG_2)))}, which no rule reads"
        )
        return Finding(True, expected, seen, "upgrade to Kong 3", warning=True)
    if not await context.prometheus.query(f'up{{job="{_JOB}"}} == 1'):
        return skipped(expected, "Kong is not scraped", early=True)
    if not await context.prometheus.query(f'up{{job="{_JOB}"}} offset {_IDLE_SECONDS}s == 1'):
        return skipped(
            expected, "Kong was not being scraped an hour ago, and may not have had a request yet"
        )
    missing = [name for name in _READ if name not in found]
    return Finding(True, expected, f"no {' and no '.join(missing)}", _PLUGIN, warning=True)


CHECKS = (
    Check(
        "applications.gateway",
        "Kong exposes what rules read",
        "beyond the plan",
        "prometheus",
        _exposes,
    ),
)
