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
RULES = wording.read_rules()


@pytest.mark.parametrize("phrase", RULES.phrases, ids=lambda phrase: phrase.example)
def test_a_phrase_is_found_and_its_replacement_is_not(phrase: Any) -> None:
    assert phrase.pattern.search(phrase.example)
    assert list(wording.found(phrase.write, RULES.phrases)) == []


def test_a_phrase_is_found_across_the_lines_of_a_comment() -> None:
    text = "# An inbox in the\n  # place of Slack.\n"
    assert list(wording.found(text, RULES.phrases)) == [
        (1, "in the # place of", "instead of, replaces")
    ]


def test_there_is_no_setting_is_plain_english() -> None:
    assert list(wording.found("If there is no setting, the default counts.", RULES.phrases)) == []


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
    track(repository, "docs/guide.md", b"All is well.\nStart it anew.\n")
    track(repository, "docs/picture.png", b"\x89PNG anew \xff")
    (repository / "untracked.md").write_text("anew")
    assert wording.main() == 1
    assert capsys.readouterr().out == "docs/guide.md:2: 'anew': write again\n"


def test_files_that_are_not_yet_clean_are_left_out(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    track(repository, "old/notes.md", b"Start it anew.\n")
    rules = wording.Rules(RULES.phrases, ("^old/",))
    monkeypatch.setattr(wording, "read_rules", lambda: rules)
    assert wording.main() == 0
