"""The clients against a real HTTP server: right answers, and every way in which an answer can be wrong."""

from __future__ import annotations

import asyncio
import base64
import copy
import json
import subprocess
import sys
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import parse_qs

import httpx
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from stackctl.clients import base
from stackctl.clients.alertmanager import AlertmanagerClient
from stackctl.clients.base import Exchange
from stackctl.clients.blackbox import BlackboxClient
from stackctl.clients.grafana import DataSource, GrafanaClient
from stackctl.clients.loki import Entry, LokiClient
from stackctl.clients.prometheus import PrometheusClient
from stackctl.clients.prometheus_values import PrometheusValues
from stackctl.errors import ServiceError
from stackctl.values.secret import Secret
from tests.support.http import Reply, as_json, serving

Call = Callable[[str], Awaitable[object]]

AMPLE_SECONDS = 30.0
"""The timeout of a request that is answered: more than any machine needs, however busy it is."""


def prometheus(name: str, *args: Any, **kwargs: Any) -> Call:
    async def call(url: str) -> object:
        async with PrometheusClient(url, timeout=AMPLE_SECONDS) as client:
            return await getattr(client, name)(*args, **kwargs)

    return call


def prometheus_values(name: str, *args: Any) -> Call:
    async def call(url: str) -> object:
        async with PrometheusValues(url, timeout=AMPLE_SECONDS) as client:
            return await getattr(client, name)(*args)

    return call


def alertmanager(name: str) -> Call:
    async def call(url: str) -> object:
        async with AlertmanagerClient(url, timeout=AMPLE_SECONDS) as client:
            return await getattr(client, name)()

    return call


def loki(name: str, *args: Any, **kwargs: Any) -> Call:
    async def call(url: str) -> object:
        async with LokiClient(url, timeout=AMPLE_SECONDS) as client:
            return await getattr(client, name)(*args, **kwargs)

    return call


def grafana(name: str, *args: Any) -> Call:
    async def call(url: str) -> object:
        async with GrafanaClient(url, password=Secret("hush"), timeout=AMPLE_SECONDS) as client:
            return await getattr(client, name)(*args)

    return call


LOKI = DataSource(uid="x", name="Loki", type="loki")

CALLS: dict[str, tuple[str, Call]] = {
    "targets": ("/api/v1/targets", prometheus("targets")),
    "config": ("/api/v1/status/config", prometheus("scrape_configs")),
    "rules": ("/api/v1/rules", prometheus("rule_groups")),
    "alerts": ("/api/v1/alerts", prometheus("alerts")),
    "query": ("/api/v1/query", prometheus("query", "up")),
    "values": ("/api/v1/query", prometheus_values("by_label", "up", "job")),
    "range": ("/api/v1/query_range", prometheus("query_range", "up", start=0, end=1, step=1)),
    "alertmanagers": ("/api/v1/alertmanagers", prometheus("alertmanagers")),
    "metadata": ("/api/v1/targets/metadata", prometheus("metadata", "{}")),
    "label-names": ("/api/v1/labels", prometheus("label_names", "{}", start=0)),
    "build": ("/api/v1/status/buildinfo", prometheus("build_info")),
    "runtime": ("/api/v1/status/runtimeinfo", prometheus("configured")),
    "am-status": ("/api/v2/status", alertmanager("status")),
    "am-route": ("/api/v2/status", alertmanager("route")),
    "am-alerts": ("/api/v2/alerts", alertmanager("alerts")),
    "am-silences": ("/api/v2/silences", alertmanager("silences")),
    "am-receivers": ("/api/v2/receivers", alertmanager("receivers")),
    "loki-labels": ("/loki/api/v1/labels", loki("labels")),
    "loki-lines": ("/loki/api/v1/query_range", loki("query_range", "{}", start=0, end=1)),
    "health": ("/api/health", grafana("health")),
    "user": ("/api/user", grafana("current_user")),
    "sources": ("/api/datasources", grafana("data_sources")),
    "source-health": (
        "/api/datasources/uid/x/health",
        grafana("data_source_health", DataSource(uid="x", name="X", type="loki")),
    ),
    "search": ("/api/search", grafana("search")),
    "dashboard": ("/api/dashboards/uid/x", grafana("dashboard", "x")),
}
EVERY_CALL = pytest.mark.parametrize(("path", "call"), CALLS.values(), ids=CALLS)


