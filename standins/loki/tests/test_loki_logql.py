"""LogQL: what the parser refuses and how it says so, what the stages do, what the aggregations count."""

from __future__ import annotations

import json
import math

import pytest

from standins.loki.evaluate import Evaluator
from standins.shared.labels import LabelSet, label_set
from standins.shared.logql.lexer import ParseError
from standins.shared.logql.parser import parse
from standins.shared.logql.pipeline import run
from standins.shared.logql.syntax import LogQuery

SECOND = 1_000_000_000


def log(query: str) -> LogQuery:
    parsed = parse(query)
    assert isinstance(parsed, LogQuery)
    return parsed


@pytest.mark.parametrize(
    ("query", "error"),
    [
        ('{job="a"', "parse error at line 1, col 9: syntax error: unexpected $end"),
        ("{job=}", "parse error at line 1, col 6: syntax error: unexpected }, expecting STRING"),
        ('{job="a"} |', "parse error at line 1, col 12: syntax error: unexpected $end"),
        ('{job="a}', "parse error at line 1, col 6: literal not terminated"),
        ('{job="a"}\n|| "b"', "parse error at line 2, col 2: syntax error: unexpected |"),
        ("rate({job='a'}[5m])", "parse error at line 1, col 11: "),
        ('rate({job="a"})', "parse error at line 1, col 15: syntax error: unexpected ), expecting"),
        ('{job=~"("}', "parse error : error parsing regexp: "),
        ('{job=~".*"}', "at least one regexp or equality matcher"),
        ("{}", "at least one regexp or equality matcher"),
        ('topk({job="a"}[1m])', "parameter required for operation topk"),
        ("", "syntax error: unexpected $end"),
    ],
)
def test_a_query_that_is_none_is_refused_with_its_place(query: str, error: str) -> None:
    with pytest.raises(ParseError) as caught:
        parse(query)
    assert error in str(caught.value)


@pytest.mark.parametrize(
    ("selector", "matches"),
    [
        ('{job="api"}', True),
        ('{job="ap"}', False),
        ('{job=~"ap"}', False),
        ('{job=~"ap.*"}', True),
        ('{job=~"web|api"}', True),
        ('{job!="web",job=~".+"}', True),
        ('{job=~".+",job!~"a.i"}', False),
        ('{job="api",other=""}', True),
    ],
)
def test_matchers_are_anchored(selector: str, matches: bool) -> None:
    labels = {"job": "api"}
    query = log(selector)
    assert all(one.matches(labels.get(one.name, "")) for one in query.matchers) is matches


LINE = '{"level":"error","status":503,"took":"2.5s","nested":{"a":true},"gone":null}'


@pytest.mark.parametrize(
    ("stages", "kept"),
    [
        ('|= "error"', True),
        ('|= "Error"', False),
        ('!= "error"', False),
        ('|~ "err[o]r"', True),
        ("|~ `(?i)ERROR`", True),
        ('!~ "5\\\\d\\\\d"', False),
        ('|= "error" != "503"', False),
        ('| json | level="error"', True),
        ('| json | level=~"err"', False),
        ("| json | status >= 500", True),
        ("| json | status < 500", False),
        ("| json | took > 2s", True),
        ('| json | nested_a="true"', True),
        ('| json | gone=""', True),
        ('| json | level="info" or status=503', True),
        ('| json | level="info" and status=503', False),
        ('| json code="status" | code="503"', True),
        ("| json | nothing > 1", False),
    ],
)
def test_stages_keep_or_drop_a_line(stages: str, kept: bool) -> None:
    result = run(log('{job="a"} ' + stages).stages, LINE, {"job": "a"})
    assert result == (LINE if kept else None)


def test_json_adds_labels_and_marks_a_line_that_is_none() -> None:
    labels = {"job": "a", "level": "x"}
    run(log('{job="a"} | json').stages, LINE, labels)
    assert labels["level"] == "x"
    assert labels["level_extracted"] == "error"
    plain = {"job": "a"}
    assert run(log('{job="a"} | json').stages, "plain text", plain) == "plain text"
    assert plain["__error__"] == "JSONParserErr"
    assert plain["__error_details__"].startswith("Value looks like object")


def test_line_format_writes_labels_and_the_line() -> None:
    query = log('{job="a"} | json | line_format "{{.job}} {{ .level }} {{.gone}}: {{__line__}}"')
    assert run(query.stages, LINE, {"job": "a"}) == f"a error : {LINE}"


@pytest.mark.parametrize(
    ("line", "expected"),
    [('{"message":"m","n":{"x":1}}', "a m"), ("plain", "a plain"), ('{"m":1}', 'a {"m":1}')],
)
def test_the_message_of_a_json_line_or_the_line(line: str, expected: str) -> None:
    query = log(
        '{job="a"} | json | drop __error__, __error_details__ '
        '| line_format "{{.job}} {{or .message __line__}}"'
    )
    labels = {"job": "a"}
    assert run(query.stages, line, labels) == expected
    assert not {"__error__", "__error_details__"} & labels.keys()


