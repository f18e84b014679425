"""Pipeline stages: what becomes of a line, its time and its labels, and which settings are refused."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from standins.promtail.stages import Entry, Pipeline

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
        ("{longer_than: 1KB}", False),
        ("{older_than: 24h}", True),
        ("{older_than: 24h, expression: 'nothing'}", False),
    ],
)
def test_drop(settings: str, dropped: bool) -> None:
    entry = run(f"[{{drop: {settings}}}]", a="1", b="2")
    assert (entry.drop_reason == "drop_stage") is dropped


@pytest.mark.parametrize(
    ("stages", "line", "expected"),
    [
        ("[{decolorize: }]", "\x1b[1;31mred\x1b[0m \x1b]0;title\x07text\x1b[K", "red text"),
        (
            "[{replace: {expression: '(secret)=(\\w+)', replace: x}}]",
            "secret=a secret=b",
            "x=x x=x",
        ),
        ("[{replace: {expression: 'no group', replace: x}}]", "no group", "no group"),
        ("[{replace: {expression: '(a)?b', replace: '<{{ .Value }}>'}}]", "ab b", "<a>b b"),
        ("[{replace: {expression: '(.)', source: none, replace: x}}]", "same", "same"),
        (
            "[{template: {source: new, template: '{{ .job }}: {{ .Entry }}'}}, {output: {source: new}}]",
            "text",
            "app: text",
        ),
        (
            "[{template: {source: job, template: '{{ .Value }}!'}}, {output: {source: job}}]",
            "text",
            "app!",
        ),
        ("[{template: {source: job, template: ''}}, {output: {source: job}}]", "text", "text"),
        (
            "[{template: {source: job, template: '{{ ToLower .none }}'}}, {output: {source: job}}]",
            "text",
            "app",
        ),
    ],
)
def test_stages_on_text(stages: str, line: str, expected: str) -> None:
    assert run(stages, line).line == expected


def test_a_group_without_part_in_a_match_is_empty() -> None:
    stages = (
        "[{regex: {expression: '(?P<a>x)?y'}}, {template: {source: b, template: '[{{ .a }}]'}}, "
        "{output: {source: b}}]"
    )
    assert run(stages, "y").line == "[]"


def test_multiline_passes_lines_on_until_the_first_first_line_and_ends_at_its_most_lines() -> None:
    clock = [0.0]
    pipeline = Pipeline([{"multiline": {"firstline": "^#", "max_lines": 3}}], lambda: clock[0])
    lines = ["before", "#1", "", "a", "b", "#2"]
    entries = [
        one for line in lines for one in pipeline.run(Entry(DOCKER_TIME, line, {"job": "app"}))
    ]
    assert [entry.line for entry in entries] == ["before", "#1\n\na", "b"]
    clock[0] = 2.9
    assert not pipeline.flush()
    clock[0] = 3.0
    assert [entry.line for entry in pipeline.flush()] == ["#2"]


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
        # Promtail's parser has no raw strings, though Loki's has.
        ("[{match: {selector: '{a=\"b\"} |= `x`', action: drop}}]", "expecting STRING"),
        ("[{decolorize: {a: b}}]", "it has no settings"),
        ("[{multiline: {}}]", "must define `firstline`"),
        ("[{multiline: {firstline: '('}}]", "error parsing regexp"),
        ("[{template: {template: x}}]", "template source value is required"),
        ("[{template: {source: a, template: '{{ sprig }}'}}]", "no function sprig"),
        ("[{replace: {replace: x}}]", "expression is required"),
        ("{}", "pipeline_stages is not a list"),
    ],
)
def test_settings_that_are_refused(stages: str, error: str) -> None:
    with pytest.raises(ValueError, match=r".") as caught:
        Pipeline(yaml.safe_load(stages))
    assert error in str(caught.value)