SHAPES: dict[str, tuple[Reply, str]] = {
    "500": (Reply(b'{"message": "out of order"}', 500), "500 Internal Server Error: out of order"),
    "wrong": (Reply(b'{"status": 7, "data": 7}'), "unexpected response"),
    "null": (Reply(b"null"), "unexpected response"),
}
NO_JSON = {
    "html": Reply(b"<html>", 200, content_type="text/html"),
    "bytes": Reply(b"\xff\xfe"),
    "empty": Reply(b""),
}
"""Answers that are refused before their shape is looked at, in the same way for every call."""


@pytest.mark.parametrize(
    ("name", "reply", "says"),
    [
        *(
            pytest.param(name, *expected, id=f"{name}-{kind}")
            for name in CALLS
            for kind, expected in SHAPES.items()
        ),
        *(
            pytest.param(name, reply, "unexpected response: the body", id=f"{name}-{kind}")
            for name in ("targets", "am-status", "loki-labels", "health")
            for kind, reply in NO_JSON.items()
        ),
    ],
)
def test_a_wrong_answer_is_one_line_that_names_the_service_and_the_address(
    name: str, reply: Reply, says: str
) -> None:
    path, call = CALLS[name]
    with serving({path: reply}) as server, pytest.raises(ServiceError) as caught:
        asyncio.run(call(server.url))
    message = caught.value.message
    assert says in message
    assert f"{caught.value.service} at {server.url}{path}" in message
    assert "\n" not in message
    assert len(message) < 500
    assert caught.value.remedy == f"stackctl logs {caught.value.service}"


def _status(original: str) -> Reply:
    return as_json(
        {
            "versionInfo": {"version": "0.26.0"},
            "config": {"original": original},
            "cluster": {"status": "disabled"},
            "uptime": "2026-11-23T12:00:00Z",
        }
    )


@pytest.mark.parametrize(
    "original", ["a: [", "", "receivers: 3", "receivers: [{slack_configs: []}]", "[1]", "a: \x00"]
)
def test_a_configuration_of_alertmanager_that_is_none(original: str) -> None:
    with (
        serving({"/api/v2/status": _status(original)}) as server,
        pytest.raises(ServiceError, match="it returned an invalid configuration"),
    ):
        asyncio.run(alertmanager("receiver_configs")(server.url))


def test_the_channels_of_a_receiver() -> None:
    text = "receivers: [{name: a, slack_configs: [{channel: x}], email_configs: []}, {name: b}]"
    with serving({"/api/v2/status": _status(text)}) as server:
        receivers = asyncio.run(alertmanager("receiver_configs")(server.url))
    assert [
        (one.name, one.settings)
        for one in receivers  # type: ignore[attr-defined]
    ] == [("a", {"slack_configs": [{"channel": "x"}], "email_configs": []}), ("b", {})]


@EVERY_CALL
def test_a_service_that_is_not_there(path: str, call: Call) -> None:
    with serving({}) as server:
        url = server.url
    with pytest.raises(ServiceError, match="cannot connect"):
        asyncio.run(call(url))


def test_identical_requests_share_one_response_and_its_evidence() -> None:
    noted: list[list[Exchange]] = []

    async def ask(client: PrometheusClient, query: str) -> object:
        notes: list[Exchange] = []
        base.exchanges.set(notes)
        noted.append(notes)
        return await client.query(query)

    async def several(url: str) -> list[object]:
        async with PrometheusClient(url, shared_seconds=60) as client:
            found = await asyncio.gather(*(ask(client, one) for one in ("up", "up", "1", "up")))
            return [*found, await ask(client, "up")]

    with serving({"/api/v1/query": as_json(VALID["query"])}) as server:
        first, second, other, fourth, later = asyncio.run(several(server.url))
        bodies = [request.body for request in server.requests]
    assert sorted(bodies) == [b"query=1", b"query=up"]
    assert first is second is fourth is later is not other
    assert all(len(notes) == 1 and notes[0].outcome == "ok" for notes in noted)


