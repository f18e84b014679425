"""Section 9.3 of the plan: readiness and log lines."""

from __future__ import annotations

import json
import time

from stackctl.verify.counters import grown
from stackctl.verify.model import Check, Context, Finding, skipped

_LAST_MINUTES = 5
_LOST_MINUTES = 15
_REFUSED = "loki_discarded_samples_total"
_DROPPED = "instance_reason:log_collector_dropped_entries:sum"
_COUNTERS = ("loki_distributor_lines_received_total", _DROPPED)
"""Counters that both programs expose from their first lines on; without them, lost lines would go unnoticed."""
_SENT = "instance:log_collector_sent_entries:sum"
_OLD = ("greater_than_max_sample_age", "out_of_order", "too_far_behind")
"""Loki's reasons for rejecting lines as too old. A log collector reads a container's log again after the container
restarts, and all of it when it starts to follow one: Loki already has such lines, or they are history."""
_REFUSED_BATCH = "ingester_error"
"""The log collector's reason for a whole batch, of which Loki may have rejected, and counted, a single line."""
_LABELS = ("job", "container_name", "image", "level")


async def _ready(context: Context) -> Finding:
    await context.loki.ready()
    marker = f"verify {time.time_ns()}"
    await context.loki.round_trip(marker)
    return Finding(True, "ready, and returns a line that was pushed", f"ready; returned {marker!r}")


async def _collected(context: Context) -> Finding:
    found = await context.prometheus.query(f"sum({_SENT})")
    sent = found[0].value[1] if found else 0
    return Finding(
        sent > 0,
        f"Loki has accepted lines from {context.log_collector} (which its /ready does not show)",
        f"{sent:.0f} lines since it started" if found else f"Prometheus has no {_SENT}",
        f"stackctl logs {context.log_collector} docker-socket-proxy",
    )


async def _lines(context: Context) -> Finding:
    if context.log_job is None:
        return skipped("an application's log lines", "no application is running")
    query = f'{{job="{context.log_job}"}}'
    now = time.time_ns()
    streams = await context.loki.query_range(query, start=now - _LAST_MINUTES * 60 * 10**9, end=now)
    lines = [entry.line for stream in streams for entry in stream.entries]
    return Finding(
        bool(lines),
        f"lines of {query} in the last {_LAST_MINUTES} minutes",
        f"{len(lines)} lines, such as: {_message(lines[0])[:60]}" if lines else "none",
        f"stackctl logs {context.log_collector}",
    )


def _message(line: str) -> str:
    """Return the message of a JSON line, which is more useful than its beginning, or else the line."""
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
        f"check the relabelling rules and the stages in {context.log_collector}'s configuration",
    )


async def _rejected(context: Context) -> Finding:
    collector = context.log_collector
    expected = f"no lines rejected or dropped in {_LOST_MINUTES} minutes, except old ones that were read again"
    names = "|".join(_COUNTERS)
    found = await context.prometheus.query(f'count by (__name__) ({{__name__=~"{names}"}})')
    unknown = set(_COUNTERS) - {sample.metric.get("__name__") for sample in found}
    if unknown:
        return Finding(
            False,
            expected,
            f"Prometheus has no {' or '.join(sorted(unknown))}",
            f"stackctl logs {collector}",
        )
    refused = await _by_reason(context, _REFUSED)
    dropped = await _by_reason(context, _DROPPED)
    if refused:
        dropped.pop(_REFUSED_BATCH, None)
    old = {reason: refused.pop(reason) for reason in _OLD if reason in refused}
    lost = [
        f"{number:.0f} {name} ({reason})"
        for name, found in {"rejected by Loki": refused, f"dropped by {collector}": dropped}.items()
        for reason, number in found.items()
    ]
    seen = ", ".join(lost) or "none"
    if old:
        reasons = ", ".join(f"{number:.0f} {reason}" for reason, number in old.items())
        seen += f"; not counted: lines that were read again and rejected as too old ({reasons})"
    return Finding(
        not lost,
        expected,
        seen,
        f"look for the reason that Loki returned: stackctl logs {collector}",
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
        "Loki stores and returns lines",
        _PLAN + "Check Loki health",
        "loki",
        _ready,
    ),
    Check(
        "loki.collected",
        "The log collector delivers lines",
        "beyond the plan",
        "promtail",
        _collected,
    ),
    Check(
        "loki.lines",
        "The application's log lines arrive",
        _PLAN + "Query logs (last 5 minutes)",
        "promtail",
        _lines,
    ),
    Check("loki.labels", "Log lines have their labels", "beyond the plan", "promtail", _labels),
    Check("loki.lost", "No log lines are lost", "beyond the plan", "promtail", _rejected),
)
