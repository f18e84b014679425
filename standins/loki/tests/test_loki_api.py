"""The stand-in's HTTP API over a real server: pushes, queries, and the words of its refusals."""

from __future__ import annotations

import asyncio
import gzip
import json
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import snappy  # type: ignore[import-untyped]
import yaml
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from hypothesis import given
from hypothesis import strategies as st

from standins.loki import api, config, wire
from standins.loki.store import Store
from standins.shared.process import ConfigError

SECOND = 1_000_000_000
CONFIG = Path("infrastructure/monitoring/loki/loki-config.yml")
NOW = time.time_ns()

Client = TestClient[web.Request, web.Application]
Scenario = Callable[[Client], Awaitable[None]]


def settings(folder: Path, **limits: object) -> config.Config:
    document = yaml.safe_load(CONFIG.read_text(encoding="utf-8"))
    document["common"]["path_prefix"] = str(folder)
    document["ruler"]["storage"]["local"]["directory"] = str(folder / "rules")
    document["limits_config"].update(limits)
    path = folder / "loki.yml"
    path.write_text(yaml.safe_dump(document), encoding="utf-8")
    return config.load(path)


def serve(folder: Path, scenario: Scenario, **limits: object) -> None:
    async def run() -> None:
        own = settings(folder, **limits)
        store = Store(own.folder, time.time_ns(), retention=own.limits.retention)
        async with TestClient(TestServer(api.application(own, store))) as client:
            await scenario(client)
        store.close()

    asyncio.run(run())


def body(*lines: tuple[int, str], **labels: str) -> bytes:
    values = [[str(at), line] for at, line in lines]
    return json.dumps({"streams": [{"stream": labels, "values": values}]}).encode()


async def push(client: Client, content: bytes, **headers: str) -> tuple[int, str]:
    sent = {"Content-Type": "application/json"} | {
        name.replace("_", "-"): value for name, value in headers.items()
    }
    async with client.post("/loki/api/v1/push", data=content, headers=sent) as answer:
        return answer.status, await answer.text()


async def get(client: Client, path: str, **params: object) -> Any:
    given = {name: str(value) for name, value in params.items()}
    async with client.get(f"/loki/api/v1/{path}", params=given) as answer:
        assert answer.status == 200, await answer.text()
        return (await answer.json()).get("data")


def number(value: int) -> bytes:
    """Encode a number as protocol buffers do: seven bits a byte, the low ones first."""
    if value < 0x80:
        return bytes([value])
    return bytes([value & 0x7F | 0x80]) + number(value >> 7)


def field(place: int, content: bytes) -> bytes:
    return number(place << 3 | 2) + number(len(content)) + content


def message(labels: str, *lines: tuple[int, bytes], extra: bytes = b"") -> bytes:
    """Encode a PushRequest of one stream, as an agent does."""
    stream = field(1, labels.encode())
    for at, line in lines:
        seconds, rest = divmod(at, SECOND)
        stamp = number(1 << 3) + number(seconds) + number(2 << 3) + number(rest)
        stream += field(2, field(1, stamp) + field(2, line) + extra)
    # A hash, which agents send and Loki does not read.
    return field(1, stream + number(3 << 3) + number(1 << 60))


PUSHED = snappy.compress(message('{job="a"}', (NOW, b"pushed")))


def test_lines_come_back_newest_first_and_within_the_limit(tmp_path: Path) -> None:
    lines = [(NOW + number, f"line {number}") for number in range(5)]

    async def scenario(client: Client) -> None:
        assert await push(client, body(*lines, job="a")) == (204, "")
        found = await get(client, "query_range", query='{job="a"}', limit=2)
        assert found["resultType"] == "streams"
        (stream,) = found["result"]
        assert stream["stream"] == {"job": "a"}
        assert stream["values"] == [[str(NOW + 4), "line 4"], [str(NOW + 3), "line 3"]]
        forward = await get(
            client, "query_range", query='{job="a"}', limit=2, direction="forward", start=NOW
        )
        assert [line for _, line in forward["result"][0]["values"]] == ["line 0", "line 1"]

    serve(tmp_path, scenario)


