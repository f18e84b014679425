"""Section 9.3 of the plan: readiness and log lines."""

from __future__ import annotations

import time

from stackctl.verify.counters import grown
from stackctl.verify.model import Check, Context, Finding, skipped

_LAST_MINUTES = 5
_LOST_MINUTES = 15
_LOST = {
    "refused by Loki": "loki_discarded_samples_total",
    "dropped by Promtail": "promtail_dropped_entries_total",
}
_LABELS = ("job", "container_name", "image", "level")


async def _ready(context: Context) -> Finding:
    await context.loki.ready()
    marker = f"verify {time.time_ns()}"
    await context.loki.round_trip(marker)
    return Finding(True, "ready, and a pushed line comes back", f"ready; {marker!r} came back")


async def _lines(context: Context) -> Finding:
    if context.log_job is None:
        return skipped("an application's log lines", "no application runs")
    query = f'{{job="{context.log_job}"}}'
    now = time.time_ns()
    streams = await context.loki.query_range(query, start=now - _LAST_MINUTES * 60 * 10**9, end=now)
    lines = [entry.line for stream in streams for entry in stream.entries]
    return Finding(
        bool(lines),
        f"lines of {query} in the last {_LAST_MINUTES} minutes",
        f"{len(lines)} lines, such as: {lines[0][:60]}" if lines else "none",
        "stackctl logs promtail",
    )


async def _labels(context: Context) -> Finding:
    labels = await context.loki.labels()
    missing = [label for label in _LABELS if label not in labels]
    if context.log_job is None:
        missing = [label for label in missing if label != "level"]
    return Finding(
        not missing,
        f"labels {', '.join(_LABELS)}",
        ", ".join(labels) or "none",
        "look at relabel_configs and pipeline_stages in promtail-config.yml",
    )


async def _rejected(context: Context) -> Finding:
    lost = {}
    for name, metric in _LOST.items():
        query = f"sum({grown(metric, _LOST_MINUTES * 60)})"
        number = sum(sample.value[1] for sample in await context.prometheus.query(query))
        if number >= 1:
            lost[name] = number
    return Finding(
        not lost,
        f"no line is refused or dropped in {_LOST_MINUTES} minutes",
        ", ".join(f"{number:.0f} {name}" for name, number in lost.items()) or "none",
        "stackctl logs promtail, for the reason that Loki gave",
    )


_PLAN = "9.3 Loki Verification: "

CHECKS = (
    Check(
        "loki.ready",
        "Loki takes lines and gives them back",
        _PLAN + "Check Loki health",
        "loki",
        _ready,
    ),
    Check(
        "loki.lines",
        "The application's log lines arrive",
        _PLAN + "Query logs (last 5 minutes)",
        "promtail",
        _lines,
    ),
    Check("loki.labels", "Log lines carry their labels", "beyond the plan", "promtail", _labels),
    Check("loki.lost", "No log line is lost", "beyond the plan", "promtail", _rejected),
)
