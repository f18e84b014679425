"""Relabeling as in Prometheus: rules that set, keep and drop labels, or drop the target."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from standins.shared.labels import is_name, regex

_KEYS = frozenset({"source_labels", "separator", "regex", "target_label", "replacement", "action"})
_GROUP = re.compile(r"\$(?:(\$)|(\w+)|\{(\w+)\})")


@dataclass(frozen=True, slots=True)
class Rule:
    """One entry of relabel_configs."""

    action: str
    sources: tuple[str, ...]
    separator: str
    pattern: re.Pattern[str]
    target: str
    replacement: str

    def apply(self, labels: dict[str, str]) -> bool:
        """Change the labels in place; return False if the target is dropped."""
        return _ACTIONS[self.action](self, labels)

    def value(self, labels: Mapping[str, str]) -> str:
        """Return the source labels' values, joined."""
        return self.separator.join(labels.get(name, "") for name in self.sources)


def parse(configs: object) -> tuple[Rule, ...]:
    """Read relabel_configs. Raises ValueError."""
    if configs is None:
        return ()
    if not isinstance(configs, list):
        raise ValueError("relabel_configs is not a list")
    return tuple(_rule(config) for config in configs)


def process(rules: Iterable[Rule], labels: Mapping[str, str]) -> dict[str, str] | None:
    """Return the labels after all rules, or None if one of them drops the target."""
    result = dict(labels)
    for rule in rules:
        if not rule.apply(result):
            return None
    return {name: value for name, value in result.items() if value}


def expand(template: str, match: re.Match[str]) -> str:
    """Expand groups in a template as Go does: `$1`, `${1}`, `${name}`, `$$`; a missing group is empty."""

    def group(found: re.Match[str]) -> str:
        if found[1]:
            return "$"
        name = found[2] or found[3]
        key = int(name) if name.isdigit() else name
        try:
            return match[key] or ""
        except (IndexError, KeyError):
            return ""

    return _GROUP.sub(group, template)


def _rule(config: Any) -> Rule:
    if not isinstance(config, dict):
        raise ValueError("relabel_configs: an entry is not a mapping")
    for key in config:
        if key not in _KEYS:
            raise ValueError(f"field {key} not found in type relabel.plain")
    action = str(config.get("action", "replace")).lower()
    if action not in _ACTIONS:
        raise ValueError(f'unknown relabel action "{action}"')
    target = str(config.get("target_label") or "")
    if action in _NEEDS_TARGET and not is_name(_GROUP.sub("x", target)):
        raise ValueError(f"relabel configuration for {action} action requires 'target_label' value")
    pattern = config.get("regex")
    replacement = config.get("replacement")
    return Rule(
        action,
        tuple(str(name) for name in config.get("source_labels") or ()),
        str(config.get("separator", ";")),
        regex("(.*)" if pattern is None else str(pattern)),
        target,
        "$1" if replacement is None else str(replacement),
    )


def _replace(rule: Rule, labels: dict[str, str]) -> bool:
    match = rule.pattern.fullmatch(rule.value(labels))
    if match:
        target = expand(rule.target, match)
        if is_name(target):
            labels[target] = expand(rule.replacement, match)
    return True


def _keep(rule: Rule, labels: dict[str, str]) -> bool:
    return rule.pattern.fullmatch(rule.value(labels)) is not None


def _drop(rule: Rule, labels: dict[str, str]) -> bool:
    return rule.pattern.fullmatch(rule.value(labels)) is None


def _label_map(rule: Rule, labels: dict[str, str]) -> bool:
    for name, value in list(labels.items()):
        if match := rule.pattern.fullmatch(name):
            labels[expand(rule.replacement, match)] = value
    return True


def _label_drop(rule: Rule, labels: dict[str, str]) -> bool:
    for name in list(labels):
        if rule.pattern.fullmatch(name):
            del labels[name]
    return True


def _label_keep(rule: Rule, labels: dict[str, str]) -> bool:
    for name in list(labels):
        if not rule.pattern.fullmatch(name):
            del labels[name]
    return True


def _lower(rule: Rule, labels: dict[str, str]) -> bool:
    labels[rule.target] = rule.value(labels).lower()
    return True


def _upper(rule: Rule, labels: dict[str, str]) -> bool:
    labels[rule.target] = rule.value(labels).upper()
    return True


_ACTIONS: Mapping[str, Callable[[Rule, dict[str, str]], bool]] = {
    "replace": _replace,
    "keep": _keep,
    "drop": _drop,
    "labelmap": _label_map,
    "labeldrop": _label_drop,
    "labelkeep": _label_keep,
    "lowercase": _lower,
    "uppercase": _upper,
}
_NEEDS_TARGET = frozenset({"replace", "lowercase", "uppercase"})
