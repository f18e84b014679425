"""Samples of a metric from a page in Prometheus' text format, and pages that are none."""

from __future__ import annotations

import math
import time

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Gauge, generate_latest

from stackctl.clients.exposition import Sample, samples, values

LABEL_VALUES = st.text(st.characters(blacklist_categories=["Cs"]), max_size=12)
PIECES = st.sampled_from(
    [
        "m",
        "m_total",
        "{",
        "}",
        '"',
        "\\",
        "=",
        ",",
        " ",
        "\t",
        "\n",
        "\r",
        "#",
        "1",
        "NaN",
        "1e999",
        "_",
        "a",
        "\x00",
    ]
)


@settings(deadline=None)
@given(st.dictionaries(st.tuples(LABEL_VALUES, LABEL_VALUES), st.floats(), max_size=5))
def test_what_a_client_library_writes_is_read_back(
    values: dict[tuple[str, str], float],
) -> None:
    registry = CollectorRegistry()
    gauge = Gauge("m", "A gauge\nof two lines", ["a", "b"], registry=registry)
    Gauge("m_other", "Another", registry=registry).set(7)
    for labels, value in values.items():
        gauge.labels(*labels).set(value)
    found = samples(generate_latest(registry).decode(), "m")
    assert {(one.labels["a"], one.labels["b"]): repr(one.value) for one in found} == {
        labels: repr(value) for labels, value in values.items()
    }


def test_series_and_values_of_every_kind() -> None:
    page = 'm 1\nm{a="x\\"}\\\\\\n"} -2.5 1700000000000\nm_total 3\n # m 4\n  m\tNaN\nm +Inf\nm 1\n'
    first, second, nan, *rest = samples(page, "m")
    assert (first, second) == (Sample({}, 1), Sample({"a": 'x"}\\\n'}, -2.5))
    assert math.isnan(nan.value)
    assert rest == [Sample({}, math.inf), Sample({}, 1)]
    assert samples("# TYPE m counter\nm 5\n", "m") == [Sample({}, 5)]


def test_a_malformed_sample_of_another_metric_changes_nothing() -> None:
    assert samples('n{"\nm 1\nm_x many\nmx\n', "m") == [Sample({}, 1)]


@settings(max_examples=400, deadline=None)
@given(
    st.lists(PIECES | st.sampled_from(['{a="1",b="2"} ', "1.5e-05", '"']), max_size=14).map("".join)
)
@example('{a="1",a="2"} 1')
@example('{a="1",} 1')
@example(" 1_0")
@example(" 1.5e+300 1700000000")
def test_values_are_those_of_the_samples(text: str) -> None:
    page = f"m{text}\nm 1\n"
    try:
        expected = [one.value for one in samples(page, "m")]
    except ValueError as error:
        with pytest.raises(ValueError, match="malformed sample of m") as caught:
            values(page, "m")
        assert str(caught.value) == str(error)
    else:
        assert list(map(repr, values(page, "m"))) == list(map(repr, expected))


@settings(max_examples=400, deadline=None)
@given(st.lists(PIECES, max_size=14).map("".join) | st.text(max_size=40))
@example('{a="1",a="2"} 1')
@example('{" ="x"} 1')
@example(f" 1 {'9' * 4000}")
@example(f" {'9' * 4000}")
@example("")
def test_any_text_is_samples_or_an_error_of_one_line(text: str) -> None:
    try:
        found = samples(f"m{text}", "m")
    except ValueError as error:
        assert "malformed sample of m: " in str(error)
        assert "\n" not in str(error)
        assert len(str(error)) < 400
    else:
        assert all(isinstance(one.value, float) for one in found)


@pytest.mark.parametrize("line", ['m{a="' + '\\"' * 2**21 + '"} 1', "m{" + 'a="",' * 2**20 + "} 1"])
def test_an_endless_line_costs_no_time(line: str) -> None:
    began = time.process_time()
    for read in (samples, values):
        with pytest.raises(ValueError, match="malformed sample of m"):
            read(line, "m")
    assert time.process_time() - began < 2
