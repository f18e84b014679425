"""Durations: Prometheus' own grammar, and the same text back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stackctl.values.durations import format_duration, parse_duration
from tests.support.prometheus_values import DURATIONS


@pytest.mark.parametrize(("text", "seconds"), DURATIONS.items())
def test_a_duration_is_read_as_prometheus_reads_it(text: str, seconds: float | None) -> None:
    if seconds is None:
        with pytest.raises(ValueError, match="expected "):
            parse_duration(text)
    else:
        assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("12h15d", "with units in the order y, w, d, h, m, s, ms"),
        ("293y", "at most 292 years"),
        (f"{'9' * 5000}h", "at most 292 years"),
    ],
)
def test_what_is_wrong_with_a_duration_is_said(text: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        parse_duration(text)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0s"),
        (90, "1m30s"),
        (0.005, "5ms"),
        (90 * 86400, "90d"),
        (14 * 86400, "2w"),
        (31536000, "1y"),
    ],
)
def test_a_duration_is_written_as_prometheus_writes_it(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text


@given(st.integers(0, 9_223_372_036_854))
def test_what_is_written_is_read_as_the_same(milliseconds: int) -> None:
    assert parse_duration(format_duration(milliseconds / 1000)) == milliseconds / 1000
