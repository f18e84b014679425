"""Section 9.3 of the plan: readiness and log lines."""

from __future__ import annotations

import json
import time

from stackctl.verify.counters import grown
from stackctl.verify.model import Check, Context, Finding, skipped

_LAST_MINUTES = 5
_LOST_MINUTES = 15
_LOST = {
    "refused by Loki": "loki_discarded_samples_total",
    "dropped by Promtail": "promtail_dropped_entries_total",
}
_OLD = ("greater_than_max_sample_age", "out_of_order", "too_far_behind")
"""Loki's reasons for lines that are too old. Promtail 2.9 reads a container's log again once the container has
restarted, and all of it where it begins to watch one: Loki has such lines already, or they are history."""
_REFUSED_BATCH = "ingester_error"
"""Promtail's reason for a whole batch, of which Loki may have refused a single line."""
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
        f"{len(lines)} lines, such as: {_message(lines[0])[:60]}" if lines else "none",
        "stackctl logs promtail",
    )


def _message(line: str) -> str:
    """Return the message of a JSON line, which says more than its beginning does, or the line."""
    try:
        fields = json.loads(line)
    except ValueError:
        return line
    return str(fields.get("message", line)) if isinstance(fields, dict) else line


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
    numbers = {name: await _by_reason(context, metric) for name, metric in _LOST.items()}
    refused, dropped = numbers.values()
    old = {reason: refused.pop(reason) for reason in _OLD if reason in refused}
    if old:
        dropped.pop(_REFUSED_BATCH, None)
    lost = [
        f"{number:.0f} {name} ({reason})"
        for name, found in numbers.items()
        for reason, number in found.items()
    ]
    seen = ", ".join(lost) or "none"
    if old:
        reasons = ", ".join(f"{number:.0f} {reason}" for reason, number in old.items())
        seen += f"; not counted: lines that Promtail read again, refused as too old ({reasons})"
    return Finding(
        not lost,
        f"no line is refused or dropped in {_LOST_MINUTES} minutes, but old ones that were read again",
        seen,
        "stackctl logs promtail, for the reason that Loki gave",
    )


async def _by_reason(context: Context, metric: str) -> dict[str, float]:
    query = f"sum by (reason) ({grown(metric, _LOST_MINUTES * 60)})"
    return {
        sample.metric.get("reason", ""): sample.value[1]
        for sample in await context.prometheus.query(query)
        if sample.value[1] >= 1
    }


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
