"""Queries and the health check of a Loki data source (grafana.com/docs/loki/v2.9.x/reference/api)."""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Mapping
from typing import Any

from standins.grafana.provisioning.datasources import DataSource
from standins.grafana.query import times
from standins.grafana.query.frames import Field, Frame, legend, number
from standins.grafana.query.times import TimeRange
from standins.grafana.query.upstream import Upstream, UpstreamError

_DEFAULT_LINES = 1000
_UNABLE = "Unable to connect with Loki. Please check the server logs for more details."


async def run(
    upstream: Upstream, source: DataSource, target: Mapping[str, Any], when: TimeRange
) -> list[Frame]:
    """Run one query of a panel, with `expr`, `queryType`, `maxLines`, `legendFormat` and so on.

    Raises UpstreamError, and ValueError for an invalid query.
    """
    step = times.step(
        when,
        interval=str(target.get("step") or target.get("interval") or "1s"),
        scrape_interval="",
        interval_ms=int(target.get("intervalMs") or 0),
        points=int(target.get("maxDataPoints") or 0),
    )
    interval = int(target.get("intervalMs") or 0) or step
    expression = times.interpolate(str(target.get("expr") or ""), when, interval=interval)
    if not expression.strip():
        return []
    lines = int(target.get("maxLines") or source.json_data.get("maxLines") or _DEFAULT_LINES)
    params = {
        "query": expression,
        "direction": str(target.get("direction") or "backward"),
        "limit": str(lines),
    }
    if target.get("queryType") == "instant" or target.get("instant"):
        path = "query"
        params["time"] = str(when.end * 10**6)
    else:
        path = "query_range"
        params |= {
            "start": str(when.start * 10**6),
            "end": str(when.end * 10**6),
            "step": f"{step}ms",
        }
    answer = await upstream.json(source, "GET", f"loki/api/v1/{path}", params)
    executed = f"Expr: {expression}"
    if path == "query_range":
        executed += f"\nStep: {times.show(step)}"
    return _frames(answer, target, expression, executed)


async def health(upstream: Upstream, source: DataSource) -> str:
    """Let Loki calculate 1+1, as Grafana does, and return the message for the user. Raises UpstreamError."""
    target = {
        "refId": "__healthcheck__",
        "expr": "vector(1)+vector(1)",
        "queryType": "instant",
        "step": "1s",
    }
    frames = await run(upstream, source, target, TimeRange(1000, 4000))
    if not frames or not frames[0].fields or list(frames[0].fields[1].values) != [2.0]:
        raise UpstreamError("vector(1)+vector(1) is not 2")
    return "Data source successfully connected."


def unable(_error: Exception) -> str:
    """Return Grafana's message for an unreachable Loki; only the log has the cause."""
    return _UNABLE


def _frames(answer: Any, target: Mapping[str, Any], expression: str, executed: str) -> list[Frame]:
    ref_id = str(target.get("refId") or "A")
    format_ = str(target.get("legendFormat") or "")
    try:
        kind, result = answer["data"]["resultType"], answer["data"]["result"]
        if kind == "streams":
            return [_lines(ref_id, result, executed)]
        meta = {
            "type": "numeric-multi" if kind == "vector" else "timeseries-multi",
            "typeVersion": [0, 1],
            "executedQueryString": executed,
        }
        frames = []
        for series in result:
            labels = series["metric"]
            samples = [series["value"]] if kind == "vector" else series["values"]
            name = legend(labels, format_, expression)
            moments = [round(float(sample[0]) * 1000) for sample in samples]
            values = [number(sample[1]) for sample in samples]
            columns = (
                Field("Time", "time", moments),
                Field("Value", "number", values, labels, {"displayNameFromDS": name}),
            )
            frames.append(Frame(ref_id, columns, meta))
    except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
        raise UpstreamError(f"unexpected response from Loki's API: {error}") from None
    return frames


def _lines(ref_id: str, streams: Any, executed: str) -> Frame:
    """Return one frame of all lines; an id has the time, a hash of stream and text, and the number among equals."""
    rows: list[tuple[Mapping[str, str], int, str, str]] = []
    seen: Counter[str] = Counter()
    for stream in streams:
        labels = stream["stream"]
        mark = zlib.crc32(repr(sorted(labels.items())).encode())
        for nanoseconds, line, *_ in stream["values"]:
            base = f"{nanoseconds}_{zlib.crc32(line.encode(), mark):08x}_"
            again = f"{seen[base]}_" if seen[base] else ""
            seen[base] += 1
            rows.append((labels, int(nanoseconds), line, base + again))
    columns = (
        Field("labels", "other", [labels for labels, *_ in rows]),
        Field("Time", "time", [nanoseconds // 10**6 for _, nanoseconds, _, _ in rows]),
        Field("Line", "string", [line for _, _, line, _ in rows]),
        Field("tsNs", "string", [str(nanoseconds) for _, nanoseconds, _, _ in rows]),
        Field("id", "string", [identity for *_, identity in rows]),
    )
    meta = {"custom": {"frameType": "LabeledTimeValues"}, "executedQueryString": executed}
    return Frame(ref_id, columns, meta)
