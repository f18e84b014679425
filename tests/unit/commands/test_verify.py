"""`stackctl verify` as it is called: what it refuses, what it prints in which order, and what it writes."""

from __future__ import annotations

import json
import os
import re
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from rich.status import Status

from stackctl import __version__
from stackctl.chaos.journal import Journal
from stackctl.docker.inventory import Inventory
from stackctl.project.process_lock import exclusive
from stackctl.project.project import Project, ProjectState, open_project
from stackctl.services.catalog import SERVICES
from stackctl.ui.progress import Waiting
from stackctl.verify import runner
from stackctl.verify.model import Check, Context, Finding, Obstacle
from tests.support.cli import run_here
from tests.support.engine import MemoryEngine, container
from tests.support.http import Reply, serving
from tests.support.terminal import TerminalText

REAL = {
    "ALERTMANAGER_SLACK_WEBHOOK_URL": "https://hooks.slack.example/very-secret",
    "ALERTMANAGER_PAGERDUTY_KEY": "very-secret",
    "ALERTMANAGER_SMTP_HOST": "smtp.example.org",
    "ALERTMANAGER_EMAIL_FROM": "from@example.org",
    "ALERTMANAGER_EMAIL_TO": "team@example.org",
}
WHERE = (
    "Slack (#ai-alerts, #bot-core-alerts, #critical-alerts, #database-alerts, #trading-alerts),"
    " PagerDuty, e-mail (team@example.org)"
)


@pytest.fixture(autouse=True)
def engine(
    state_dir: Path,
    tmp_path: Path,
    clean_environment: pytest.MonkeyPatch,
    monkeypatch: pytest.MonkeyPatch,
) -> MemoryEngine:
    engine = MemoryEngine(*map(container, SERVICES))
    monkeypatch.setattr(Project, "engine", lambda *_, **__: engine)
    monkeypatch.chdir(tmp_path)
    open_project(name=None, env_file=None).keep(ProjectState(version=__version__))
    return engine


