"""Dashboards, their variables, and the queries of their panels."""

from __future__ import annotations

import datetime as dt
import json
import math
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest

from stackctl.errors import StackctlError, UsageError
from stackctl.snapshot import dashboard, queries
from stackctl.snapshot.dashboard import Panel
from stackctl.snapshot.queries import Answer, Line
from stackctl.util import paths
from tests.support.boards import (
    HOUR,
    JOB,
    NOW,
    ONE,
    SHIPPED,
    ask,
    board,
    defaults,
    matrix,
    panel,
    routes,
    series,
    streams,
)
from tests.support.http import Reply, Request, as_json, serving


def test_an_unknown_dashboard_names_the_nearest() -> None:
    with pytest.raises(UsageError) as caught:
        dashboard.load("system-overvue", SHIPPED)
    assert caught.value.remedy == "did you mean system-overview?"


def test_a_dashboard_that_was_not_rendered_is_told(tmp_path: Path) -> None:
    with pytest.raises(StackctlError, match="ai-analysis was not rendered") as caught:
        dashboard.load("ai-analysis", tmp_path)
    assert caught.value.remedy == "`stackctl up` renders the dashboards of all monitored services"


@pytest.mark.parametrize("name", paths.dashboards())
def test_every_dashboard_is_read_with_all_its_panels(name: str) -> None:
    found = dashboard.load(name, SHIPPED)
    raw = json.loads((SHIPPED / f"{name}.json").read_text())
    assert found.uid == name
    # A row is repeated for each machine in Grafana; here all are in one.
    titles = [one["title"].replace(" $instance", "") for one in raw["panels"]]
    assert sorted(one.title for one in found.panels) == sorted(titles)
    places = [(one.grid_pos.y, one.grid_pos.x) for one in found.panels]
    assert places == sorted(places)


@pytest.mark.parametrize(
    ("expression", "expanded"),
    [
        ('up{job=~"$job"}', 'up{job=~"..*"}'),
        ('up{job=~"${job}"}', 'up{job=~"..*"}'),
        ('up{job=~"${job:regex}"}', 'up{job=~"..*"}'),
        ("rate(x[$__rate_interval])", "rate(x[60s])"),
        ("rate(x[$__interval])", "rate(x[15s])"),
        ("increase(x[$__range])", "increase(x[3600s])"),
        ("x * $__range_s", "x * 3600"),
        ('label_replace(x, "a", "$1", "b", "(.+)")', 'label_replace(x, "a", "$1", "b", "(.+)")'),
        ('x{y="$unknown"}', 'x{y="$unknown"}'),
    ],
)
def test_a_query_with_its_variables_filled_in(expression: str, expanded: str) -> None:
    found = board(templating={"list": [JOB]})
    assert queries.expand(expression, found, HOUR) == expanded


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ({"name": "v", "current": {"value": "one"}}, "one"),
        ({"name": "v", "current": {"value": ["one"]}}, "one"),
        ({"name": "v", "current": {"value": ["a.b", "c"]}}, r"(a\.b|c)"),
        ({"name": "v", "current": {"value": ["$__all"]}}, ".*"),
        (JOB | {"name": "v"}, "..*"),
    ],
)
def test_a_variable_has_its_default(variable: dict[str, Any], value: str) -> None:
    assert queries.expand("$v", board(templating={"list": [variable]}), HOUR) == value


def test_a_curve_is_asked_over_the_range_and_a_value_at_its_end() -> None:
    found = board(panel("timeseries"), panel("stat"))
    with serving(routes(ONE, streams())) as server:
        ask(found, server)
    forms = [
        {name: values[0] for name, values in parse_qs(request.body.decode()).items()}
        for request in server.requests
    ]
    end, start = NOW.timestamp(), (NOW - dt.timedelta(hours=1)).timestamp()
    asked = {(float(form["start"]), float(form["end"]), float(form["step"])) for form in forms}
    assert asked == {(start, end, 15.0), (end, end, 1.0)}


@pytest.mark.parametrize(
    ("legend", "labels", "name"),
    [
        ("{{name}} of {{ job }}", {"name": "cpu", "job": "node"}, "cpu of node"),
        ("{{missing}} p95", {"name": "cpu"}, "p95"),
        ("p95", {}, "p95"),
        ("", {"__name__": "up", "job": "node"}, 'up{job="node"}'),
        ("__auto", {"__name__": "up"}, "up"),
        ("", {}, "sum(up)"),
    ],
)
def test_a_series_is_called_by_its_legend(legend: str, labels: dict[str, str], name: str) -> None:
    target = {"refId": "A", "expr": "sum(up)", "legendFormat": legend}
    found = board(panel("stat", targets=[target]))
    with serving(routes(matrix((labels, [(NOW.timestamp(), "1")])), streams())) as server:
        (answer,) = ask(found, server)
    assert [series.name for series in answer.series] == [name]


def test_the_log_has_its_newest_lines_first_from_all_streams() -> None:
    stamp = int(NOW.timestamp()) * 10**9
    result = [
        {"stream": {"job": "a"}, "values": [[str(stamp - 1), "third"], [str(stamp + 5), "first"]]},
        {"stream": {"job": "b"}, "values": [[str(stamp), "second"]]},
    ]
    body = {"status": "success", "data": {"resultType": "streams", "result": result}}
    found = board(panel("logs", '{job=~"$job"}'), templating={"list": [JOB]})
    with serving(routes(ONE, as_json(body))) as server:
        (answer,) = ask(found, server)
    assert [line.text for line in answer.lines] == ["first", "second", "third"]
    assert answer.expressions == {"A": '{job=~"..*"}'}
    assert parse_qs(server.requests[0].query)["query"] == ['{job=~"..*"}']


def test_a_query_that_fails_is_told_in_its_own_panel() -> None:
    def answer(request: Request) -> Reply:
        if b"broken" in request.body:
            return as_json({"status": "error", "error": "parse error: unexpected <eof>"}, 400)
        return ONE

    found = board(panel("stat", "broken("), panel("stat", "up"))
    with serving(routes(answer, streams())) as server:
        broken, good = ask(found, server)
    assert broken.failure is not None
    assert "parse error" in broken.failure
    assert (good.failure, len(good.series)) == (None, 1)


def test_a_query_with_nothing_or_with_nan_alone_is_without_data() -> None:
    found = [series("a", math.nan, 1, ref="A"), series("b", math.nan, ref="B")]
    answer = Answer(dict.fromkeys("ABC", "up"), found)
    assert answer.without_data == ["B", "C"]
    assert Answer({"A": "{}"}, lines=[Line("A", 1, {}, "x")]).without_data == []


def test_a_panel_and_a_query_say_where_nothing_is_no_fault() -> None:
    override = {
        "matcher": {"id": "byFrameRefID", "options": "B"},
        "properties": [{"id": "noValue", "value": "no limit is set"}],
    }
    fields = {"defaults": {}, "overrides": [override]}
    one = Panel.model_validate(panel("stat", "up", "down", fieldConfig=fields))
    assert [one.if_empty(ref) for ref in "AB"] == [None, "no limit is set"]
    every = Panel.model_validate(panel("stat", fieldConfig=defaults(noValue="No alert fires")))
    assert every.if_empty("A") == "No alert fires"
