"""The releases that are needed stand in one module; whatever else names them must agree with it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from packaging.version import Version

from stackctl.docker import requirements
from stackctl.images.build import BASE_SUITE

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.parametrize(
    ("printed", "release"),
    [
        ("26.1.5+dfsg1", "26.1.5"),
        ("18.09.1-ce", "18.9.1"),
        ("27.0.0-rc.1", "27"),
        ("4.9.4-rhel", "4.9.4"),
        ("25", "25.0"),
        ("2.9.0", "2.9"),
        ("dev", "0"),
        ("", "0"),
    ],
)
def test_the_release_of_a_printed_version(printed: str, release: str) -> None:
    assert requirements.release(printed) == Version(release)


def test_releases_are_compared_by_number_and_not_by_text() -> None:
    assert requirements.release("2.9.0") < requirements.MINIMUM_COMPOSE
    assert requirements.release("2.100.0") > requirements.MINIMUM_COMPOSE
    assert requirements.release("25") >= requirements.MINIMUM_ENGINE


_ENGINE = requirements.MINIMUM_ENGINE.major
_STATED = {
    "scripts/ensure-docker.sh": (
        rf"MINIMUM_COMPOSE={requirements.MINIMUM_COMPOSE}\n",
        rf"ENGINE_SUITE={BASE_SUITE}\b",
    ),
    "stackctl/topics/engines.md": (
        rf"Docker Engine {_ENGINE} and Docker Compose {requirements.MINIMUM_COMPOSE} or newer",
        rf"It needs Compose {requirements.ADAPTING_COMPOSE}\.\n",
        rf"Podman\*\* {requirements.MINIMUM_PODMAN} or newer",
    ),
    "docs/ENGINES.md": (rf"needs Compose {requirements.ADAPTING_COMPOSE}\b",),
}


@pytest.mark.parametrize(
    ("file", "pattern"), [(file, one) for file, found in _STATED.items() for one in found]
)
def test_scripts_and_documents_state_the_same(file: str, pattern: str) -> None:
    assert re.search(pattern, (ROOT / file).read_text(encoding="utf-8"))


_NAMED = re.compile(r"\b(?:Docker )?(Engine|Compose) (\d+(?:\.\d+)*)\b(?:\+| or newer)")


@pytest.mark.parametrize("file", list(_STATED))
def test_no_other_minimum_is_named(file: str) -> None:
    known = {
        "Engine": {requirements.MINIMUM_ENGINE},
        "Compose": {requirements.MINIMUM_COMPOSE, requirements.ADAPTING_COMPOSE},
    }
    found = _NAMED.findall((ROOT / file).read_text(encoding="utf-8"))
    assert [(name, text) for name, text in found if Version(text) not in known[name]] == []
