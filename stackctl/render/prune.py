"""Removes rules and panels that are only about services that are not monitored."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from stackctl.render.promql import metric_names, selected_jobs
from stackctl.services.applications import owners

Rules = Mapping[str, Any]
"""A parsed rule file."""


def about(expr: str, records: Mapping[str, set[str]]) -> set[str]:
    """Return the services that an expression is about; `records` maps each recorded series to its services."""
    names = metric_names(expr)
    found = owners(names, selected_jobs(expr))
    return found.union(*(records[name] for name in names if name in records))


def recorded(files: Iterable[Rules]) -> dict[str, set[str]]:
    """Return recorded series → the services that they are about, including those by way of other recorded series."""
    expressions = {
        rule["record"]: rule["expr"] for file in files for rule in _rules(file) if "record" in rule
    }
    found: dict[str, set[str]] = {name: set() for name in expressions}
    while True:
        wider = {name: about(expr, found) for name, expr in expressions.items()}
        if wider == found:
            return found
        found = wider


def without(
    file: Rules, present: Collection[str], records: Mapping[str, set[str]]
) -> tuple[dict[str, Any], list[str]]:
    """Return the rules without those that are only about unmonitored services, and the names of the removed alerts."""
    removed: list[str] = []
    groups = []
    for group in file["groups"]:
        kept = []
        for rule in group["rules"]:
            if _is_kept(about(rule["expr"], records), present):
                kept.append(rule)
            elif "alert" in rule:
                removed.append(rule["alert"])
        if kept:
            groups.append({**group, "rules": kept})
    return {**file, "groups": groups}, removed


def alert_names(file: Rules) -> set[str]:
    """Return the names of the alerts in a rule file."""
    return {rule["alert"] for rule in _rules(file) if "alert" in rule}


def board_without(
    board: Mapping[str, Any], present: Collection[str], records: Mapping[str, set[str]]
) -> tuple[dict[str, Any] | None, list[str]]:
    """Return a dashboard without such panels, or None if no panel with a query is left, and the removed titles.

    Grafana moves the other panels up by itself.
    """
    removed: list[str] = []
    kept = []
    for panel in board["panels"]:
        services: set[str] = set()
        for target in panel.get("targets", ()):
            services |= about(target["expr"], records)
        if _is_kept(services, present):
            kept.append(panel)
        else:
            removed.append(panel["title"])
    if not any(panel.get("targets") for panel in kept):
        return None, removed
    return {**board, "panels": _without_empty_rows(kept)}, removed


def _without_empty_rows(panels: list[dict[str, Any]]) -> list[dict[str, Any]]:
    following = [*panels[1:], {"type": "row"}]
    return [
        panel
        for panel, after in zip(panels, following, strict=True)
        if panel["type"] != "row" or after["type"] != "row"
    ]


def _is_kept(services: set[str], present: Collection[str]) -> bool:
    return not services or not services.isdisjoint(present)


def _rules(file: Rules) -> Iterable[Mapping[str, Any]]:
    return (rule for group in file["groups"] for rule in group["rules"])
