"""The wheel alone, in an empty environment: it carries compose files and configuration, and renders from them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    command = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--quiet",
        "--no-deps",
        "--wheel-dir",
        str(folder),
        str(REPOSITORY),
    ]
    subprocess.run(command, check=True, capture_output=True)
    (built,) = folder.glob("stackctl-*.whl")
    return built


def tracked(folder: str) -> set[str]:
    """Return the files of the repository below a folder, as git has them."""
    listed = subprocess.run(
        ["git", "ls-files", folder], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    return set(listed.stdout.split())


def test_the_wheel_carries_every_file_that_is_no_code(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        inside = {name.removeprefix("stackctl/_bundle/") for name in archive.namelist()}
    wanted = tracked("compose") | tracked("docs/runbooks") | tracked("infrastructure")
    wanted |= {
        path
        for path in tracked("images") | tracked("standins") | tracked("demo")
        if "/tests/" not in path
    }
    wanted |= {path for path in tracked("stackctl") if not path.endswith(".py")}
    assert {"stackctl/config/override.yml", "stackctl/topics/files.md"} <= wanted
    assert wanted <= inside
    assert not [path for path in inside if re.match(r"(standins|demo)/.*\btests?[_/]", path)]


def test_a_fresh_install_renders_without_the_checkout(wheel: Path, tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-m", "venv", str(tmp_path / "venv")], check=True)
    binaries = tmp_path / "venv" / "bin"
    subprocess.run(
        [binaries / "pip", "install", "--quiet", str(wheel)], check=True, capture_output=True
    )
    state = tmp_path / "state"
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [binaries / "stackctl", "render"],
        cwd=tmp_path,
        env={**environment, "STACKCTL_STATE_DIR": str(state)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == str(state / "bot-core")
    assert (
        "scrape_configs:"
        in (state / "bot-core" / "config" / "prometheus" / "prometheus.yml").read_text()
    )
    assert (state / "bot-core" / "compose.env").is_file()
