"""A whole backup, and a stack whose volumes are in memory."""

from __future__ import annotations

from pathlib import Path

import pytest

from stackctl.backup import data
from stackctl.config.load import load
from stackctl.docker import named_volumes
from stackctl.docker.engine import Engine, EngineInfo
from stackctl.project.project import Project
from stackctl.project.state import open_state
from tests.support.backups import GRAFANA, LOKI, Docker, Restoring, Stack, write
from tests.support.engine import MemoryEngine, container


@pytest.fixture
def whole(tmp_path: Path) -> Path:
    path = tmp_path / "whole.tar.gz"
    write(path, {"grafana_data": GRAFANA, "loki_data": LOKI})
    return path


@pytest.fixture
def docker(monkeypatch: pytest.MonkeyPatch) -> Docker:
    fake = Docker()
    for name in ("present", "foreign", "users", "create", "remove", "open_transfer"):
        monkeypatch.setattr(named_volumes, name, getattr(fake, name))
    return fake


@pytest.fixture
def stack(
    state_dir: Path, clean_environment: pytest.MonkeyPatch, monkeypatch: pytest.MonkeyPatch
) -> Stack:
    """A project that is up, but for Docker."""
    project = Project(load(project="bot-core", env_file=None, environ={}), open_state("bot-core"))
    engine = MemoryEngine(*map(container, [*data.SERVICES.values(), "promtail"]))
    engine.engine_info = EngineInfo("26.1", "2.26.1", "Linux", 2**34, 2, Path("/"))

    def of_project(_: Project, choices: object = None) -> Engine:
        return engine

    async def ready(*_: object, **__: object) -> list[object]:
        return []

    monkeypatch.setattr(Project, "engine", of_project)
    monkeypatch.setattr("stackctl.readiness.wait.wait", ready)
    return Stack(project, engine)


@pytest.fixture
def restoring(stack: Stack) -> Restoring:
    stack.engine.states.clear()
    return Restoring(stack)
