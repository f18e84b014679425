"""Pipeline stages: what becomes of a line, its time and its labels, and which settings are refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from standins.promtail.stages import Entry, Pipeline

CONFIG = Path("infrastructure/monitoring/loki/promtail-config.yml")
SECOND = 1_000_000_000
DOCKER_TIME = 1_700_000_000 * SECOND
LINE = (
    '{"timestamp":"2025-11-18T12:00:00.123456789Z","level":"warn","message":"hello","n":3,"f":2.0,'
    '"deep":{"list":[{"x":"y"}]},"none":null,"yes":true}'
)
TIME = 1_763_467_200 * SECOND + 123_456_789


def run(stages: str, line: str = LINE, **labels: str) -> Entry:
    entry = Entry(DOCKER_TIME, line, {"job": "app"} | labels)
    Pipeline(yaml.safe_load(stages)).run(entry)
    return entry


JSON = "[{json: {expressions: {timestamp: timestamp, level: level, message: message}}}, "


def test_the_projects_own_pipeline() -> None:
    entry = run(
        "[{match: {selector: '{job=\"app\"}', stages: "
        + JSON
        + "{labels: {level: }}, {timestamp: {source: timestamp, format: RFC3339Nano}}, "
        "{output: {source: message}}]}}]"
    )
    assert (entry.time, entry.line) == (TIME, "hello")
    assert entry.labels == {"job": "app", "level": "warn"}


@pytest.mark.parametrize(
    ("job", "line", "level"),
    [
        (
            "prometheus",
            'ts=2025-11-18T12:00:00Z caller=main.go:1 level=warn msg="level=info"',
            "warn",
        ),
        ("grafana", "logger=http t=2025-11-18T12:00:00Z level=error msg=Failed", "error"),
        ("other", 'level="INFO" msg=x', "INFO"),
        ("other", '{"ts":1,"level":"fatal","msg":"x"}', "fatal"),
        ("other", '{"level": "Critical"}', "Critical"),
        ("redis", "1:M 18 Nov 2025 12:00:00.000 * Ready to accept connections", None),
        ("other", "sublevel=error", None),
        ("other", "level=errors", None),
        ("other", "level=7", None),
        # An application's own field decides, wherever a message speaks of a level.
        ("rust-core-engine", '{"message":"level=error","level":"INFO"}', "INFO"),
        ("rust-core-engine", "thread 'main' panicked at src/main.rs:1", None),
    ],
)
def test_the_shipped_pipeline_finds_the_level_in_json_and_logfmt(
    job: str, line: str, level: str | None
) -> None:
    (scrape,) = yaml.safe_load(CONFIG.read_text(encoding="utf-8"))["scrape_configs"]
    entry = Entry(DOCKER_TIME, line, {"job": job})
    Pipeline(scrape["pipeline_stages"]).run(entry)
    assert entry.labels.get("level") == level
    assert entry.drop_reason is None


@pytest.mark.parametrize(
    "line", ["plain text", "[1, 2]", '"text"', "{broken", "", '{"message": "x", "n": NaN}']
)
def test_a_line_that_is_no_object_is_kept_as_it_is(line: str) -> None:
    entry = run(
        JSON + "{labels: {level: }}, {timestamp: {source: timestamp, format: RFC3339Nano}}, "
        "{output: {source: message}}]",
        line,
    )
    assert (entry.time, entry.line, entry.labels) == (DOCKER_TIME, line, {"job": "app"})
    assert entry.drop_reason is None


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("level", "warn"),
        ("n", "3"),
        ("f", "2"),
        ("yes", "true"),
        ("deep.list[0].x", "y"),
        ("deep.list[-1]", '{"x":"y"}'),
        ("none", None),
        ("deep.missing.x", None),
    ],
)
def test_json_paths(expression: str, value: str | None) -> None:
    entry = run(f"[{{json: {{expressions: {{v: '{expression}'}}}}}}, {{labels: {{v: }}}}]")
    assert entry.labels.get("v") == value


@pytest.mark.parametrize(
    ("selector", "matches"),
    [
        ('{job="app"}', True),
        ('{job="ap"}', False),
        ('{job=~"a.*", level!="x"}', True),
        ('{job="app"} |= "hello"', True),
        ('{job="app"} !~ "hel+o"', False),
    ],
)
def test_match(selector: str, matches: bool) -> None:
    stages: list[dict[str, Any]] = [{"static_labels": {"seen": "yes"}}]
    entry = run(yaml.safe_dump([{"match": {"selector": selector, "stages": stages}}]))
    assert ("seen" in entry.labels) is matches
    dropped = run(yaml.safe_dump([{"match": {"selector": selector, "action": "drop"}}]))
    assert (dropped.drop_reason == "match_stage") is matches


@pytest.mark.parametrize(
    ("layout", "text", "time"),
    [
        ("RFC3339", "2025-11-18T12:00:00Z", 1_763_467_200 * SECOND),
        ("RFC3339Nano", "2025-11-18T13:00:00.123456789+01:00", TIME),
        ("Unix", "1763467200", 1_763_467_200 * SECOND),
        ("Unix", "1763467200.5", 1_763_467_200 * SECOND + SECOND // 2),
        ("UnixMs", "1763467200123", 1_763_467_200_123 * 10**6),
        ("UnixUs", "1763467200123456", 1_763_467_200_123_456 * 10**3),
        ("UnixNs", str(TIME), TIME),
        ("2006-01-02 15:04:05.000", "2025-11-18 12:00:00.250", 1_763_467_200_250 * 10**6),
        ("RFC3339", "yesterday", DOCKER_TIME),
        ("Unix", "", DOCKER_TIME),
    ],
)
def test_timestamp_formats(layout: str, text: str, time: int) -> None:
    stages = [
        {"regex": {"expression": "^(?P<at>.*)$"}},
        {"timestamp": {"source": "at", "format": layout}},
    ]
    assert run(yaml.safe_dump(stages), text).time == time


@pytest.mark.parametrize(("action", "offset"), [("fudge", 1), ("skip", None)])
def test_a_time_that_cannot_be_read_follows_the_streams_last(
    action: str, offset: int | None
) -> None:
    stage = {"timestamp": {"source": "at", "format": "Unix", "action_on_failure": action}}
    pipeline = Pipeline([{"regex": {"expression": "^(?P<at>.*)$"}}, stage])
    times = []
    for line in ("1763467200", "none"):
        entry = Entry(DOCKER_TIME, line, {"job": "app"})
        pipeline.run(entry)
        times.append(entry.time)
    expected = DOCKER_TIME if offset is None else times[0] + offset
    assert times[1] == expected


@pytest.mark.parametrize(
    ("stage", "labels"),
    [
        ("labeldrop: [a]", {"job": "app", "b": "2"}),
        ("labelallow: [a]", {"a": "1"}),
        ("static_labels: {c: 3, empty: }", {"job": "app", "a": "1", "b": "2", "c": "3"}),
        ("labels: {d: a}", {"job": "app", "a": "1", "b": "2", "d": "1"}),
    ],
)
def test_stages_on_labels(stage: str, labels: dict[str, str]) -> None:
    assert run(f"[{{{stage}}}]", a="1", b="2").labels == labels


@pytest.mark.parametrize(
    ("settings", "dropped"),
    [
        ("{expression: 'hel+o'}", True),
        ("{expression: 'nothing'}", False),
        ("{source: a, value: '1'}", True),
        ("{source: a, value: '11'}", False),
        ("{source: [a, b], separator: '-', expression: '^1-2$'}", True),
        ("{source: missing}", False),
        ("{longer_than: 10}", True),
        ("{longer_than: 8KB}", False),
        ("{older_than: 24h}", True),
        ("{older_than: 24h, expression: 'nothing'}", False),
    ],
)
def test_drop(settings: str, dropped: bool) -> None:
    entry = run(f"[{{drop: {settings}}}]", a="1", b="2")
    assert (entry.drop_reason == "drop_stage") is dropped


@pytest.mark.parametrize(
    ("stages", "error"),
    [
        ("[{jsn: {}}]", "the stand-in has no stage jsn"),
        ("[{json: {}, labels: {}}]", "must contain only one key"),
        ("[{json: {expressions: {}}}]", "JMES expression is required"),
        ("[{json: {expressions: {a: 'length(b)'}}}]", "the stand-in reads paths such as a.b[0]"),
        ("[{labels: {}}]", "label stage config cannot be empty"),
        ("[{labels: {a-b: }}]", "invalid label name: a-b"),
        ("[{timestamp: {source: a}}]", "timestamp format is required"),
        ("[{timestamp: {source: a, format: Unix, action_on_failure: x}}]", "skip fudge"),
        ("[{output: {}}]", "output source value is required"),
        ("[{regex: {expression: '('}}]", "error parsing regexp"),
        ("[{match: {selector: '{a', stages: []}}]", "parse error at line 1"),
        ("[{match: {selector: '{a=\"b\"}'}}]", "requires at least one additional stage"),
        ("[{drop: {}}]", "must contain at least one of"),
        ("{}", "pipeline_stages is not a list"),
    ],
)
def test_settings_that_are_refused(stages: str, error: str) -> None:
    with pytest.raises(ValueError, match=r".") as caught:
        Pipeline(yaml.safe_load(stages))
    assert error in str(caught.value)
