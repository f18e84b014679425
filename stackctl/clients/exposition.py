"""Parses Prometheus' text format (prometheus.io/docs/instrumenting/exposition_formats/#text-based-format)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

_MAX_LINE = 8192
"""The parser takes quadratic time in the length of a line."""
_EXCERPT = 60
_NUMBER = r"[0-9]+(?:\.[0-9]+)?(?:e[+-]?[0-9]{1,3})?"
_LABEL = r'[a-zA-Z_][a-zA-Z0-9_]*+="[^"\\]*+"'
_PLAIN = re.compile(
    rf"[a-zA-Z_:][a-zA-Z0-9_:]*+(?:\{{(?P<labels>{_LABEL}(?:,{_LABEL})*+)\}})? (?P<value>{_NUMBER})"
)
"""The usual form of a sample's line: without escapes or a timestamp, and with a finite number as its value."""


@dataclass(frozen=True, slots=True)
class Sample:
    """A sample of a metric: its labels and its value, which may be NaN or infinite."""

    labels: Mapping[str, str]
    value: float


def samples(text: str, metric: str) -> list[Sample]:
    """Return the samples of a metric in a page, in order, including repeated series.

    Other metrics are not parsed. Raises ValueError, with a one-line message, for a malformed sample.
    """
    return [_parse(line, metric) for line in _lines(text, metric)]


def values(text: str, metric: str) -> list[float]:
    """Return the values of the samples of a metric in a page, in their order.

    It does without the parser of labels, whose import takes longer than most commands. Raises ValueError, with a
    one-line message, for a malformed sample.
    """
    found = []
    for line in _lines(text, metric):
        sample = _PLAIN.fullmatch(line)
        names = re.findall(r'(\w+)="[^"]*"', (sample and sample["labels"]) or "")
        # The parser decides on every unusual line.
        usual = len(line) <= _MAX_LINE and len(set(names)) == len(names)
        found.append(float(sample["value"]) if sample and usual else _parse(line, metric).value)
    return found


def _lines(text: str, metric: str) -> Iterator[str]:
    """Yield the lines of a page that have a sample of this metric."""
    of_metric = re.compile(rf"[ \t]*{re.escape(metric)}(?![\w:])")
    return filter(of_metric.match, text.split("\n"))


def _parse(line: str, metric: str) -> Sample:
    # Importing it takes 60 ms, and most commands parse no metrics.
    from prometheus_client.parser import text_string_to_metric_families

    try:
        if len(line) > _MAX_LINE:
            raise ValueError
        (sample,) = (
            one for family in text_string_to_metric_families(line) for one in family.samples
        )
        return Sample(sample.labels, float(sample.value))
    # The parser indexes without bounds checks, and accepts timestamps of any length.
    except (ValueError, IndexError, OverflowError):
        raise ValueError(f"malformed sample of {metric}: {line[:_EXCERPT]!r}") from None