def test_a_response_is_not_shared_after_its_time() -> None:
    async def twice(url: str) -> None:
        async with PrometheusClient(url, shared_seconds=0.01) as client:
            await client.query("up")
            # A loop's timers end in their order, however busy the machine is.
            await asyncio.sleep(0.1)
            await client.query("up")

    with serving({"/api/v1/query": as_json(VALID["query"])}) as server:
        asyncio.run(twice(server.url))
        assert len(server.requests) == 2


def test_all_who_share_an_answer_get_its_error() -> None:
    async def several(url: str) -> list[object]:
        async with PrometheusClient(url, shared_seconds=60) as client:
            return await asyncio.gather(
                *(client.query("up") for _ in range(2)), return_exceptions=True
            )

    with serving({"/api/v1/query": Reply(b"{}", 500)}) as server:
        answers = asyncio.run(several(server.url))
        assert len(server.requests) == 1
    assert all(isinstance(one, ServiceError) and one.status == 500 for one in answers)


async def clock_skew_within(seconds: float, url: str) -> None:
    async with PrometheusClient(url, timeout=seconds) as client:
        await client.clock_skew()


async def targets_within(seconds: float, url: str) -> None:
    async with PrometheusClient(url, timeout=seconds) as client:
        await client.targets()


def test_a_slow_service_costs_the_timeout_and_no_more() -> None:
    with (
        serving({"/api/v1/targets": Reply(b"{}", delay=20)}) as server,
        pytest.raises(ServiceError, match=r"within 0\.2 s"),
    ):
        asyncio.run(targets_within(0.2, server.url))


BUFFERS = 16 << 20
"""What the kernel's buffers of a connection may take beside what the client reads."""


