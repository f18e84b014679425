"""Label sets and matchers, as in Prometheus, Loki and Promtail."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

LabelSet = tuple[tuple[str, str], ...]
"""Names and values, sorted by name so that equal sets are equal keys."""

_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")


def label_set(labels: Mapping[str, str]) -> LabelSet:
    """Return the sorted labels; a label with an empty value does not exist."""
    return tuple(sorted((name, value) for name, value in labels.items() if value))


def show(labels: Iterable[tuple[str, str]]) -> str:
    """Format labels as `{name="value", …}`."""
    return "{" + ", ".join(f"{name}={quote(value)}" for name, value in labels) + "}"


def quote(text: str) -> str:
    """Quote as Go's strconv does, near enough for messages."""
    return json.dumps(text, ensure_ascii=False)


def is_name(text: str) -> bool:
    """Return whether this is a valid label name."""
    return _NAME.fullmatch(text) is not None


def regex(pattern: str) -> re.Pattern[str]:
    """Compile an RE2 expression with Python's engine; use `fullmatch` if the real program anchors it.

    Raises ValueError in RE2's words for an expression that Python rejects too. Nearly every RE2 expression means the
    same here; character classes such as [[:alpha:]] and \\z do not exist in Python 3.13.
    """
    try:
        return re.compile(pattern)
    except re.error as error:
        raise ValueError(f"error parsing regexp: {error.msg}: `{pattern}`") from None


@dataclass(frozen=True, slots=True)
class Matcher:
    """One condition on a label: `name op value` with op one of = != =~ !~. Raises ValueError for a bad expression."""

    name: str
    op: str
    value: str
    matches: Callable[[str], bool] = field(init=False, repr=False, compare=False)
    """Whether a value matches; a missing label has the empty text as its value."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "matches", _condition(self.op, self.value))

    def __str__(self) -> str:
        return f"{self.name}{self.op}{quote(self.value)}"


def _condition(op: str, value: str) -> Callable[[str], bool]:
    if op == "=":
        return lambda text: text == value
    if op == "!=":
        return lambda text: text != value
    anchored = regex(value).fullmatch
    if op == "=~":
        return lambda text: anchored(text) is not None
    if op == "!~":
        return lambda text: anchored(text) is None
    raise ValueError(f"unknown matcher {op}")


def select(matchers: Iterable[Matcher], labels: Mapping[str, str]) -> bool:
    """Return whether the labels match all of the matchers."""
    return all(matcher.matches(labels.get(matcher.name, "")) for matcher in matchers)
