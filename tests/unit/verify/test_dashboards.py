"""`verify dashboards` before a Prometheus and a Loki that a test can make wrong."""

from __future__ import annotations

import asyncio
import datetime as dt
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest

from stackctl.clients.loki import LokiClient
from stackctl.clients.prometheus import PrometheusClient
from stackctl.util import paths
from stackctl.verify import dashboards
from stackctl.verify.model import Context, Finding
from tests.support.http import Reply, Request, as_json, serving

NAME = paths.dashboards()[0]
OVERRIDE = {
    "matcher": {"id": "byFrameRefID", "options": "B"},
    "properties": [{"id": "noValue", "value": "no limit is set"}],
}
NUMBER: tuple[str, ...] = ("1",)


def panel(kind: str, *expressions: str, title: str = "Memory", **fields: Any) -> dict[str, Any]:
    targets = [{"refId": ref, "expr": expr} for ref, expr in zip("ABC", expressions, strict=False)]
    return {
        "type": kind,
        "title": title,
        "gridPos": {"x": 0, "y": 0, "w": 8, "h": 8},
        "datasource": {"type": "loki" if kind == "logs" else "prometheus"},
        "targets": targets,
        "fieldConfig": {"defaults": {}, "overrides": []} | fields,
    }


def verified(
    folder: Path,
    *panels: dict[str, Any],
    values: Mapping[str, tuple[str, ...]],
    lines: tuple[str, ...] = ("a line",),
    log_job: str | None = "rust-core-engine",
    expected: tuple[str, ...] = (NAME,),
    age: float = 24 * 3600,
    records: Mapping[str, tuple[float, str]] = {},
) -> Finding:
    """Run the check of a dashboard with these panels. `values` are a series' values by query; others give none.

    `age` is Prometheus' in seconds, `records` are its recording rules: the interval and the query, by name.
    """
    board = {"uid": NAME, "title": "Test", "panels": panels}
    (folder / f"{NAME}.json").write_text(json.dumps(board))

    def prometheus(request: Request) -> Reply:
        form = parse_qs(request.body.decode())
        (expr,) = form["query"]
        if expr == "broken(":
            return as_json({"status": "error", "error": "parse error: unclosed"}, 400)
        result = [
            {"metric": {}, "values": [[float(form["end"][0]), value] for value in values[expr]]}
            for _ in range(1)
            if expr in values
        ]
        return as_json({"status": "success", "data": {"resultType": "matrix", "result": result}})

    def loki(_request: Request) -> Reply:
        found = [{"stream": {}, "values": [["1", line] for line in lines]}] if lines else []
        return as_json({"status": "success", "data": {"resultType": "streams", "result": found}})

    def rules(_request: Request) -> Reply:
        groups = [
            {
                "name": name,
                "file": "f",
                "interval": interval,
                "rules": [{"name": name, "query": query, "type": "recording", "health": "ok"}],
            }
            for name, (interval, query) in records.items()
        ]
        return as_json({"status": "success", "data": {"groups": groups}})

    def runtime(_request: Request) -> Reply:
        began = dt.datetime.now(dt.UTC) - dt.timedelta(seconds=age)
        return as_json({"status": "success", "data": {"lastConfigTime": began.isoformat()}})

    async def check(url: str) -> Finding:
        async with PrometheusClient(url) as metrics, LokiClient(url) as logs:
            context = Context(
                metrics,
                alertmanager=None,  # type: ignore[arg-type]
                loki=logs,
                grafana=None,  # type: ignore[arg-type]
                expected_jobs=(),
                left_out=(),
                expected_dashboards=expected,
                dashboards=folder,
                log_collector="promtail",
                log_job=log_job,
                load=None,
                sink=None,
                real_channels=frozenset(),
                drills=None,  # type: ignore[arg-type]
                blackbox=None,  # type: ignore[arg-type]
            )
            (found,) = (one for one in dashboards.CHECKS if one.id == f"dashboards.{NAME}")
            return await found.run(context)

    routes = {
        "/api/v1/query_range": prometheus,
        "/loki/api/v1/query_range": loki,
        "/api/v1/rules": rules,
        "/api/v1/status/runtimeinfo": runtime,
    }
    with serving(routes) as server:  # type: ignore[arg-type]
        return asyncio.run(check(server.url))


def test_every_query_with_data_passes(tmp_path: Path) -> None:
    found = verified(
        tmp_path,
        panel("timeseries", "used", "limit"),
        panel("logs", '{job="kong"}', title="Log"),
        values={"used": NUMBER, "limit": ("NaN", "3")},
    )
    assert found.ok
    assert found.observed == "2 panels with data"


