"""What the tests of stackctl share: a state folder of their own, and what happens where there is no Docker Engine."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent


@pytest.fixture
def state_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A state folder that no other test and no user has."""
    folder = tmp_path / "state"
    monkeypatch.setenv("STACKCTL_STATE_DIR", str(folder))
    return folder


@pytest.fixture
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """An environment in which no setting of the stack is set."""
    from stackctl.config.registry import SETTINGS

    for name in (*SETTINGS, "COMPOSE_PROJECT_NAME"):
        monkeypatch.delenv(name, raising=False)
    return monkeypatch


def docker_answers() -> bool:
    """Return whether a Docker Engine answers."""
    if shutil.which("docker") is None:
        return False
    return subprocess.run(["docker", "info"], capture_output=True, check=False).returncode == 0


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Skip the Docker tests, loudly, where there is no engine; in CI let them run and fail instead."""
    marked = [item for item in items if item.get_closest_marker("docker")]
    if not marked or os.environ.get("CI") or docker_answers():
        return
    reason = "NO DOCKER ENGINE ANSWERS: the Docker tests are skipped (scripts/ensure-docker.sh)"
    for item in marked:
        item.add_marker(pytest.mark.skip(reason=reason))
    config.issue_config_time_warning(pytest.PytestWarning(reason), stacklevel=2)