def test_line_format_on_a_wrong_value_is_an_error_of_the_line() -> None:
    labels = {"job": "a"}
    query = log('{job="a"} | line_format "{{ if gt .job 1 }}x{{ end }}"')
    assert run(query.stages, LINE, labels) == LINE
    assert labels["__error__"] == "TemplateFormatErr"


def test_line_format_refuses_what_it_does_not_know() -> None:
    with pytest.raises(ParseError, match="no function fancy"):
        log('{job="a"} | line_format "{{fancy .level}}"')


@pytest.mark.parametrize(
    ("stage", "left"),
    [
        ("drop b", {"a": "1", "c": "3"}),
        ("drop b, c", {"a": "1"}),
        ('drop a="1", b="x", c=~"."', {"b": "2"}),
        ("drop none", {"a": "1", "b": "2", "c": "3"}),
    ],
)
def test_drop(stage: str, left: dict[str, str]) -> None:
    labels = {"a": "1", "b": "2", "c": "3"}
    assert run(log(f'{{job="a"}} | {stage}').stages, "x", labels) == "x"
    assert labels == left


def test_decolorize() -> None:
    stages = log('{job="a"} | decolorize |= "plain text"').stages
    assert run(stages, "\x1b[38;5;1mplain \x1b[0mtext", {}) == "plain text"


@pytest.mark.parametrize("line", ['{"a": NaN}', '{"a": -Infinity}', '{"a": 1', "[1]", ""])
def test_what_is_no_json_object_for_loki_is_none_here(line: str) -> None:
    labels = {"job": "a"}
    assert run(log('{job="a"} | json').stages, line, labels) == line
    assert labels["__error__"] == "JSONParserErr"
    assert labels["__error_details__"]
    assert "a" not in labels


def evaluated(query: str, at: int) -> dict[LabelSet, float] | float:
    # Stream a has a line a second, stream b one every two seconds; each has ten bytes.
    lines = [
        (second * SECOND, f"{second:010d}", {"app": app, "n": str(second % 2)})
        for app, step in (("a", 1), ("b", 2))
        for second in range(0, 60, step)
    ]

    def load(part: LogQuery, start: int, end: int) -> list[tuple[int, str, LabelSet]]:
        return [
            (time, line, label_set(labels))
            for time, line, labels in lines
            if start < time <= end
            and all(matcher.matches(labels.get(matcher.name, "")) for matcher in part.matchers)
        ]

    parsed = parse(query)
    assert not isinstance(parsed, LogQuery)
    return Evaluator(parsed, at * SECOND, at * SECOND, load, 500).at(at * SECOND)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ('sum(count_over_time({app="a"}[10s]))', {(): 10}),
        ('sum(rate({app="a"}[10s]))', {(): 1}),
        ('sum(bytes_over_time({app="b"}[10s]))', {(): 50}),
        ('sum(bytes_rate({app="b"}[10s]))', {(): 5}),
        (
            'sum by (app) (count_over_time({app=~".+"}[10s]))',
            {(("app", "a"),): 10, (("app", "b"),): 5},
        ),
        (
            'sum without (n) (count_over_time({app=~".+"}[10s]))',
            {(("app", "a"),): 10, (("app", "b"),): 5},
        ),
        ('max(count_over_time({app=~".+"}[10s]))', {(): 5}),
        ('avg(count_over_time({app="a"}[10s]))', {(): 5}),
        ('count(count_over_time({app=~".+"}[10s]))', {(): 3}),
        ('topk(1, sum by (app) (rate({app=~".+"}[10s])))', {(("app", "a"),): 1}),
        ('sum(count_over_time({app="a"}[10s])) / 4 > 2', {(): 2.5}),
        ('sum(count_over_time({app="a"}[10s] offset 55s))', {}),
        ('sum(count_over_time({app="none"}[10s]))', {}),
        ('absent_over_time({app="a"}[10s])', {}),
        ('absent_over_time({app="none",n="1",n!="2"}[10s])', {(("app", "none"),): 1}),
        ('absent_over_time({app="a"}[10s] offset 55s)', {(("app", "a"),): 1}),
        ('sum(absent_over_time({app=~"no.*"}[10s]))', {(): 1}),
        ("2 ^ 3 ^ 2", 512.0),
    ],
)
def test_aggregations(query: str, expected: object) -> None:
    assert evaluated(query, 40) == expected


@pytest.mark.parametrize("query", ['sum(rate({app="a"}[10s])) / 0', "1 / 0", "0 / 0", "1 % 0"])
def test_there_is_no_number_for_a_division_by_zero(query: str) -> None:
    result = evaluated(query, 40)
    assert math.isnan(result if isinstance(result, float) else result[()])


def test_a_window_excludes_its_start_and_includes_its_end() -> None:
    assert evaluated('sum(count_over_time({app="a"}[1s]))', 40) == {(): 1}


def test_strings_are_unquoted_as_go_does() -> None:
    (stage,) = log(r'{job="a"} |= "\t\x41\u00e9\""').stages
    assert run((stage,), json.loads(r'"\tA\u00e9\""'), {}) is not None
