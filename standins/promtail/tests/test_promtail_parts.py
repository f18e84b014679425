"""Relabelling, the engine's frames, the cursor and the positions file."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from aiohttp import web
from aiohttp.test_utils import TestServer
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from standins.promtail import config, program, relabel, targets
from standins.promtail.client import Client, ClientConfig, LineLimit
from standins.promtail.demux import Demultiplexer, Message, ProtocolError
from standins.promtail.metrics import Metrics
from standins.promtail.positions import Positions
from standins.promtail.program import PROMTAIL, Program
from standins.promtail.stages import Entry, Pipeline
from standins.shared.process import ConfigError

CONFIG = Path("infrastructure/monitoring/loki/promtail-config.yml")
SECOND = 1_000_000_000
LABELS = {"__meta_name": "/web-1", "__meta_label_team": "blue", "keep_me": "yes"}


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        (
            {"source_labels": ["__meta_name"], "regex": "/(.*)", "target_label": "name"},
            {"name": "web-1"},
        ),
        ({"source_labels": ["__meta_name"], "regex": "web", "target_label": "name"}, {}),
        (
            {"source_labels": ["__meta_name", "keep_me"], "separator": "|", "target_label": "x"},
            {"x": "/web-1|yes"},
        ),
        ({"target_label": "fixed", "replacement": "v$$"}, {"fixed": "v$"}),
        (
            {
                "source_labels": ["__meta_name"],
                "regex": "/(?P<n>\\w+)-.*",
                "target_label": "x",
                "replacement": "${n}s",
            },
            {"x": "webs"},
        ),
        ({"action": "labelmap", "regex": "__meta_label_(.+)"}, {"team": "blue"}),
        ({"action": "labeldrop", "regex": "keep_.*"}, {"keep_me": None}),
        ({"action": "labelkeep", "regex": "keep_.*"}, {"__meta_name": None}),
        ({"source_labels": ["missing"], "target_label": "keep_me"}, {"keep_me": None}),
    ],
)
def test_relabelling(rule: dict[str, Any], expected: dict[str, str | None]) -> None:
    result = relabel.process(relabel.parse([rule]), LABELS)
    assert result is not None
    wanted: dict[str, str | None] = {**LABELS, **expected}
    if rule.get("action") == "labelkeep":
        wanted = {"keep_me": "yes"}
    assert result == {name: value for name, value in wanted.items() if value is not None}


def test_the_shipped_rules_give_a_line_the_labels_that_it_is_found_by() -> None:
    config = yaml.safe_load(CONFIG.read_text(encoding="utf-8"))
    (scrape,) = config["scrape_configs"]
    container = {
        "__meta_docker_container_id": "0f3a",
        "__meta_docker_container_name": "/dev-kong",
        "__meta_docker_container_label_com_docker_compose_service": "kong",
        "__meta_docker_container_label_stackctl_image": "kong:3.4",
        "__meta_docker_container_log_stream": "stderr",
    }
    result = relabel.process(relabel.parse(scrape["relabel_configs"]), container)
    assert result is not None
    assert {name: value for name, value in result.items() if not name.startswith("__")} == {
        "job": "kong",
        "service": "kong",
        "container_name": "dev-kong",
        "image": "kong:3.4",
        "stream": "stderr",
    }


@pytest.mark.parametrize(
    ("action", "regex", "kept"),
    [
        ("keep", "/web-1", True),
        ("keep", "/web", False),
        ("drop", "/web", True),
        ("drop", "/web.*", False),
    ],
)
def test_keep_and_drop_are_anchored(action: str, regex: str, kept: bool) -> None:
    rule = {"source_labels": ["__meta_name"], "action": action, "regex": regex}
    assert (relabel.process(relabel.parse([rule]), LABELS) is not None) is kept


@pytest.mark.parametrize(
    ("rule", "error"),
    [
        ({"action": "explode"}, "unknown relabel action"),
        ({"source_label": ["x"]}, "field source_label not found"),
        ({"source_labels": ["x"]}, "requires 'target_label'"),
        ({"target_label": "x", "regex": "("}, "error parsing regexp"),
    ],
)
def test_relabelling_that_is_refused(rule: dict[str, Any], error: str) -> None:
    with pytest.raises(ValueError, match=r".") as caught:
        relabel.parse([rule])
    assert error in str(caught.value)


def frame(stream: int, text: str) -> bytes:
    content = f"2025-11-18T12:00:00.00000000{stream}Z {text}".encode()
    return struct.pack(">BxxxI", stream, len(content)) + content


@given(st.lists(st.integers(1, 60), max_size=30))
def test_frames_come_apart_wherever_they_are_cut(sizes: list[int]) -> None:
    stream = frame(1, "out é\n") + frame(2, "error\n") + frame(1, "long ") + frame(2, "between\n")
    # The engine dates each part of a long line, and Promtail keeps the later dates as text.
    stream += frame(1, "line\n") + frame(1, "\n")
    demultiplexer = Demultiplexer(terminal=False)
    found: list[Message] = []
    for size in [*sizes, len(stream)]:
        found += demultiplexer.feed(stream[:size])
        stream = stream[size:]
    assert [(one.stream, one.line) for one in found] == [
        ("stdout", "out é"),
        ("stderr", "error"),
        ("stderr", "between"),
        ("stdout", "long 2025-11-18T12:00:00.000000001Z line"),
        ("stdout", ""),
    ]
    assert found[0].time == 1_763_467_200 * SECOND + 1


def test_a_terminals_output_is_lines() -> None:
    demultiplexer = Demultiplexer(terminal=True)
    first = list(demultiplexer.feed(b"2025-11-18T12:00:00Z one\r\n2025-11-18T12:0"))
    second = list(demultiplexer.feed(b"0:01Z two\r\nno time\r\n"))
    assert [(one.stream, one.line) for one in first + second] == [
        ("stdout", "one"),
        ("stdout", "two"),
    ]
    assert demultiplexer.errors == 1


def test_what_is_no_frame_is_refused() -> None:
    with pytest.raises(ProtocolError):
        list(Demultiplexer(terminal=False).feed(b"HTTP/1.1 200 OK\r\n"))


@pytest.mark.parametrize(
    ("truncate", "sent", "counter"),
    [
        (True, ["four", "long", "\u00e9\u00e9", "e\u00e9"], "promtail_mutated_entries_total"),
        (False, ["four"], "promtail_dropped_entries_total"),
    ],
)
def test_a_line_over_the_limit_is_cut_or_dropped(
    truncate: bool, sent: list[str], counter: str
) -> None:
    registry = CollectorRegistry()
    settings = ClientConfig("http://loki/push", 0, 1 << 20, SECOND, 0, 0, 0, {}, {})
    pushed: list[str] = []

    async def take(request: web.Request) -> web.Response:
        (stream,) = (await request.json())["streams"]
        pushed.extend(line for _, line in stream["values"])
        return web.Response(status=204)

    async def run() -> None:
        app = web.Application()
        app.router.add_post("/push", take)
        async with TestServer(app) as server:
            own = replace(settings, url=str(server.make_url("/push")))
            client = Client(own, Metrics(registry, PROMTAIL), PROMTAIL, LineLimit(4, truncate))
            # The last one's character at the limit is cut in two.
            for line in ("four", "longer", "\u00e9\u00e9\u00e9", "e\u00e9\u00e9"):
                await client.put(Entry(1, line, {"job": "a"}))
            await client.drain([])

    asyncio.run(run())
    assert pushed == sent
    counted = [
        sample.value
        for metric in registry.collect()
        for sample in metric.samples
        if sample.name == counter and sample.labels["reason"] == "line_too_long"
    ]
    assert counted == [3.0]


@pytest.mark.parametrize(("collector", "read"), [(PROMTAIL, 3), (program.alloy("w", "s"), 2)])
def test_only_promtail_reads_a_line_with_nothing_in_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, collector: Program, read: int
) -> None:
    async def messages(*_: object) -> AsyncIterator[Message]:
        for line in ("one", "", "two"):
            yield Message("stdout", SECOND, line)

    monkeypatch.setattr(targets, "_messages", messages)
    registry = CollectorRegistry()
    sink = targets.Sink([], Positions(tmp_path / "p"), Metrics(registry, collector), collector)
    scrape = config.Scrape("docker", Pipeline([], lambda: 0.0), (), (), ())
    docker: Any = None

    async def run() -> None:
        target = sink.target(scrape, "1", "one", "")
        await targets._read(docker, scrape, sink, "1", target, {"stdout": {"job": "a"}})

    asyncio.run(run())
    name = f"{collector.reading}_entries_total"
    assert registry.get_sample_value(name, dict(collector.reading_labels)) == read


@pytest.mark.parametrize(
    ("limits", "error"),
    [
        ({"max_line_size": "large"}, "not a valid size"),
        ({"max_line_size": "1KiB"}, "not a valid size"),
        ({"readline_rate": 5}, "limits_config: the stand-in has no readline_rate"),
    ],
)
def test_limits_that_are_refused(tmp_path: Path, limits: dict[str, object], error: str) -> None:
    document = yaml.safe_load(CONFIG.read_text(encoding="utf-8"))
    path = tmp_path / "promtail.yml"
    path.write_text(yaml.safe_dump(document), encoding="utf-8")
    assert config.load(path).line_limit == LineLimit(256 << 10, True)
    path.write_text(yaml.safe_dump({**document, "limits_config": limits}), encoding="utf-8")
    with pytest.raises(ConfigError, match=error):
        config.load(path)


def test_positions_are_kept_as_promtail_keeps_them(tmp_path: Path) -> None:
    path = tmp_path / "positions.yaml"
    positions = Positions(path)
    positions.save()
    assert not path.exists()
    positions.put("a", "{}", 12)
    positions.put("b", "{}", 1)
    positions.forget("b")
    positions.save()
    assert yaml.safe_load(path.read_text(encoding="utf-8")) == {"positions": {"cursor-a": "12"}}
    assert path.stat().st_mode & 0o777 == 0o600
    assert [*tmp_path.iterdir()] == [path]
    again = Positions(path)
    assert (again.get("a", "other"), again.get("b", "{}")) == (12, None)


def test_alloy_keeps_positions_by_container_and_labels(tmp_path: Path) -> None:
    path = tmp_path / "loki.source.docker.docker" / "positions.yml"
    positions = Positions(path, labelled=True)
    positions.put("a", '{job="x"}', 12)
    positions.put("b", '{job="y"}', 13)
    positions.save()
    again = Positions(path, labelled=True)
    assert again.get("a", '{job="x"}') == 12
    assert again.get("a", '{job="y"}') is None
    again.forget("a")
    again.save()
    assert Positions(path, labelled=True).get("a", '{job="x"}') is None


def test_what_an_earlier_stand_in_left_among_the_positions_is_no_error(tmp_path: Path) -> None:
    path = tmp_path / "positions.yaml"
    path.write_text('positions: {standin-cursor-a: "12+3"}\n', encoding="utf-8")
    assert Positions(path).get("a", "") is None


@pytest.mark.parametrize("text", ["positions: [", "positions: 1", "[]"])
def test_a_broken_positions_file_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "positions.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match="invalid yaml positions file"):
        Positions(path)
