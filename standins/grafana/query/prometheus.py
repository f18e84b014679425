"""Queries and the health check of a Prometheus data source (prometheus.io/docs/prometheus/latest/querying/api)."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from standins.grafana.provisioning.datasources import DataSource
from standins.grafana.query import times
from standins.grafana.query.frames import Field, Frame, legend, number
from standins.grafana.query.times import TimeRange
from standins.grafana.query.upstream import Upstream, UpstreamError

_KINDS = {"matrix": "timeseries-multi", "vector": "numeric-multi", "scalar": "numeric-multi"}


async def run(
    upstream: Upstream, source: DataSource, target: Mapping[str, Any], when: TimeRange
) -> list[Frame]:
    """Run one query of a panel, with `expr`, `instant`, `range`, `legendFormat` and so on.

    Raises UpstreamError, and ValueError for an invalid query.
    """
    scrape = str(source.json_data.get("timeInterval") or "")
    interval_ms = int(target.get("intervalMs") or 0)
    step = times.step(
        when,
        interval=str(target.get("interval") or ""),
        scrape_interval=scrape,
        interval_ms=interval_ms,
        points=int(target.get("maxDataPoints") or 0),
    ) * int(target.get("intervalFactor") or 1)
    expression = times.interpolate(
        str(target.get("expr") or ""), when, interval=interval_ms or step, scrape_interval=scrape
    )
    if not expression.strip():
        return []
    instant = bool(target.get("instant"))
    ranged = bool(target.get("range")) or not instant
    requests: list[tuple[str, dict[str, str]]] = []
    if ranged:
        bounds = {
            "start": _seconds(when.start - when.start % step),
            "end": _seconds(when.end - when.end % step),
            "step": _seconds(step),
        }
        requests.append(("query_range", {"query": expression} | bounds))
    if instant:
        requests.append(("query", {"query": expression, "time": _seconds(when.end)}))
    method = str(source.json_data.get("httpMethod") or "POST").upper()
    answers = await asyncio.gather(
        *(upstream.json(source, method, f"api/v1/{path}", params) for path, params in requests)
    )
    executed = f"Expr: {expression}\nStep: {times.show(step)}"
    frames: list[Frame] = []
    for answer in answers:
        frames += _frames(answer, target, expression, executed, step)
    return frames


async def health(upstream: Upstream, source: DataSource) -> str:
    """Let Prometheus calculate 1+1, as Grafana does, and return the message for the user. Raises UpstreamError."""
    target = {"refId": "__healthcheck__", "expr": "1+1", "instant": True}
    failed = "There was an error returned querying the Prometheus API."
    try:
        frames = await run(upstream, source, target, TimeRange(1000, 4000))
    except UpstreamError as error:
        raise UpstreamError(f"{error} - {failed}") from None
    if not frames or not frames[0].fields or list(frames[0].fields[1].values) != [2.0]:
        raise UpstreamError(f"1+1 is not 2 - {failed}")
    return "Successfully queried the Prometheus API."


def _frames(
    answer: Any, target: Mapping[str, Any], expression: str, executed: str, step: int
) -> list[Frame]:
    ref_id = str(target.get("refId") or "A")
    format_ = str(target.get("legendFormat") or "")
    try:
        kind, result = answer["data"]["resultType"], answer["data"]["result"]
        meta = {
            "type": _KINDS[kind],
            "typeVersion": [0, 1],
            "custom": {"resultType": kind},
            "executedQueryString": executed,
        }
        frames = []
        for labels, samples in _series(kind, result):
            name = legend(labels, format_, expression)
            moments = [round(float(sample[0]) * 1000) for sample in samples]
            values = [number(sample[1]) for sample in samples]
            columns = (
                Field("Time", "time", moments, config={"interval": step}),
                Field("Value", "number", values, labels, {"displayNameFromDS": name}),
            )
            frames.append(Frame(ref_id, columns, meta, name))
    except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
        raise UpstreamError(f"unexpected response from Prometheus' API: {error}") from None
    return frames or [Frame(ref_id, (), meta)]


def _series(kind: str, result: Any) -> list[tuple[Mapping[str, str], Sequence[Any]]]:
    if kind == "scalar":
        return [({}, [result])]
    if kind == "vector":
        return [(series["metric"], [series["value"]]) for series in result]
    return [(series["metric"], series["values"]) for series in result]


def _seconds(milliseconds: int) -> str:
    return f"{milliseconds / 1000:.3f}"
