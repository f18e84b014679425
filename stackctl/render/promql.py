"""Finds the series that a PromQL or LogQL expression reads, to decide which rules to leave out."""

from __future__ import annotations

import re

_WORDS = frozenset({"and", "or", "unless", "bool", "offset"})
_MATCHER = re.compile(r'\b(?:job|service)\s*=~?\s*"([^"]*)"')


def metric_names(expr: str) -> set[str]:
    """Return the names of the series in an expression: identifiers that are neither label, function nor keyword."""
    text = re.sub(r'"(?:[^"\\]|\\.)*"', "", expr)
    text = re.sub(r"\{[^}]*\}|\[[^\]]*\]", " ", text)
    text = re.sub(r"\b(by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)", " ", text)
    found = re.findall(r"(?<![\w:.])[a-zA-Z_:][\w:]*(?![\w:])(?!\s*\()", text)
    return set(found) - _WORDS


def selected_labels(expr: str) -> set[tuple[str, str]]:
    """Return (series, label) for every label in the selectors of an expression."""
    pairs = set()
    for name, matchers in re.findall(r"([a-zA-Z_:][\w:]*)\{([^}]*)\}", expr):
        pairs |= {(name, label) for label in re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", matchers)}
    return pairs


def selected_jobs(expr: str) -> set[str]:
    """Return the jobs and services in the selectors of an expression, from = and from alternatives in =~."""
    return {name for text in _MATCHER.findall(expr) for name in text.split("|")}
