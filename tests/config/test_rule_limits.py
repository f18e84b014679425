"""Each limit of an alert, and its time, is held by the unit tests from both sides: moved a little, they fail."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, ClassVar

import pytest
import yaml

from stackctl.values.durations import format_duration, parse_duration
from tests.support.tools import said_in_folders

pytestmark = pytest.mark.docker

PROMETHEUS = Path("infrastructure/monitoring/prometheus")
FILES = sorted(path.stem for path in (PROMETHEUS / "alerts").glob("*.yml"))


class _Loader(yaml.SafeLoader):
    """Takes `0x20` of a series, twenty times 0, for text as promtool does, and not for a number."""

    yaml_implicit_resolvers: ClassVar = {
        first: [(tag, pattern) for tag, pattern in known if tag != "tag:yaml.org,2002:int"]
        for first, known in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:int", re.compile(r"[-+]?(0|[1-9]\d*)$"), list("-+0123456789")
)

TESTS = {
    path.name: yaml.load(path.read_text(encoding="utf-8"), Loader=_Loader)  # noqa: S506 - it is a safe one
    for path in sorted((PROMETHEUS / "tests").glob("alerts-*.yml"))
}

_Dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)

Rule = dict[str, Any]
Document = dict[str, Any]

_LIMIT = re.compile(r"(==|!=|>=|<=|>|<)\s*(\d+(?:\.\d+)?)(?![\w.\]])")
_OF_THE_CALENDAR = re.compile(r"\b(day_of_week|hour)\(\)[^()]*$")


def moved_limits(expr: str) -> Iterator[tuple[str, str]]:
    """Return what is moved, and the expression with it, for each number that something is compared to."""
    for found in _LIMIT.finditer(expr):
        sign, limit = found[1], float(found[2])
        whole = _OF_THE_CALENDAR.search(expr[: found.start()])
        if sign in {"==", "!="}:
            moved = [limit + 1]
        elif whole or (sign in {">=", "<="} and limit.is_integer()):
            # What is counted comes in whole numbers too.
            moved = [limit - 1, limit + 1]
        elif limit:
            moved = [0.9 * limit, 1.1 * limit]
        else:
            # One of 0 has nothing a little below it: those guard a share against a division by it.
            moved = []
        for value in moved:
            number = f"{value:.12g}"
            yield (
                f"{found[0]} to {number}",
                f"{expr[: found.start(2)]}{number}{expr[found.end(2) :]}",
            )


def mutants(rule: Rule, step: float) -> Iterator[tuple[str, Rule]]:
    """Return every way to move a limit or the time of an alert a little; `step` is that of its tests, in seconds."""
    for what, expr in moved_limits(rule["expr"]):
        yield f"{rule['alert']}: {what}", {**rule, "expr": expr}
    lasts = parse_duration(rule.get("for", "0s"))
    for moved in (lasts - step, lasts + step):
        if moved >= 0:
            what = f"{rule['alert']}: for {lasts:.0f} s to {moved:.0f} s"
            yield what, {**rule, "for": format_duration(moved)}


def cases_of(alert: str) -> dict[str, Document]:
    """Return the test files with an alert's own cases only."""
    found: dict[str, Document] = {}
    for name, document in TESTS.items():
        tests = [
            {**test, "alert_rule_test": cases, "promql_expr_test": []}
            for test in document["tests"]
            if (
                cases := [
                    case for case in test.get("alert_rule_test", ()) if case["alertname"] == alert
                ]
            )
        ]
        if tests:
            found[name] = {**document, "tests": tests}
    return found


def asked_of_each(document: Document, names: Iterable[str]) -> Document:
    """Return a test file in which every alert of these names must pass the cases that are in it."""
    tests = [
        {
            **test,
            "alert_rule_test": [
                {**case, "alertname": name} for name in names for case in test["alert_rule_test"]
            ],
        }
        for test in document["tests"]
    ]
    return {**document, "tests": tests}


def write(
    folder: Path,
    file: str,
    group: str,
    variants: Mapping[str, list[Rule]],
    tests: dict[str, Document],
) -> None:
    """Write a folder in which promtool can try variants of one alert, all rules of its name, side by side.

    A variant has a name of its own, by which no rule reads it.
    """
    shutil.copytree(PROMETHEUS / "recording-rules", folder / "recording-rules")
    rules = [{**rule, "alert": name} for name, rules in variants.items() for rule in rules]
    alone = {"groups": [{"name": group, "rules": rules}]}
    documents = {f"alerts/{file}.yml": alone}
    documents |= {f"tests/{name}": asked_of_each(test, variants) for name, test in tests.items()}
    for name, document in documents.items():
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        text = yaml.dump(document, Dumper=_Dumper, sort_keys=False)
        path.write_text(text, encoding="utf-8")


@pytest.mark.parametrize("file", FILES)
def test_a_limit_that_moves_is_noticed(file: str, tmp_path: Path) -> None:
    document = yaml.safe_load((PROMETHEUS / "alerts" / f"{file}.yml").read_text(encoding="utf-8"))
    whats: dict[str, str] = {}
    folders: list[str] = []
    for group in document["groups"]:
        for alert, rules in by_name(group["rules"]).items():
            tests = cases_of(alert)
            step = min(parse_duration(one["evaluation_interval"]) for one in tests.values())
            # As it is it must pass, or failing would tell nothing.
            variants = {f"{alert}_as_it_is": rules}
            for number, rule in enumerate(rules):
                others = rules[:number] + rules[number + 1 :]
                for what, mutant in mutants(rule, step):
                    name = f"{alert}_{len(variants)}"
                    variants[name] = [mutant, *others]
                    whats[name] = what
            write(tmp_path / alert, file, group["name"], variants, tests)
            folders.append(alert)
    halves = [folders[half::2] for half in (0, 1)]

    def said(half: list[str]) -> str:
        return said_in_folders("promtool", "test rules tests/*.yml", half, folder=tmp_path)

    with ThreadPoolExecutor(2) as pool:
        text = "".join(pool.map(said, halves))
    failed = set(re.findall(r"^ +alertname: (\w+), time: ", text, re.MULTILINE))
    assert {whats.get(name, name) for name in failed ^ whats.keys()} == set(), text[-2000:]


def by_name(rules: Iterable[Rule]) -> dict[str, list[Rule]]:
    """Return the rules of each alert."""
    found: dict[str, list[Rule]] = {}
    for rule in rules:
        found.setdefault(rule["alert"], []).append(rule)
    return found
