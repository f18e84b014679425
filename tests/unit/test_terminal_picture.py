"""`make terminal`: what the README's picture shows was printed, and its checks exist."""

from __future__ import annotations

import html
import re
import subprocess
import sys
from pathlib import Path

import pytest

from stackctl.verify.runner import CHECKS
from tests import terminal


def shown(svg: str) -> list[str]:
    """Return the lines of a picture's terminal."""
    lines: dict[float, str] = {}
    for height, part in re.findall(
        r'<text class="terminal-r\d+" [^>]*y="([\d.]+)"[^>]*>(.*?)</text>', svg
    ):
        text = html.unescape(part).replace("\xa0", " ")
        lines[float(height)] = lines.get(float(height), "") + text
    return [lines[height].strip() for height in sorted(lines)]


def test_a_picture_shows_commands_and_their_colored_output_without_loading_anything() -> None:
    svg = terminal.draw([("stackctl urls", "\n  \x1b[32m✔\x1b[0m It works\n"), ("true", "done")])
    assert [line for line in shown(svg) if line] == [
        "$ stackctl urls",
        "✔ It works",
        "$ true",
        "done",
    ]
    assert "@font-face" not in svg
    assert "url(http" not in svg


def test_a_command_writes_to_a_terminal_of_the_pictures_width() -> None:
    code = "import os, sys; print(os.get_terminal_size().columns, sys.stdout.isatty())"
    assert terminal.run([sys.executable, "-c", code]) == "100 True\n"


def test_after_a_failed_command_nothing_is_drawn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(command: list[str]) -> str:
        raise subprocess.CalledProcessError(3, command)

    monkeypatch.setattr(terminal, "run", fail)
    monkeypatch.setattr(terminal, "PICTURE", tmp_path / "terminal.svg")
    monkeypatch.setattr(sys, "argv", ["terminal"])
    assert terminal.main() == 1
    assert "exit status 3" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_the_readmes_picture_shows_the_checks_that_exist() -> None:
    lines = shown(terminal.PICTURE.read_text(encoding="utf-8"))
    calls = [line for line in lines if line.startswith("$ ")]
    assert calls == [f"$ stackctl {call}" for call in terminal.CALLS]
    checks = {re.split(r": | \(stand-in\)", line[2:])[0] for line in lines if line[:1] == "✔"}
    assert checks == {check.title for check in CHECKS if check.section == "prometheus"}, (
        "run `make terminal`"
    )