class Ran:
    """Checks that replace the real ones, and a record of those that ran."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, ok: bool = True) -> None:
        self.asked: list[str] = []
        checks = (
            self._check("loki.quick", ok=ok),
            self._check("notifications.told", ok=True, slow=True, once=True),
            self._check("alertmanager.drill", ok=True, drill=True, once=True),
        )
        monkeypatch.setattr(runner, "CHECKS", checks)

    def _check(self, id_: str, *, ok: bool, **kinds: bool) -> Check:
        async def ask(context: Context) -> Finding:
            self.asked.append(id_)
            if kinds.get("drill"):
                for state in ("pending", "pending", "firing"):
                    context.drills.waiting("redis", f"ServiceDown is {state}")
            return Finding(ok, "expected", f"seen by {id_}", "look")

        return Check(id_, id_.title(), "the plan", "loki", ask, **kinds)


def verify(*words: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    return run_here("verify", *words, "--timeout", "0", env=env)


@pytest.mark.parametrize("words", [("notifications.told",), ("--all",), ("--drill",)])
def test_what_notifies_real_channels_is_refused_without_send_and_says_where(
    monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    ran = Ran(monkeypatch)
    refused = verify(*words, env=REAL)
    assert (refused.returncode, refused.stdout, ran.asked) == (2, "", [])
    assert refused.stderr == (
        f"stackctl: test alerts would notify real channels: {WHERE};"
        " allow it with --send, or omit notifications and drills\n"
    )
    done = verify(*words, "--send", env=REAL)
    assert done.returncode == 0, done.stderr
    assert f"test alerts notify real channels: {WHERE}\n" in done.stderr
    assert ran.asked
    assert "secret" not in done.stdout + done.stderr + refused.stderr


def test_the_quick_checks_need_no_word_and_without_real_channels_nothing_does(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ran = Ran(monkeypatch)
    assert verify(env=REAL).returncode == 0
    assert ran.asked == ["loki.quick"]
    done = verify("--all", "--drill")
    assert done.returncode == 0
    assert "channels" not in done.stderr


def test_a_drills_states_are_told_once_each(monkeypatch: pytest.MonkeyPatch) -> None:
    Ran(monkeypatch)
    done = verify("alertmanager.drill")
    assert done.stderr == "redis: ServiceDown is pending\nredis: ServiceDown is firing\n"


def test_on_a_terminal_the_states_stand_below_what_is_waited_for() -> None:
    console = Console(file=TerminalText(), force_terminal=True, width=80)
    with Waiting(console, ["a.b", "c.d"]) as shown:
        shown.finished("a.b")
        shown.tell("redis", "ServiceDown is pending")
        assert isinstance(shown._shown, Status)
        assert str(shown._shown.status) == "waiting for c.d\nredis: ServiceDown is pending"
        shown.finished("c.d")
        assert str(shown._shown.status).startswith("done\n")


def test_a_report_that_cannot_be_written_is_refused_before_anything_is_asked(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    ran = Ran(monkeypatch)
    (tmp_path / "file").write_text("")
    done = verify("--report", str(tmp_path / "file" / "report.html"))
    assert (done.returncode, done.stdout, ran.asked) == (2, "", [])
    assert "cannot write " in done.stderr
    assert (tmp_path / "file").read_text() == ""


def test_results_are_printed_before_the_report_is_written(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from stackctl.report import html

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    Ran(monkeypatch)
    monkeypatch.setattr(html, "write_atomic", full)
    done = verify("--format", "json", "--report", str(tmp_path / "report.html"))
    assert done.returncode == 1
    assert json.loads(done.stdout)["ok"] is True
    assert "No space left on device" in done.stderr


@pytest.mark.parametrize(("ok", "code"), [(True, 0), (False, 1)])
def test_the_report_is_written_whatever_was_found(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, ok: bool, code: int
) -> None:
    Ran(monkeypatch, ok=ok)
    report = tmp_path / "new" / "report.html"
    done = verify("--report", str(report))
    assert done.returncode == code
    assert "seen by loki.quick" in report.read_text()
    assert f"report: {report}" in done.stderr


@pytest.mark.parametrize(
    "words",
    [
        ("verify", "--timeout", "nan"),
        ("verify", "--timeout", "inf"),
        ("verify", "--watch", "nan"),
        ("status", "--watch", "nan"),
        ("up", "--timeout", "nan"),
        ("logs", "--from", "loki", "--since", "inf"),
        ("logs", "--from", "loki", "--since", "nan"),
        ("chaos", "stop", "redis", "--for", f"{10**14}h"),
    ],
)
def test_a_number_that_is_none_or_has_no_end_is_wrong_usage(words: tuple[str, ...]) -> None:
    done = run_here(*words)
    assert done.returncode == 2
    assert "invalid value" in done.stderr


NOTHING_RUNS = "stackctl: project bot-core is not running; `stackctl up` starts it\n"


def states(engine: MemoryEngine, **changes: object) -> None:
    """Change every container."""
    engine.states = {name: replace(one, **changes) for name, one in engine.states.items()}  # type: ignore[arg-type]


def test_before_up_and_after_down_it_says_at_once_that_nothing_runs(
    engine: MemoryEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran = Ran(monkeypatch)
    engine.states = {}
    done = run_here("verify")
    assert (done.returncode, done.stdout, done.stderr) == (3, "", NOTHING_RUNS)
    assert ran.asked == []


def test_another_project_that_runs_is_named(
    engine: MemoryEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def inspected(project: str, files: str, *, running: bool = True) -> dict[str, Any]:
        labels = {"project": project, "project.environment_file": files}
        return {
            "Config": {"Labels": {f"com.docker.compose.{k}": v for k, v in labels.items()}},
            "State": {"Running": running},
        }

    seen = [
        inspected("b", "/x/.env,/state/b/compose.env"),
        inspected("c", "/state/c/compose.env", running=False),
        inspected("theirs", "/x/.env"),
    ]
    monkeypatch.setattr(engine, "inventory", lambda: Inventory("bot-core", seen))
    engine.states = {}
    done = run_here("verify")
    assert done.returncode == 3
    assert done.stderr == NOTHING_RUNS.replace("it\n", "it; running projects: b (`-p b`)\n")


def test_a_stack_whose_containers_have_all_ended_is_stopped(engine: MemoryEngine) -> None:
    states(engine, status="exited", exit_code=0)
    done = run_here("verify")
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr == (
        "stackctl: project bot-core is stopped: none of its 20 containers are running;"
        " `stackctl up` starts them\n"
    )


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"redis": None}, "redis has no container; `stackctl up` starts what is missing"),
        (
            {"redis": {"status": "exited", "exit_code": 1}},
            "redis exited with code 1; `stackctl logs redis` shows why, `stackctl up` starts it again",
        ),
        (
            {"loki": {"status": "paused"}},
            "loki is paused; resume it with `docker unpause loki`",
        ),
        (
            {"loki": {"status": "restarting", "exit_code": 2}},
            "loki is in a crash loop, exit code 2; `stackctl logs loki` shows why,"
            " `stackctl up` starts it again",
        ),
        (
            {"grafana": None, "loki": {"status": "created"}},
            "2 of 19 services are not running: grafana has no container, loki was never started;"
            " `stackctl up` starts what is missing",
        ),
    ],
)
def test_a_half_started_stack_is_one_sentence_that_names_what_is_missing(
    engine: MemoryEngine, changes: dict[str, dict[str, Any] | None], sentence: str
) -> None:
    for name, change in changes.items():
        if change is None:
            del engine.states[name]
        else:
            engine.states[name] = replace(engine.states[name], **change)
    done = run_here("verify")
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr == f"stackctl: {sentence}\n"


def test_of_a_stack_that_runs_in_part_what_runs_can_be_verified(
    engine: MemoryEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran = Ran(monkeypatch)
    del engine.states["redis"]
    assert verify("loki.quick").returncode == 0
    assert ran.asked == ["loki.quick"]


def test_an_open_fault_is_named_as_the_cause(engine: MemoryEngine) -> None:
    fault = Journal(open_project(name=None, env_file=None).state).begin("stop", "redis", "id-redis")
    engine.states["redis"] = replace(engine.states["redis"], status="exited")
    done = run_here("verify")
    assert done.returncode == 3
    assert done.stderr == (
        f"stackctl: redis exited with code 0; a fault is open, {fault.describe()}:"
        " recover with `stackctl chaos heal`\n"
    )


def test_while_an_up_runs_it_says_so_and_asks_nothing(
    engine: MemoryEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran = Ran(monkeypatch)
    with exclusive(open_project(name=None, env_file=None).state, "up"):
        done = run_here("verify")
    assert (done.returncode, done.stdout, ran.asked) == (4, "", [])
    assert re.fullmatch(
        rf"stackctl: stackctl up \(pid {os.getpid()}, since \S+\) is changing this project;"
        r" run `stackctl verify` when it has finished\n",
        done.stderr,
    )


@pytest.mark.parametrize(
    ("version", "other"),
    [("0.0.9", "stackctl 0.0.9"), (None, "an older stackctl")],
)
def test_a_stack_of_another_stackctl_is_told_and_verified(
    monkeypatch: pytest.MonkeyPatch, version: str | None, other: str
) -> None:
    ran = Ran(monkeypatch)
    open_project(name=None, env_file=None).keep(ProjectState(version=version))
    done = verify()
    assert done.returncode == 0
    assert done.stderr == (
        f"stackctl: this stack was started by {other}, but this is stackctl {__version__}, so checks may fail"
        " because of differences between them; `stackctl up` updates the stack\n"
    )
    assert ran.asked == ["loki.quick"]


@pytest.mark.parametrize(
    ("obstacles", "code"),
    [
        ([None, "too young", "not running"], 1),
        (["too young", "not running", "still starting"], 3),
        (["too young", "still starting"], 4),
        (["too young"], 5),
    ],
)
def test_the_gravest_state_decides_the_exit_code(
    monkeypatch: pytest.MonkeyPatch, obstacles: list[Obstacle | None], code: int
) -> None:
    def check(number: int, obstacle: Obstacle | None) -> Check:
        async def ask(_: Context) -> Finding:
            return Finding(False, "expected", "seen", "look", obstacle=obstacle)

        return Check(f"loki.c{number}", "C", "the plan", "loki", ask)

    monkeypatch.setattr(runner, "CHECKS", tuple(check(*pair) for pair in enumerate(obstacles)))
    done = verify("--format", "json")
    assert done.returncode == code
    assert [one["state"] for one in json.loads(done.stdout)["checks"]] == [
        one or "failed" for one in obstacles
    ]


@pytest.mark.parametrize(
    ("words", "asked"),
    [((), ["loki.quick"]), (("notifications.told",), ["notifications.told"])],
    ids=["quick", "acting"],
)
@pytest.mark.parametrize(("there", "code"), [(1.25, 0), (2.5, 1)])
def test_a_program_at_our_address_that_is_not_ours_is_never_taken_for_it(
    engine: MemoryEngine,
    monkeypatch: pytest.MonkeyPatch,
    there: float,
    code: int,
    words: tuple[str, ...],
    asked: list[str],
) -> None:
    ran = Ran(monkeypatch)
    monkeypatch.setattr(engine, "execute", lambda *_: "process_start_time_seconds 1.25\n")
    page = Reply(f"process_start_time_seconds {there}\n".encode())
    with serving({"/metrics": page}) as server:
        port = server.url.rpartition(":")[2]
        ports = {f"{name}_PORT": port for name in ("PROMETHEUS", "ALERTMANAGER", "GRAFANA", "LOKI")}
        done = verify(*words, env=ports)
    assert done.returncode == code, done.stderr
    if not code:
        assert ran.asked == asked
    else:
        # Quick checks only read, and may have begun by then.
        assert ran.asked in ([], asked) if not words else ran.asked == []
        assert done.stdout == ""
        assert re.fullmatch(
            rf"stackctl: {server.url} is not served by (prometheus|alertmanager|grafana|loki)"
            r" of project bot-core; `docker ps` shows which container publishes that port;"
            r" `stackctl up` publishes this project's\n",
            done.stderr,
        )
