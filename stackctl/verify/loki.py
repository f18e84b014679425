"""Section 9.3 of the plan: readiness and log lines."""

from __future__ import annotations

import time

from stackctl.verify.model import Check, Context, Finding

_LAST_MINUTES = 5
_LABELS = ("job", "container_name", "level")


async def _ready(context: Context) -> Finding:
    await context.loki.ready()
    marker = f"verify {time.time_ns()}"
    await context.loki.round_trip(marker)
    return Finding(True, "ready, and a pushed line comes back", f"ready; {marker!r} came back")


async def _lines(context: Context) -> Finding:
    if context.log_job is None:
        return Finding(True, "no application runs, so no lines are expected", "not asked")
    query = f'{{job="{context.log_job}"}}'
    now = time.time_ns()
    streams = await context.loki.query_range(query, start=now - _LAST_MINUTES * 60 * 10**9, end=now)
    lines = [entry.line for stream in streams for entry in stream.entries]
    return Finding(
        bool(lines),
        f"lines of {query} in the last {_LAST_MINUTES} minutes",
        f"{len(lines)} lines, such as: {lines[0][:60]}" if lines else "none",
        f"stackctl logs promtail; stackctl logs {context.log_job}",
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
)
