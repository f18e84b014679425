"""`make lint`: the phrases of scripts/wording.yml are found, also across lines, and what replaces them is not."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.support.docs import ROOT

SCRIPT = ROOT / "scripts" / "check_wording.py"


def load() -> ModuleType:
    """Return the script as a module."""
    spec = importlib.util.spec_from_file_location("check_wording", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


wording = load()
PHRASES = wording.read_phrases()
FIRST = PHRASES[0]


@pytest.mark.parametrize("phrase", PHRASES, ids=lambda phrase: phrase.example)
def test_a_phrase_is_found_and_its_replacement_is_not(phrase: Any) -> None:
    assert phrase.pattern.search(phrase.example)
    assert list(wording.found(phrase.write, PHRASES)) == []


def test_a_phrase_is_found_across_the_lines_of_a_comment() -> None:
    phrase = next(one for one in PHRASES if " place " in one.example)
    first, second = phrase.example.split(" place ")
    text = f"# {first}\n  # place {second}.\n"
    ((line, hit, write),) = wording.found(text, PHRASES)
    assert (line, hit.split("# ")[1], write) == (1, "place of", phrase.write)


def test_there_is_no_setting_is_plain_english() -> None:
    assert list(wording.found("If there is no setting, the default counts.", PHRASES)) == []


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return an empty git repository that the script checks."""
    subprocess.run(["git", "init", "--quiet", tmp_path], check=True)
    monkeypatch.setattr(wording, "ROOT", tmp_path)
    return tmp_path


def track(repository: Path, name: str, content: bytes) -> None:
    file = repository / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)
    subprocess.run(["git", "-C", repository, "add", name], check=True)


def test_hits_are_listed_by_file_and_line(
    repository: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    track(repository, "docs/guide.md", f"All is well.\n{FIRST.example}.\n".encode())
    track(repository, "docs/picture.png", b"\x89PNG \xff" + FIRST.example.encode())
    (repository / "untracked.md").write_text(FIRST.example)
    assert wording.main() == 1
    hit = FIRST.pattern.search(FIRST.example)[0]
    assert capsys.readouterr().out == f"docs/guide.md:2: {hit!r}: write {FIRST.write}\n"
