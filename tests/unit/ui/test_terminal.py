"""Every command with a live display on a real terminal: what stays on the screen is what was printed, and no more."""

from __future__ import annotations

import asyncio
import datetime as dt
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from stackctl import __version__, commands
from stackctl.backup.archive import Manifest, Volume
from stackctl.chaos import drill
from stackctl.chaos.timeline import Pace, Stage, Timeline
from stackctl.commands.session import Session
from stackctl.errors import NotRunning
from stackctl.images import sets
from stackctl.images.choice import Resolved
from stackctl.lifecycle import down as down_module
from stackctl.lifecycle import up as up_module
from stackctl.lifecycle.proof import Up
from stackctl.project.project import Project, ProjectState, open_project
from stackctl.readiness.observer import Observer
from stackctl.readiness.wait import Progress
from stackctl.render.rendering import Rendering
from stackctl.services.catalog import SERVICES
from stackctl.services.releases import PLAN
from stackctl.verify import alert_drill, runner
from stackctl.verify.alert_drill import Drilled, DrillReport
from stackctl.verify.model import Check, Context, Finding
from tests.support.cli import run_here
from tests.support.engine import MemoryEngine, container
from tests.support.http import Reply, serving
from tests.support.terminal import Screen, on_terminal

REFRESH = 0.3
"""Longer than a display takes to draw itself again."""
LONG = "a note that is much longer than a terminal of eighty columns is wide, so that it has to be wrapped there"

pytestmark = [pytest.mark.usefixtures("own_folders"), pytest.mark.thorough]


