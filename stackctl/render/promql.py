"""As much of PromQL and LogQL as leaving rules out needs: which series an expression reads."""

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
    """Return (series, label) for every label that a selector of the expression matches on."""
    pairs = set()
    for name, matchers in re.findall(r"([a-zA-Z_:][\w:]*)\{([^}]*)\}", expr):
        pairs |= {(name, label) for label in re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", matchers)}
    return pairs


def selected_jobs(expr: str) -> set[str]:
    """Return the jobs and services that selectors of the expression name, with = or as alternatives with =~."""
    return {name for text in _MATCHER.findall(expr) for name in text.split("|")}
