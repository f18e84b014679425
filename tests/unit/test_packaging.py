"""What a stranger and a tool find around the code: pinned dependencies, the license, the version, recipes for CI."""

from __future__ import annotations

import re
import shlex
import tomllib
from collections.abc import Iterator
from typing import Any

import click
import pytest
import yaml
from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.version import Version

import stackctl
from stackctl.cli import cli
from tests.support.docs import ROOT

PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
RECIPES = sorted((ROOT / "docs" / "ci").glob("*.yml"))


def pins(name: str) -> dict[str, Version]:
    """Return the releases that a lock has for this machine's Python."""
    text = (ROOT / name).read_text(encoding="utf-8").replace("\\\n", " ")
    environment = {**default_environment(), "python_full_version": "3.11.0"}
    pinned = {}
    for line in text.splitlines():
        if line.startswith("#"):
            continue
        requirement, _, hashes = line.partition(" --hash=")
        assert "sha256:" in hashes, line
        one = Requirement(requirement)
        if one.marker is None or one.marker.evaluate(environment):
            (specifier,) = one.specifier
            pinned[canonical(one.name)] = Version(specifier.version)
    return pinned


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def group(name: str) -> Iterator[str]:
    for one in PROJECT["dependency-groups"][name]:
        if isinstance(one, dict):
            yield from group(one["include-group"])
        else:
            yield one


@pytest.mark.parametrize(
    ("lock", "wanted"),
    [
        ("requirements.txt", PROJECT["project"]["dependencies"]),
        ("requirements-dev.txt", [*PROJECT["project"]["dependencies"], *group("dev")]),
    ],
)
def test_every_dependency_is_pinned_to_a_release_that_the_project_accepts(
    lock: str, wanted: list[str]
) -> None:
    pinned = pins(lock)
    for one in map(Requirement, wanted):
        assert pinned[canonical(one.name)] in one.specifier, f"{one}: run `make lock`"


def test_both_locks_have_the_same_releases() -> None:
    runtime = pins("requirements.txt")
    assert runtime
    assert runtime.items() <= pins("requirements-dev.txt").items()


def test_the_version_has_one_place_and_the_changelog_speaks_of_it() -> None:
    assert PROJECT["project"]["dynamic"] == ["version"]
    assert (ROOT / PROJECT["tool"]["hatch"]["version"]["path"]).samefile(stackctl.__file__)
    changes = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert stackctl.__version__ in changes
    assert re.search(r"^## \[Unreleased\]$", changes, flags=re.MULTILINE)


def test_the_package_is_typed_and_licensed() -> None:
    assert (ROOT / "stackctl" / "py.typed").is_file()
    assert PROJECT["project"]["license"] == "MIT"
    assert "the bot-core developers" in (ROOT / "LICENSE").read_text(encoding="utf-8")


def test_a_commit_is_checked_by_what_make_lint_runs() -> None:
    (repository,) = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))[
        "repos"
    ]
    (hook,) = repository["hooks"]
    assert hook["entry"].split()[-1] == "lint"


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda path: path.stem)
def test_what_a_recipe_calls_is_a_command_of_ours(recipe: Any) -> None:
    text = recipe.read_text(encoding="utf-8")
    assert yaml.safe_load(text)
    calls = re.findall(
        r"(?:[-;] |run: |\|\| )stackctl (.+?)(?= \|\||;|$)", text, flags=re.MULTILINE
    )
    assert {call.split()[0] for call in calls} >= {"up", "verify", "down"}
    for call in calls:
        arguments = shlex.split(call.partition(" > ")[0])
        command = cli.get_command(click.Context(cli), arguments[0])
        assert command is not None, call
        command.make_context(arguments[0], arguments[1:], resilient_parsing=False)