@pytest.mark.parametrize(
    ("start", "end"),
    [
        (NOW, NOW + 1),
        (NOW // SECOND, NOW // SECOND + 1),
        (f"{NOW // SECOND}.000", f"{NOW // SECOND + 1}.5"),
        (
            time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(NOW // SECOND)),
            time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime(NOW // SECOND + 1)),
        ),
    ],
    ids=["nanoseconds", "seconds", "fractions", "RFC 3339"],
)
def test_times_are_read_in_every_form(tmp_path: Path, start: object, end: object) -> None:
    async def scenario(client: Client) -> None:
        await push(client, body((NOW, "x"), (NOW - 3600 * SECOND, "old"), job="a"))
        found = await get(client, "query_range", query='{job="a"}', start=start, end=end)
        assert [line for _, line in found["result"][0]["values"]] == ["x"]

    serve(tmp_path, scenario)


def test_numbers_come_as_a_vector_or_a_matrix(tmp_path: Path) -> None:
    async def scenario(client: Client) -> None:
        await push(client, body((NOW, "x"), (NOW + 1, "y"), job="a", level="info"))
        query = 'sum by (job) (count_over_time({job="a"}[5m]))'
        vector = await get(client, "query", query=query, time=NOW + SECOND)
        assert vector["resultType"] == "vector"
        assert vector["result"][0]["metric"] == {"job": "a"}
        assert vector["result"][0]["value"][1] == "2"
        start, end = NOW // SECOND - 60, NOW // SECOND + 120
        matrix = await get(client, "query_range", query=query, start=start, end=end, step=60)
        assert matrix["resultType"] == "matrix"
        (series,) = matrix["result"]
        assert {value for _, value in series["values"]} == {"2"}
        assert all(at % 60 == 0 for at, _ in series["values"])

    serve(tmp_path, scenario)


def test_lines_at_one_instant_are_those_of_the_30_seconds_before_it(tmp_path: Path) -> None:
    ages = {"before": 30 * SECOND + 1, "oldest": 30 * SECOND, "newest": 1, "at": 0}

    async def scenario(client: Client) -> None:
        await push(client, body(*((NOW - age, line) for line, age in ages.items()), job="a"))
        found = await get(client, "query", query='{job="a"}', time=NOW)
        assert [line for _, line in found["result"][0]["values"]] == ["newest", "oldest"]

    serve(tmp_path, scenario)


@pytest.mark.parametrize(
    ("query", "kind", "result"),
    [
        ("1 + 1", "scalar", [1_700_000_000_001, "2"]),
        ("vector(1) + 1", "vector", [{"metric": {}, "value": [1_700_000_000.001, "2"]}]),
    ],
)
def test_a_number_is_a_scalar_and_its_time_in_whole_milliseconds(
    tmp_path: Path, query: str, kind: str, result: list[object]
) -> None:
    async def scenario(client: Client) -> None:
        found = await get(client, "query", query=query, time=1_700_000_000_001_999_999)
        assert (found["resultType"], found["result"]) == (kind, result)

    serve(tmp_path, scenario)


@pytest.mark.parametrize(
    ("query", "count"),
    [
        ('sum(count_over_time({job="a"} | json [1m]))', "2"),
        ('sum by () (count_over_time({job="a"} | logfmt |= "text" | json [1m]))', "1"),
        ('sum by (job) (count_over_time({job="a"} | json [1m]))', None),
        ('max(count_over_time({job="a"} | json [1m]))', None),
        ('sum(count_over_time({job="a"} | json | level!="x" [1m]))', None),
    ],
)
def test_a_line_that_a_parser_fails_on_is_an_error_where_labels_are_asked_for(
    tmp_path: Path, query: str, count: str | None
) -> None:
    async def scenario(client: Client) -> None:
        await push(client, body((NOW, "text"), (NOW, '{"level": "info"}'), job="a"))
        if count:
            found = await get(client, "query", query=query, time=NOW + SECOND)
            assert found["result"][0]["value"][1] == count
            return
        params = {"query": query, "time": str(NOW + SECOND)}
        async with client.get("/loki/api/v1/query", params=params) as answer:
            assert answer.status == 400
            assert "pipeline error: 'JSONParserErr'" in await answer.text()

    serve(tmp_path, scenario)


def test_labels_values_and_series(tmp_path: Path) -> None:
    async def scenario(client: Client) -> None:
        assert await get(client, "labels") is None
        await push(client, body((NOW, "x"), job="a", level="info"))
        await push(client, body((NOW, "x"), job="b"))
        assert await get(client, "labels") == ["job", "level"]
        assert await get(client, "label/job/values") == ["a", "b"]
        assert await get(client, "label/job/values", query='{level="info"}') == ["a"]
        assert await get(client, "label/none/values") is None
        series = await get(client, "series", **{"match[]": '{job=~"b|c"}'})
        assert series == [{"job": "b"}]

    serve(tmp_path, scenario)


@pytest.mark.parametrize(
    ("content", "headers", "status", "text"),
    [
        (body((NOW, "x"), job="a"), {}, 204, ""),
        (gzip.compress(body((NOW, "x"), job="a")), {"Content_Encoding": "gzip"}, 204, ""),
        (b"no gzip", {"Content_Encoding": "gzip"}, 400, "gzip: invalid header"),
        (b"x", {"Content_Encoding": "lzw"}, 400, '"lzw" not supported'),
        (PUSHED, {"Content_Type": "application/x-protobuf"}, 204, ""),
        (PUSHED, {"Content_Type": "text/plain", "Content_Encoding": "snappy"}, 204, ""),
        (gzip.compress(b" " * (20 << 20)), {"Content_Encoding": "gzip"}, 413, ""),
        (b"", {"Content_Type": "application/x-protobuf"}, 400, "snappy: corrupt input"),
        (body((NOW, "x"), job="a"), {"Content_Type": ""}, 400, "mime: no media type"),
        (b"{", {}, 400, "loghttp.PushRequest"),
        (b'{"streams": 1}', {}, 400, "expects ["),
        (b'{"streams":[{"stream":{"a":"b"},"values":[["x","y"]]}]}', {}, 400, "loghttp.Entry"),
        (body((NOW, "x")), {}, 400, "at least one label pair is required per stream"),
        (body((1, "x"), job="a"), {}, 400, "has timestamp too old: 1970-01-01T00:00:00Z, oldest"),
        (body((NOW + 3600 * SECOND, "x"), job="a"), {}, 400, "has timestamp too new"),
        (body((NOW, "long" * 10), job="a"), {}, 400, "Max entry size '20' bytes exceeded"),
        (body((NOW, "x"), **{"a-b": "c"}), {}, 400, "invalid label name a-b"),
    ],
    ids=[
        "fine",
        "gzip",
        "no-gzip",
        "lzw",
        "protobuf",
        "snappy",
        "large",
        "no-protobuf",
        "no-type",
        "no-json",
        "no-list",
        "no-time",
        "no-labels",
        "too-old",
        "too-new",
        "too-long",
        "bad-name",
    ],
)
def test_what_a_push_is_answered(
    tmp_path: Path, content: bytes, headers: dict[str, str], status: int, text: str
) -> None:
    async def scenario(client: Client) -> None:
        answered, message = await push(client, content, **headers)
        assert answered == status
        assert text in message

    serve(tmp_path, scenario, max_line_size=20, max_line_size_truncate=False)


def test_an_agents_push_is_kept_as_a_json_one_is(tmp_path: Path) -> None:
    async def scenario(client: Client) -> None:
        lines = [(NOW, "é { 1".encode()), (NOW + 1, b"cut \xc3")]
        content = snappy.compress(message('{job="a", level="info"}', *lines))
        assert await push(client, content, Content_Type="application/x-protobuf") == (204, "")
        (stream,) = (await get(client, "query_range", query='{job="a"}'))["result"]
        assert stream["stream"] == {"job": "a", "level": "info"}
        assert stream["values"] == [[str(NOW + 1), "cut \ufffd"], [str(NOW), "é { 1"]]

    serve(tmp_path, scenario)


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (b"\x05abc", "snappy: corrupt input"),
        (b"\xff" * 9, "snappy: corrupt input"),
        (b"\xff\xff\xff\xff\x0f", "are more than the limit"),
        (snappy.compress(b"\x0a\x7f"), "unexpected EOF"),
        (snappy.compress(b"\x0a"), "unexpected EOF"),
        (snappy.compress(b"\xff" * 11), "proto: integer overflow"),
        (snappy.compress(b"\x0b"), "proto: illegal wireType 3"),
        (snappy.compress(field(1, field(2, field(1, b"\x0a\x00")))), "wrong wireType"),
        (snappy.compress(message("{job", (NOW, b"x"))), "couldn't parse labels"),
        (
            snappy.compress(message('{job="a"}', (NOW, b"x"), extra=field(3, b""))),
            "does not keep structured metadata",
        ),
    ],
    ids=[
        "cut-snappy",
        "no-size",
        "large",
        "short",
        "no-length",
        "number",
        "group",
        "time",
        "labels",
        "metadata",
    ],
)
def test_what_is_no_push_request_is_refused(tmp_path: Path, content: bytes, error: str) -> None:
    async def scenario(client: Client) -> None:
        status, text = await push(client, content, Content_Type="application/x-protobuf")
        assert status == 400
        assert error in text

    serve(tmp_path, scenario)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_request_or_a_valueerror(content: bytes) -> None:
    try:
        streams = wire.push_request(snappy.compress(content), 1 << 20)
    except ValueError:
        return
    assert all(isinstance(labels, str) for labels, _ in streams)


def test_a_long_line_is_cut_and_counted(tmp_path: Path) -> None:
    async def scenario(client: Client) -> None:
        assert await push(client, body((NOW, "é" * (200 << 10)), job="a")) == (204, "")
        (stream,) = (await get(client, "query_range", query='{job="a"}'))["result"]
        assert stream["values"] == [[str(NOW), "é" * (128 << 10)]]
        async with client.get("/metrics") as answer:
            exposed = await answer.text()
        assert 'loki_mutated_samples_total{reason="line_too_long",tenant="fake"} 1' in exposed

    serve(tmp_path, scenario)


def test_a_line_too_far_behind_its_stream_is_refused_as_loki_does(tmp_path: Path) -> None:
    newest = NOW // SECOND * SECOND
    hour = 3600 * SECOND

    async def scenario(client: Client) -> None:
        assert (await push(client, body((newest, "new"), job="a")))[0] == 204
        status, text = await push(
            client, body((newest - hour - 1, "re-read"), (newest - hour, "in time"), job="a")
        )
        assert status == 400
        first, second = text.strip().split("\n")
        assert first.startswith("entry with timestamp ")
        assert " +0000 UTC ignored, reason: 'entry too far behind, oldest acceptable" in first
        assert second == "user 'fake', total ignored: 1 out of 2 for stream: {job=\"a\"}"
        assert (await push(client, body((newest - 2 * hour, "other"), job="b")))[0] == 204
        found = await get(client, "query_range", query='{job="a"}', start=newest - 3 * hour)
        assert [line for _, line in found["result"][0]["values"]] == ["new", "in time"]
        async with client.get("/metrics") as answer:
            exposed = await answer.text()
        assert 'loki_discarded_samples_total{reason="too_far_behind",tenant="fake"} 1' in exposed

    serve(tmp_path, scenario)


def test_lines_of_one_push_are_measured_by_those_before_them(tmp_path: Path) -> None:
    async def scenario(client: Client) -> None:
        early, late = (NOW - 5 * 3600 * SECOND, "early"), (NOW, "late")
        assert (await push(client, body(early, late, job="a")))[0] == 204
        assert (await push(client, body(late, early, job="b")))[0] == 400

    serve(tmp_path, scenario)


def test_the_good_lines_of_a_refused_push_are_kept(tmp_path: Path) -> None:
    async def scenario(client: Client) -> None:
        status, _ = await push(client, body((1, "old"), (NOW, "new"), job="a"))
        assert status == 400
        found = await get(client, "query_range", query='{job="a"}', start=0)
        assert found["result"][0]["values"] == [[str(NOW), "new"]]

    serve(tmp_path, scenario, max_query_length="0s")


def test_what_is_refused_for_several_reasons_is_counted_by_reason(tmp_path: Path) -> None:
    async def scenario(client: Client) -> None:
        far = NOW + 3600 * SECOND
        status, text = await push(client, body((1, "x"), (2, "y"), (far, "z"), job="a"))
        assert status == 400
        old, new = text.strip().split("; ")
        assert old.startswith("2 errors like: entry for stream '{job=\"a\"}' has timestamp too old")
        assert new.startswith("1 errors like: entry for stream '{job=\"a\"}' has timestamp too new")

    serve(tmp_path, scenario)


def test_a_push_over_the_rate_is_refused_with_429(tmp_path: Path) -> None:
    async def scenario(client: Client) -> None:
        status, message = await push(client, body((NOW, "x" * 3000), job="a"))
        assert status == 429
        assert "Ingestion rate limit exceeded for user fake" in message

    serve(tmp_path, scenario, ingestion_rate_mb=0.001, ingestion_burst_size_mb=0.001)


@pytest.mark.parametrize(
    ("path", "params", "text"),
    [
        ("query", {"query": '{job="a"'}, "parse error at line 1, col 9: syntax error"),
        ("query_range", {"query": "{}"}, "at least one regexp or equality matcher"),
        ("query_range", {"query": '{a="b"}', "limit": "9999"}, "max entries limit per query"),
        ("query_range", {"query": '{a="b"}', "start": "x"}, "could not parse 'start' parameter"),
        ("query_range", {"query": '{a="b"}', "start": "2", "end": "1"}, "end timestamp must not"),
        ("query_range", {"query": '{a="b"}', "direction": "up"}, "invalid direction 'up'"),
        ("query_range", {"query": 'rate({a="b"}[1m])', "step": "0"}, "zero or negative"),
        ("query_range", {"query": 'rate({a="b"}[1m])', "step": "0.1"}, "maximum resolution"),
    ],
)
def test_what_a_bad_query_is_answered(
    tmp_path: Path, path: str, params: dict[str, str], text: str
) -> None:
    async def scenario(client: Client) -> None:
        async with client.get(f"/loki/api/v1/{path}", params=params) as answer:
            assert answer.status == 400
            assert text in await answer.text()

    serve(tmp_path, scenario)


def test_ready_build_information_rules_configuration_and_metrics(tmp_path: Path) -> None:
    async def scenario(client: Client) -> None:
        async def text(path: str, status: int = 200) -> str:
            async with client.get(path) as answer:
                assert answer.status == status
                return await answer.text()

        assert await text("/ready") == "ready\n"
        build = json.loads(await text("/loki/api/v1/status/buildinfo"))
        assert build["version"] == "2.9.3+standin"
        assert await text("/loki/api/v1/rules", 404) == "no rule groups found\n"
        assert yaml.safe_load(await text("/config"))["auth_enabled"] is False
        await push(client, body((NOW, "four"), job="a"))
        exposed = await text("/metrics")
        assert 'stackctl_standin_info{program="loki"} 1\n' in exposed
        assert 'loki_distributor_lines_received_total{tenant="fake"} 1\n' in exposed
        assert 'loki_distributor_bytes_received_total{tenant="fake"} 4\n' in exposed

    serve(tmp_path, scenario)


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("auth_enabled: false\nservre: {}", "field servre not found"),
        ("auth_enabled: true", "auth_enabled: false"),
        ("auth_enabled: false", "common.path_prefix"),
        ("[1]", "not a mapping"),
        ("a: [", "failed parsing config"),
        (
            "auth_enabled: false\ncommon: {path_prefix: /loki}\nlimits_config: {retention_period: ever}",
            "retention_period",
        ),
    ],
)
def test_a_bad_configuration_is_refused(tmp_path: Path, text: str, error: str) -> None:
    path = tmp_path / "loki.yml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match="failed parsing config") as caught:
        config.load(path)
    assert error in str(caught.value)


def test_a_missing_configuration_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such file"):
        config.load(tmp_path / "none.yml")
