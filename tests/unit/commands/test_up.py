"""`up` without Docker: what must not fail it once the stack is ready."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from stackctl.cli import cli
from stackctl.docker.engine import EngineInfo
from stackctl.errors import EngineError, StackctlError
from stackctl.images.resolve import Decision, Resolved
from stackctl.lifecycle import attach
from stackctl.lifecycle.attach import Missing, Survey
from stackctl.lifecycle.preflight import Finding
from stackctl.project.process_lock import exclusive
from stackctl.project.project import Project, ProjectState
from stackctl.project.state import open_state
from stackctl.readiness.wait import NotReady, Progress
from tests.support.cli import run_here
from tests.support.engine import MemoryEngine, container

pytestmark = pytest.mark.usefixtures("state_dir", "clean_environment")


class StartingEngine(MemoryEngine):
    """Starts what it has when Compose would."""

    def up(self, *, pull: bool, services: Sequence[str] = ()) -> None:
        self.done.append(("up", ""))

    def down(self, *, timeout: int | None = None) -> None:
        self.done.append(("down", ""))

    def copies(self) -> list[str]:
        return []

    def volumes(self, made: Collection[str] = ()) -> list[str]:
        return []


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> StartingEngine:
    """A machine on which `up --attach net` ends well, but for what the test says."""
    monkeypatch.chdir(tmp_path)
    engine = StartingEngine(container("grafana"), container("prometheus"))
    engine.engine_info = EngineInfo("26.1.5", "2.26.1", "Debian", 8 * 1024**3, 2, Path("/"))

    async def ready(*_: object, **__: object) -> list[Progress]:
        return [Progress("grafana", "ready", 1.0, ""), Progress("prometheus", "ready", 2.0, "")]

    async def accepts(_: Project) -> bool:
        return False

    monkeypatch.setattr(Project, "engine", lambda *_: engine)
    monkeypatch.setattr(attach, "discover", lambda _, state: state)
    monkeypatch.setattr("stackctl.lifecycle.preflight.examine", lambda *_: [])
    monkeypatch.setattr("stackctl.images.resolve.decide", lambda *_, **__: Decision("local"))
    monkeypatch.setattr("stackctl.images.resolve.obtain", lambda *_, **__: Resolved("local", {}))
    monkeypatch.setattr("stackctl.project.engine_overrides.adapt", lambda *_: [])
    monkeypatch.setattr("stackctl.readiness.wait.wait", ready)
    monkeypatch.setattr("stackctl.lifecycle.grafana.refuses_password", accepts)
    return engine


def up() -> Result:
    return CliRunner().invoke(cli, ["up", "--attach", "net"])


def test_what_of_bot_core_is_missing_is_told(
    engine: StartingEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    gap = Missing("redis", "no running container redis on the network net", "start it")
    monkeypatch.setattr(attach, "survey", lambda *_: Survey((gap,), frozenset(), ""))
    done = up()
    assert done.exit_code == 0, done.output
    assert "no running container redis on the network net; start it" in done.stderr


def test_a_look_at_bot_core_that_fails_is_a_note_for_the_stack_is_up(
    engine: StartingEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def survey(_: Project, state: ProjectState) -> Survey:
        assert state.network == "net"
        assert engine.done == [("up", "")]
        raise EngineError("docker run failed (exit 125): no such thing", remedy="try again")

    monkeypatch.setattr(attach, "survey", survey)
    done = up()
    assert done.exit_code == 0, done.output
    assert "2 services ready" in done.stdout
    (line,) = [line for line in done.stderr.splitlines() if "docker run failed" in line]
    assert line == (
        "it cannot be seen whether all of bot-core is there:"
        " docker run failed (exit 125): no such thing; try again"
    )
    assert "docker run failed" not in done.stdout


def test_the_rest_of_a_down_that_was_cut_off_is_not_done_to_containers_of_somebody_else(
    engine: StartingEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attach, "survey", lambda *_: Survey((), frozenset(), ""))
    with pytest.raises(KeyboardInterrupt), exclusive(open_state("bot-core"), "down"):
        raise KeyboardInterrupt
    engine.others = ["bot-core-mongo-1"]
    done = up()
    assert isinstance(done.exception, StackctlError)
    assert "containers that are not stackctl's: bot-core-mongo-1" in done.exception.line
    assert engine.done == []
    # Once they are gone it is finished, and only once.
    engine.others = []
    assert up().exit_code == 0
    assert engine.done == [("down", ""), ("up", "")]
    assert up().exit_code == 0
    assert engine.done[2:] == [("up", "")]


def test_what_was_not_ready_is_told_although_its_container_has_gone(
    engine: StartingEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def unready(*_: object, **__: object) -> list[Progress]:
        progress = Progress("loki", "failed", 3.0, "its container is gone", container="loki")
        raise NotReady([progress], 3.0)

    def gone(container: str, lines: int) -> str:
        raise EngineError(f"docker logs failed: No such container: {container}")

    monkeypatch.setattr("stackctl.readiness.wait.wait", unready)
    monkeypatch.setattr(engine, "last_logs", gone)
    done = up()
    assert isinstance(done.exception, NotReady)
    assert done.stderr.splitlines()[-2:] == [
        "loki: its container is gone",
        "(its log cannot be read: docker logs failed: No such container: loki)",
    ]


def test_each_failure_of_the_doctor_is_a_line(
    engine: StartingEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    findings = [
        Finding("ports", "failure", "port 1 is taken", "stop it"),
        Finding("memory", "warning", "little", "more"),
        Finding("disk", "failure", "full", "make room"),
    ]
    monkeypatch.setattr("stackctl.lifecycle.preflight.examine", lambda *_: findings)
    done = run_here("up")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-2:] == [
        "stackctl: port 1 is taken; stop it",
        "stackctl: full; make room",
    ]