def test_of_an_endless_body_no_more_is_read_than_a_client_keeps(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(base, "MAX_BODY", 1 << 20)
    with (
        serving({"/api/v1/targets": Reply(b"x" * 65536, endless=True)}) as server,
        pytest.raises(ServiceError, match="larger than 1 MiB"),
    ):
        asyncio.run(targets_within(30, server.url))
    assert 1 << 20 < server.sent < (1 << 20) + BUFFERS


def test_an_endless_trickle_is_cut_off() -> None:
    with (
        serving({"/api/v1/targets": Reply(b" ", endless=True)}) as server,
        pytest.raises(ServiceError, match=r"within 0\.2 s|larger"),
    ):
        asyncio.run(targets_within(0.2, server.url))


ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["status", "data", "result", "resultType", "activeTargets", "labels", "x"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


def data(value: object) -> object:
    return {"status": "success", "data": value}


LABELS = {"job": "a", "service": "b"}
NOW = "2026-01-02T03:04:05Z"
ALERT = {"labels": LABELS, "annotations": {}, "state": "firing", "activeAt": NOW, "value": "1e+00"}
RULE = {
    "name": "R",
    "query": "up",
    "type": "alerting",
    "health": "ok",
    "duration": 60,
    "labels": LABELS,
    "alerts": [ALERT],
}
TARGET = {
    "labels": LABELS,
    "discoveredLabels": {"__address__": "a:1"},
    "scrapeUrl": "http://a:1/metrics",
    "health": "up",
    "lastError": "",
    "lastScrapeDuration": 0.1,
    "scrapeInterval": "15s",
}
AM_STATUS = {
    "versionInfo": {"version": "0.26.0"},
    "config": {"original": "route: {group_wait: 10s, routes: [{matchers: [a = b]}]}"},
    "cluster": {"status": "disabled"},
    "uptime": NOW,
}
SILENCE = {
    "id": "s",
    "status": {"state": "active"},
    "matchers": [{"name": "a", "value": "b", "isRegex": False, "isEqual": True}],
    "startsAt": NOW,
    "endsAt": NOW,
    "createdBy": "me",
    "comment": "c",
}
SOURCE = {"uid": "x", "name": "Loki", "type": "loki", "url": "http://loki:3100"}
STREAM = {"stream": LABELS, "values": [["1700000000000000001", "line"]]}

VALID: dict[str, object] = {
    "targets": data({"activeTargets": [TARGET]}),
    "config": data({"yaml": "scrape_configs: [{job_name: a}]"}),
    "rules": data({"groups": [{"name": "g", "file": "f", "interval": 15, "rules": [RULE]}]}),
    "alerts": data({"alerts": [ALERT]}),
    "query": data({"resultType": "vector", "result": [{"metric": LABELS, "value": [1, "2"]}]}),
    "values": data({"resultType": "vector", "result": [{"metric": LABELS, "value": [1, "2"]}]}),
    "range": data({"resultType": "matrix", "result": [{"metric": LABELS, "values": [[1, "2"]]}]}),
    "alertmanagers": data({"activeAlertmanagers": [{"url": "http://a:9093/api/v2/alerts"}]}),
    "metadata": data([{"target": LABELS, "metric": "a", "type": "gauge", "help": "", "unit": ""}]),
    "label-names": data(["job"]),
    "build": data({"version": "2.48.0"}),
    "runtime": data({"lastConfigTime": NOW}),
    "am-status": AM_STATUS,
    "am-route": AM_STATUS,
    "am-alerts": [
        {
            "labels": LABELS,
            "startsAt": NOW,
            "endsAt": NOW,
            "status": {"state": "active", "silencedBy": [], "inhibitedBy": []},
            "receivers": [{"name": "default"}],
        }
    ],
    "am-silences": [SILENCE],
    "am-receivers": [{"name": "default"}],
    "loki-labels": data(["job"]),
    "loki-lines": data({"resultType": "streams", "result": [STREAM]}),
    "health": {"database": "ok", "version": "10.2.2"},
    "user": {"login": "admin"},
    "sources": [SOURCE],
    "source-health": {"status": "OK", "message": ""},
    "search": [{"uid": "x", "title": "X", "url": "/d/x"}],
    "dashboard": {"dashboard": {"uid": "x", "panels": []}},
}
"""Call → an answer as it is documented."""


def places(value: object) -> list[tuple[object, ...]]:
    """Return the ways to everything in a JSON value, itself first."""
    inner = (
        value.items()
        if isinstance(value, dict)
        else enumerate(value)
        if isinstance(value, list)
        else ()
    )
    return [(), *((key, *rest) for key, one in inner for rest in places(one))]


def with_other(value: Any, place: tuple[Any, ...], other: object) -> Any:
    """Return a JSON value with something else in one place."""
    if not place:
        return other
    changed = copy.copy(value)
    changed[place[0]] = with_other(value[place[0]], place[1:], other)
    return changed


def asked(name: str, content: bytes) -> object:
    """Return what a call makes of a body."""

    async def answer(*_: object, **__: object) -> bytes:
        return content

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(base.HttpClient, "_request", answer)
        return asyncio.run(CALLS[name][1]("http://x"))


@pytest.mark.parametrize("name", CALLS)
def test_an_answer_as_documented_is_taken(name: str) -> None:
    assert asked(name, json.dumps(VALID[name]).encode())


@settings(max_examples=150, deadline=None)
@given(st.data(), st.sampled_from(sorted(CALLS)))
def test_an_answer_that_is_wrong_in_one_place_gives_a_value_or_a_service_error(
    drawn: st.DataObject, name: str
) -> None:
    place = drawn.draw(st.sampled_from(places(VALID[name])))
    wrong = with_other(VALID[name], place, drawn.draw(ANY_JSON))
    try:
        asked(name, json.dumps(wrong).encode())
    except ServiceError as error:
        assert "\n" not in error.message


@settings(max_examples=50, deadline=None)
@given(st.text(max_size=60) | ANY_JSON.map(json.dumps))
@example("scrape_configs: [{job_name: 2001-99-99}]")
@example("a: " + "[" * 5000)
def test_any_configuration_text_gives_jobs_or_a_service_error(text: str) -> None:
    answer = {"status": "success", "data": {"yaml": text}}
    with serving({"/api/v1/status/config": as_json(answer)}) as server:
        try:
            configs = asyncio.run(CALLS["config"][1](server.url))
        except ServiceError as error:
            assert "configuration" in error.message
        else:
            assert isinstance(configs, list)


def vector(*samples: object) -> object:
    return {"status": "success", "data": {"resultType": "vector", "result": list(samples)}}


def test_prometheus_values_and_scalars() -> None:
    sample = {"metric": {"job": "a"}, "value": [1.5, "NaN"]}
    with serving({"/api/v1/query": as_json(vector(sample))}) as server:
        found = asyncio.run(CALLS["query"][1](server.url))
        assert isinstance(found, list)
        assert found[0].metric == {"job": "a"}
        assert found[0].value[1] != found[0].value[1]
        server.routes["/api/v1/query"] = as_json(
            {"status": "success", "data": {"resultType": "scalar", "result": [1, "+Inf"]}}
        )
        found = asyncio.run(CALLS["query"][1](server.url))
        assert isinstance(found, list)
        assert found[0].value == (1.0, float("inf"))
        assert server.requests[-1].method == "POST"


def test_targets_without_any_type_are_no_error() -> None:
    missing = {"status": "error", "errorType": "not_found", "error": "specified metadata not found"}
    with serving({"/api/v1/targets/metadata": as_json(missing, 404)}) as server:
        assert asyncio.run(CALLS["metadata"][1](server.url)) == []
        (request,) = server.requests
    assert request.query == "match_target=%7B%7D"


@pytest.mark.parametrize(
    ("page", "outcome"),
    [
        ("probe_success 1\nprobe_failed_due_to_regex 0\n", "success"),
        ("probe_success 0\nprobe_failed_due_to_regex 1\n", "mismatch"),
        ("probe_success 0\nprobe_failed_due_to_regex 0\n", "failure"),
        ("probe_success 0\n", "failure"),
    ],
)
def test_the_outcome_of_a_probe(page: str, outcome: str) -> None:
    with serving({"/probe": Reply(page.encode())}) as server:
        assert asyncio.run(probe(server.url)) == outcome
        (request,) = server.requests
    assert parse_qs(request.query) == {"module": ["m"], "target": ["http://a:1/metrics?x=y&z"]}


@pytest.mark.parametrize("page", ["", "probe_success\n", "<html>"])
def test_a_probe_without_a_result_is_a_service_error(page: str) -> None:
    with serving({"/probe": Reply(page.encode())}) as server, pytest.raises(ServiceError) as caught:
        asyncio.run(probe(server.url))
    assert "probe_success" in caught.value.message


async def probe(url: str) -> str:
    async with BlackboxClient(url, timeout=AMPLE_SECONDS) as client:
        return await client.probe("http://a:1/metrics?x=y&z", "m")


def test_grafana_logs_in_and_tells_a_refused_password() -> None:
    with serving(
        {"/api/user": as_json({"message": "Invalid username or password"}, 401)}
    ) as server:
        with pytest.raises(ServiceError) as caught:
            asyncio.run(CALLS["user"][1](server.url))
        assert caught.value.status == 401
        assert "hush" not in caught.value.message
        sent = server.requests[0].headers["Authorization"]
        assert base64.b64decode(sent.removeprefix("Basic ")) == b"admin:hush"


async def lost_within(seconds: float, url: str) -> None:
    async with LokiClient(url, timeout=seconds) as client:
        await client.round_trip("marker")


def test_loki_round_trip_needs_the_line_back_from_a_query() -> None:
    lines: list[tuple[str, str]] = []

    def push(request: Any) -> Reply:
        for stream in json.loads(request.body)["streams"]:
            lines.extend((value[0], value[1]) for value in stream["values"])
        return Reply(status=204)

    def query(_: Any) -> Reply:
        streams = [{"stream": {}, "values": [list(line)]} for line in lines]
        return as_json({"status": "success", "data": {"resultType": "streams", "result": streams}})

    with serving({"/loki/api/v1/push": push, "/loki/api/v1/query_range": query}) as server:
        asyncio.run(loki("round_trip", "marker")(server.url))
        assert lines[0][1] == "marker"
        server.routes["/loki/api/v1/push"] = Reply(status=204)
        lines.clear()
        with pytest.raises(ServiceError, match=r"did not return a pushed line within 0\.2 s"):
            asyncio.run(lost_within(0.2, server.url))


def test_loki_gives_lines_with_nanoseconds() -> None:
    body = {"stream": {"job": "a"}, "values": [["1700000000000000001", "one"]]}
    answer = as_json({"status": "success", "data": {"resultType": "streams", "result": [body]}})
    with serving({"/loki/api/v1/query_range": answer}) as server:
        found = asyncio.run(CALLS["loki-lines"][1](server.url))
    assert isinstance(found, list)
    assert found[0].entries == [Entry(1700000000000000001, "one")]


METRICS = b"""
alertmanager_notification_requests_total{integration="slack",receiver_name="a}b"} 7
alertmanager_notification_requests_total{integration="slack",receiver_name="c"} 1
alertmanager_notification_requests_total{integration="email"} 2
alertmanager_notification_requests_failed_total{integration="slack"} 3
alertmanager_notifications_total{integration="slack"} 99
"""


def test_what_was_delivered_is_what_was_asked_and_did_not_fail() -> None:
    with serving({"/metrics": Reply(METRICS)}) as server:
        assert asyncio.run(alertmanager("delivered")(server.url)) == {"slack": 5, "email": 2}
        server.routes["/metrics"] = Reply(METRICS.replace(b"} 7", b"} many"))
        with pytest.raises(ServiceError, match=r"malformed sample of .*_requests_total: '"):
            asyncio.run(alertmanager("delivered")(server.url))


@pytest.mark.parametrize("value", ["NaN", "+Inf", "-Inf", "9" * 400])
def test_a_counter_without_a_number_is_a_service_error(value: str) -> None:
    page = METRICS.replace(b"} 7", f"}} {value}".encode())
    with (
        serving({"/metrics": Reply(page)}) as server,
        pytest.raises(ServiceError, match="alertmanager_notification_requests_total") as caught,
    ):
        asyncio.run(alertmanager("delivered")(server.url))
    assert "\n" not in caught.value.message


def test_metrics_are_parsed_without_loading_the_parser_before() -> None:
    code = (
        "import sys, stackctl.clients.base, stackctl.cli; print('prometheus_client' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_a_clock_that_never_answers_costs_the_timeout() -> None:
    with (
        serving({"/metrics": Reply(delay=20)}) as server,
        pytest.raises(ServiceError, match=r"no response within 0\.2 s"),
    ):
        asyncio.run(clock_skew_within(0.2, server.url))


@settings(max_examples=60, deadline=None)
@given(st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=40))
@example("Mon, 01 Jan 99999999999999999999 00:00:00 GMT")
@example("Fri, 02 Jan 2026 03:04:05")
@example("Fri, 02 Jan 2026 03:04:05 -0000")
@example("Fri, 02 Jan 0001 03:04:05 +9999")
def test_any_date_gives_seconds_or_a_service_error(date: str) -> None:
    async def ask() -> float:
        async with PrometheusClient("http://x") as client:
            client._client = httpx.AsyncClient(
                transport=httpx.MockTransport(lambda _: httpx.Response(200, headers={"Date": date}))
            )
            return await client.clock_skew()

    try:
        assert isinstance(asyncio.run(ask()), float)
    except ServiceError as error:
        assert "has no Date" in error.message
