"""The demo's MongoDB gets a new volume with another password, and only then."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import pytest

from stackctl.config.load import load
from stackctl.docker import named_volumes
from stackctl.lifecycle import demo_data
from stackctl.project.project import Project
from stackctl.project.state import open_state
from tests.support.engine import MemoryEngine, container

pytestmark = pytest.mark.usefixtures("state_dir", "clean_environment")

VOLUME = "bot-core_mongodb_data"


class DataEngine(MemoryEngine):
    """An engine that has volumes."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        super().__init__(container("mongodb"), container("redis"))
        self.there = {VOLUME, "bot-core_redis_data"}
        monkeypatch.setattr(
            named_volumes, "remove", lambda names: self.there.difference_update(names)
        )

    def volumes(self, made: Collection[str] = ()) -> list[str]:
        return sorted(self.there)

    def remove(self, name: str) -> None:
        assert VOLUME in self.there, "the volume can only go after the container"
        del self.states[name]


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> DataEngine:
    return DataEngine(monkeypatch)


def project(password: str | None = None) -> Project:
    environ = {"MONGODB_PASSWORD": password} if password else {}
    return Project(load(environ=environ), open_state("bot-core"))


def renew(project: Project, engine: DataEngine) -> bool:
    """Do what `up` does of its plan, and return whether there was anything to remove."""
    current = project.secrets.fingerprint(demo_data.PASSWORD)
    volume = demo_data.outdated_volume(
        project.name,
        engine.volumes(),
        recorded=demo_data.recorded_fingerprint(project.state),
        current=current,
    )
    if volume is not None:
        demo_data.remove(engine, demo_data.SERVICE, volume)
    demo_data.record_fingerprint(project.state, current)
    return volume is not None


def test_another_password_and_a_lost_one_begin_anew(engine: DataEngine) -> None:
    engine.there.clear()
    assert not renew(project("one"), engine)
    engine.there = {VOLUME, "bot-core_redis_data"}
    assert not renew(project("one"), engine)
    assert set(engine.states) == {"mongodb", "redis"}
    assert renew(project("two"), engine)
    assert set(engine.states) == {"redis"}
    assert engine.there == {"bot-core_redis_data"}
    # Generated ones, and then those of a state folder that was lost.
    renew(project(), engine)
    engine.there.add(VOLUME)
    assert not renew(project(), engine)
    (project().state.folder / "secrets.json").unlink()
    assert renew(project(), engine)


def test_one_that_is_cut_off_is_done_again(
    engine: DataEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cut_off(_: Collection[str]) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(named_volumes, "remove", cut_off)
        with pytest.raises(KeyboardInterrupt):
            renew(project("two"), engine)
    assert renew(project("two"), engine)
    assert VOLUME not in engine.there


def test_the_record_tells_nothing_of_the_password(engine: DataEngine, state_dir: Path) -> None:
    renew(project("marked-secret"), engine)
    (record,) = (path for path in state_dir.rglob("mongodb.json"))
    assert "marked-secret" not in record.read_text()