def test_one_query_of_a_panel_without_data_fails_and_is_named(tmp_path: Path) -> None:
    found = verified(
        tmp_path, panel("timeseries", "used", "sum(\n  gone\n)"), values={"used": NUMBER}
    )
    assert not found.ok
    assert found.observed == "Memory: no data (sum( gone ))"


def test_every_query_without_data_is_listed(tmp_path: Path) -> None:
    found = verified(
        tmp_path,
        panel("timeseries", "a", "b"),
        panel("stat", "c", title="Load"),
        panel("logs", '{job="kong"}', title="Log"),
        values={},
        lines=(),
    )
    assert found.observed == (
        'Memory: no data (a); Memory: no data (b); Load: no data (c); Log: no data ({job="kong"})'
    )


def test_nan_is_no_data(tmp_path: Path) -> None:
    found = verified(tmp_path, panel("stat", "0/0"), values={"0/0": ("NaN", "NaN")})
    assert found.observed == "Memory: no data (0/0)"


def test_a_query_that_fails_is_told_with_prometheus_words(tmp_path: Path) -> None:
    found = verified(tmp_path, panel("stat", "used", "broken("), values={"used": NUMBER})
    assert not found.ok
    assert "parse error: unclosed" in found.observed
    assert found.observed.endswith("(used; broken()")


@pytest.mark.parametrize(
    ("fields", "ok"),
    [
        ({"overrides": [OVERRIDE]}, True),
        ({"defaults": {"noValue": "No alert fires"}}, True),
        ({"overrides": [OVERRIDE | {"matcher": {"id": "byFrameRefID", "options": "A"}}]}, False),
    ],
)
def test_nothing_is_right_where_the_dashboard_says_so(
    tmp_path: Path, fields: dict[str, Any], ok: bool
) -> None:
    described = panel("timeseries", "used", "limit", **fields)
    assert verified(tmp_path, described, values={"used": NUMBER}).ok is ok


def test_a_panel_that_is_rightly_empty_is_not_counted_as_one_with_data(tmp_path: Path) -> None:
    found = verified(
        tmp_path,
        panel("stat", "used"),
        panel("stat", "gone", title="Replicas", defaults={"noValue": "One server"}),
        values={"used": NUMBER},
    )
    assert found.ok
    assert found.observed == "1 panels with data; expectedly empty: Replicas"


def test_what_says_so_must_not_fail_either(tmp_path: Path) -> None:
    described = panel("stat", "broken(", defaults={"noValue": "No alert fires"})
    assert not verified(tmp_path, described, values={}).ok


def test_a_dashboard_without_a_panel_proves_nothing(tmp_path: Path) -> None:
    assert not verified(tmp_path, values={}).ok


def test_what_is_left_out_is_not_asked(tmp_path: Path) -> None:
    empty = panel("stat", "gone")
    assert verified(tmp_path, empty, values={}, log_job=None).ok
    assert verified(tmp_path, empty, values={}, expected=()).ok
    assert not verified(tmp_path, empty, values={}).ok


RECORDS = {
    "slo:errors": (300.0, "sum(rate(http_requests_total[1h]))"),
    "slo:budget": (600.0, "1 - slo:errors / slo:budget"),
}


@pytest.mark.parametrize(
    ("query", "age", "told"),
    [
        ("up", 20, "40 s"),
        ("slo:errors", 60, "5 min"),
        # A record of a record, which also reads itself.
        ("avg_over_time(slo:budget[30d])", 60, "15 min"),
        ("up offset 1h", 60, "60 min"),
    ],
)
def test_a_stack_that_is_too_young_for_a_query_is_told_with_when_it_will_not_be(
    tmp_path: Path, query: str, age: float, told: str
) -> None:
    found = verified(tmp_path, panel("stat", query), values={}, age=age, records=RECORDS)
    assert found.state == "too young"
    assert found.observed.startswith(
        f"the stack has not run for long enough, ready in {told}: Memory: no data ("
    )
    assert found.next_step == f"run `stackctl verify dashboards.{NAME}` again in {told}"
    assert not found.may_change_within(30)
    assert found.may_change_within(found.ready_in)


@pytest.mark.parametrize(
    ("query", "age"), [("up", 61), ("slo:errors", 361), ("slo:budget", 961), ("up offset 1h", 3661)]
)
def test_of_a_stack_that_is_old_enough_no_data_is_a_failure(
    tmp_path: Path, query: str, age: float
) -> None:
    found = verified(tmp_path, panel("stat", query), values={}, age=age, records=RECORDS)
    assert found.state == "failed"


def test_a_query_that_fails_is_a_failure_however_young_the_stack_is(tmp_path: Path) -> None:
    found = verified(
        tmp_path, panel("stat", "broken("), panel("stat", "up", title="Up"), values={}, age=1
    )
    assert found.state == "failed"