@pytest.fixture(autouse=True)
def _engine(own_folders: None, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = MemoryEngine(*map(container, SERVICES))
    monkeypatch.setattr(Project, "engine", lambda *_, **__: engine)
    monkeypatch.setattr(Project, "whole_engine", lambda *_, **__: engine)
    open_project(name=None, env_file=None).keep(ProjectState(version=__version__))


def work(observer: Observer) -> None:
    """Show everything that a display can show, for long enough to be drawn."""
    for number, name in enumerate(("prometheus", "rust-core-engine")):
        observer.step(f"step {number}")
        observer.progress(Progress(name, "waiting", 0.1, f"it does not listen yet: {LONG}"))
        time.sleep(REFRESH)
        observer.note(LONG)
        observer.progress(Progress(name, "ready", 0.2, "ready"))


def up(patch: pytest.MonkeyPatch) -> str:
    def done(*_: Any, observer: Observer, **__: Any) -> Up:
        work(observer)
        ready = [Progress("prometheus", "ready", 0.2, "ready")]
        return Up(
            Resolved("local", {}),
            Rendering((), {}, (), (), ()),
            ready,
            changed=("prometheus",),
            left_out=(),
            missing=(),
            unseen=None,
        )

    patch.setattr(up_module, "up", done)
    return f"{LONG}{LONG}1 services ready (1 started)"


def down(patch: pytest.MonkeyPatch) -> str:
    def done(*_: Any, observer: Observer, **__: Any) -> list[str]:
        work(observer)
        return ["a", "b"]

    patch.setattr(down_module, "down", done)
    return f"{LONG}{LONG}2 containers removed."


def backup(patch: pytest.MonkeyPatch) -> str:
    def done(_project: Project, file: Path, *, observer: Observer, **__: Any) -> Manifest:
        work(observer)
        file.write_bytes(b"x" * 10)
        volume = Volume(name="loki_data", image="stackctl/loki:local", size=3, sha256="0" * 64)
        return Manifest(
            format=1,
            stackctl=__version__,
            project="bot-core",
            time=dt.datetime(2026, 1, 2, tzinfo=dt.UTC),
            volumes=(volume,),
        )

    patch.setattr("stackctl.backup.save.save", done)
    return f"{LONG}{LONG}Backup written to b.tar.gz (10 bytes): loki_data (3 bytes)."


def build(patch: pytest.MonkeyPatch) -> str:
    def done(_engine: object, _releases: object, say: Callable[[str], None]) -> None:
        for number in range(2):
            say(f"building {number}")
            time.sleep(REFRESH)

    patch.setattr("stackctl.images.build.build", done)
    return f"{len(sets.catalogue(PLAN))} images built."


def verify(patch: pytest.MonkeyPatch) -> str:
    async def ask(context: Context) -> Finding:
        for state in ("pending", "firing"):
            context.drills.waiting("redis", f"ServiceDown is {state}")
            await asyncio.sleep(REFRESH)
        return Finding(True, "expected", LONG)

    checks = [Check(f"loki.c{n}", f"Check {n}", "the plan", "loki", ask) for n in range(2)]
    patch.setattr(runner, "CHECKS", tuple(checks))
    return f"loki✔ Check 0: {LONG}✔ Check 1: {LONG}2 of 2 checks passed"


def hold(_patch: pytest.MonkeyPatch) -> str:
    return "pause of redis for 1 s; press Ctrl-C to recover it nowrecovered from pause of redis"


def expect(patch: pytest.MonkeyPatch) -> str:
    pace = Pace(
        scrape_interval=10, evaluation_interval=15, hold=0, keep=0, group_wait=0, group_interval=10
    )
    stages: list[Stage] = ["fault", "pending", "firing"]

    async def run(*_: Any, begun: Any, reached: Any, waiting: Any, **__: Any) -> Timeline:
        timeline = Timeline("ServiceDown", "redis", pace)
        begun(timeline)
        for number, stage in enumerate(stages):
            # On a narrow terminal more than a line.
            waiting(f"ServiceDown is not {stage} in Prometheus, not in Alertmanager")
            await asyncio.sleep(REFRESH)
            timeline.seconds[stage] = float(number)
            reached(stage, float(number))
        return timeline

    patch.setattr(drill, "run", run)
    return (
        "0.0 s fault injected1.0 s pending in Prometheus2.0 s firing in Prometheus"
        "to pending: 1.0 s (configured 0 to 25 s)to firing: 1.0 s (configured 0 to 15 s)"
        "ServiceDown of redis fired and was resolved."
    )


COMMANDS: dict[str, tuple[tuple[str, ...], Callable[[pytest.MonkeyPatch], str]]] = {
    "up": (("up",), up),
    "down": (("down",), down),
    "backup": (("backup", "b.tar.gz"), backup),
    "images build": (("images", "build"), build),
    "verify": (("verify",), verify),
    "chaos": (("chaos", "pause", "redis", "--for", "1s", "--force"), hold),
    "drill": (("chaos", "stop", "redis", "--expect", "ServiceDown", "--force"), expect),
}


def test_every_command_with_a_display_is_in_this_test() -> None:
    modules = {
        path.stem
        for path in Path(commands.__file__).parent.glob("*.py")
        if re.search(r"ui\.progress|ui\.watch|err\.status|rich\.live", path.read_text())
    }
    watched = {"alerts", "status", "verify"}
    others = {"load", "alert_drill"}
    assert modules == {words[0] for words, _ in COMMANDS.values()} | others | watched


def squeezed(text: str) -> str:
    return "".join(text.split())


@pytest.mark.parametrize("columns", [40, 80, 200])
@pytest.mark.parametrize("name", COMMANDS)
def test_the_screen_has_what_was_printed_and_nothing_of_the_display(
    name: str, columns: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    words, patched = COMMANDS[name]
    kept = patched(monkeypatch)
    screen = on_terminal(*words, columns=columns)
    assert screen.code == 0, screen.lines
    assert b"\x1b[2K" in screen.written, "there was no live display"
    assert screen.text.startswith(squeezed(kept)), screen.lines
    # Of `up` the addresses follow, of `verify` the seconds.
    rest = screen.text.removeprefix(squeezed(kept))
    if name == "up":
        assert rest.endswith("grafana_password")
    elif name != "verify":
        assert rest == ""


@pytest.mark.parametrize("name", COMMANDS)
def test_results_in_a_pipe_leave_the_display_on_the_terminal_alone(
    name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    words, patched = COMMANDS[name]
    kept = patched(monkeypatch)
    with (tmp_path / "results").open("wb") as stream:
        screen = on_terminal(*words, stdout=stream.fileno())
    results = (tmp_path / "results").read_text()
    assert "\x1b" not in results
    assert screen.code == 0, screen.lines
    both = screen.text + squeezed(results)
    assert both.startswith(squeezed(kept)), (screen.lines, results)


def test_a_load_leaves_its_figures_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    with serving({"/api/health": Reply(b"ok", delay=REFRESH)}) as server:
        port = server.url.rpartition(":")[2]
        screen = on_terminal("load", "-n", "3", "-c", "1", env={"RUST_CORE_ENGINE_PORT": port})
    assert screen.code == 0, screen.lines
    assert screen.lines[0].startswith(f"3 requests to {server.url}/api/health, 1 at a time, in ")
    assert screen.lines[1].startswith("requests/s")


def test_a_drill_of_alerts_leaves_its_table_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    async def drilled(
        _context: Context, _examples: object, stage: Callable[[str], None]
    ) -> DrillReport:
        for number in range(2):
            stage(f"firing: {number} of 5 messages")
            await asyncio.sleep(REFRESH)
        return DrillReport([Drilled("ServiceDown", {"severity": "critical"})], [], 1.5)

    monkeypatch.setattr(alert_drill, "drill", drilled)
    monkeypatch.setattr(Session, "require_running", lambda *_: None)
    screen = on_terminal("alerts", "drill", "ServiceDown")
    assert screen.code == 0, screen.lines
    assert b"firing: 1 of 5 messages" in screen.written
    assert [line.split()[0] for line in screen.lines] == ["alert", "ServiceDown", "1"]
    assert screen.lines[-1] == "1 alert in 2 s: all delivered as routed"


def test_a_watched_view_gives_the_screen_back(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(_seconds: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("stackctl.ui.watch.sleep", interrupted)
    monkeypatch.setattr("stackctl.commands.alerts._active", lambda _: [])
    screen = on_terminal("alerts", "--watch", "1")
    assert screen.code == 130
    # pyte has one screen only: what is between these is on the other.
    taken, shown, given_back = map(
        screen.written.index, (b"\x1b[?1049h", b"No active alerts", b"\x1b[?1049l")
    )
    assert taken < shown < given_back


@pytest.mark.parametrize("env", [{"TERM": "dumb"}, {"TERM": "dumb", "NO_COLOR": "1"}])
def test_a_terminal_without_a_cursor_has_a_line_for_each_step(
    env: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    down(monkeypatch)
    screen = on_terminal("down", env=env)
    assert screen.code == 0
    assert b"\x1b" not in screen.written
    assert screen.lines[0] == "step 0"
    assert screen.lines[-1] == "2 containers removed."


@pytest.mark.parametrize(
    "env",
    [{}, {"FORCE_COLOR": "1"}, {"COLUMNS": "40"}, {"TERM": "dumb", "FORCE_COLOR": "1"}],
    ids=str,
)
@pytest.mark.parametrize("name", ["up", "down", "verify", "drill"])
def test_in_a_pipe_nothing_is_wrapped_shortened_or_drawn(
    name: str, env: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    words, patched = COMMANDS[name]
    patched(monkeypatch)
    monkeypatch.setattr(time, "sleep", lambda _: None)
    done = run_here(*words, env=env)
    assert done.returncode == 0, done.stderr
    both = done.stdout + done.stderr
    assert "\x1b[2K" not in both
    assert "\x1b[?" not in both
    if name != "drill":
        assert LONG in both


def test_an_error_comes_after_the_display(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: Any, observer: Observer, **__: Any) -> None:
        work(observer)
        raise NotRunning("it does not run")

    monkeypatch.setattr(down_module, "down", fails)
    screen: Screen = on_terminal("down")
    assert screen.code == 3
    assert screen.text == squeezed(f"{LONG}{LONG}stackctl: it does not run")
