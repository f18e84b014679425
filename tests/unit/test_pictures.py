"""`make pictures` where what it needs is missing."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests import pictures


def test_without_chromium_it_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "argv", ["pictures", "--folder", str(tmp_path)])
    assert pictures.main() == 1
    assert capsys.readouterr().err == "no Chromium here; on Debian: apt-get install chromium\n"
    assert list(tmp_path.iterdir()) == []
