"""`up` without Docker: what must not fail it once the stack is ready."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from stackctl.cli import cli
from stackctl.clients.grafana_login import Login
from stackctl.config.load import load
from stackctl.docker.engine import EngineInfo
from stackctl.docker.models import FailedCheck
from stackctl.errors import EngineError, StackctlError
from stackctl.images.choice import Resolved
from stackctl.images.resolve import Decision
from stackctl.lifecycle import attach
from stackctl.lifecycle.attach import Missing, Survey
from stackctl.lifecycle.plan import Facts, plan_up
from stackctl.lifecycle.preflight import Finding
from stackctl.lifecycle.rehearsal import FileChanges
from stackctl.project import container_metrics
from stackctl.project.container_metrics import ContainerMetrics
from stackctl.project.monitored import monitored_services
from stackctl.project.process_lock import exclusive
from stackctl.project.project import Project, ProjectState
from stackctl.project.state import open_state
from stackctl.readiness.wait import NotReady, Progress
from stackctl.render.rendering import Rendering
from tests.support.cli import run_here
from tests.support.engine import MemoryEngine, container
from tests.support.facts import SERVICES, inspected, rehearsed

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

    async def accepts(_: Project) -> Login:
        return "accepted"

    monkeypatch.setattr(Project, "engine", lambda *_: engine)
    monkeypatch.setattr(attach, "discover", lambda _, state: state)
    monkeypatch.setattr("stackctl.lifecycle.preflight.examine", lambda *_: [])
    monkeypatch.setattr("stackctl.images.resolve.decide", lambda *_, **__: Decision("local"))
    monkeypatch.setattr("stackctl.images.resolve.obtain", lambda *_, **__: Resolved("local", {}))
    monkeypatch.setattr("stackctl.project.engine_overrides.adapt", lambda *_: [])
    monkeypatch.setattr("stackctl.readiness.wait.wait", ready)
    monkeypatch.setattr("stackctl.lifecycle.grafana.login", accepts)
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
        "could not check bot-core: docker run failed (exit 125): no such thing; try again"
    )
    assert "docker run failed" not in done.stdout


def test_an_up_says_in_a_line_that_containers_cannot_be_seen_and_what_would_help(
    engine: StartingEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attach, "survey", lambda *_: Survey((), frozenset(), ""))
    assert "No container metrics" not in up().stderr
    monkeypatch.setattr(
        container_metrics, "decide", lambda *_, **__: ContainerMetrics(obstacle="podman")
    )
    done = up()
    assert done.exit_code == 0, done.output
    (line,) = [one for one in done.stderr.splitlines() if "No container metrics" in one]
    reason, remedy = container_metrics.reason("podman")
    assert line == (
        f"No container metrics: {reason}; {remedy}. Their alerts and panels are left out."
    )


def test_the_rest_of_a_down_that_was_cut_off_is_not_done_to_containers_of_somebody_else(
    engine: StartingEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attach, "survey", lambda *_: Survey((), frozenset(), ""))
    with pytest.raises(KeyboardInterrupt), exclusive(open_state("bot-core"), "down"):
        raise KeyboardInterrupt
    engine.others = ["bot-core-mongo-1"]
    done = up()
    assert isinstance(done.exception, StackctlError)
    assert "containers that stackctl did not create: bot-core-mongo-1" in done.exception.line
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
        "(cannot read its log: docker logs failed: No such container: loki)",
    ]


@pytest.mark.parametrize("log", ["", "its log"])
def test_what_was_not_ready_shows_its_failed_health_check_without_secrets(
    engine: StartingEngine, monkeypatch: pytest.MonkeyPatch, log: str
) -> None:
    async def unready(*_: object, **__: object) -> list[Progress]:
        progress = Progress("loki", "failed", 3.0, "health check: unhealthy", container="id-loki")
        raise NotReady([progress], 3.0)

    monkeypatch.setenv("GRAFANA_PASSWORD", "marked-secret")
    monkeypatch.setattr("stackctl.readiness.wait.wait", unready)
    monkeypatch.setattr(engine, "last_logs", lambda *_: log)
    check = FailedCheck(1, "wget: server returned error: marked-secret")
    monkeypatch.setattr(engine, "container", lambda _: container("loki", failed_check=check))
    done = up()
    assert isinstance(done.exception, NotReady)
    lines = done.stderr.splitlines()
    start = lines.index("loki: health check: unhealthy")
    assert lines[start + 1 :] == [
        "health check failed, exit code 1: wget: server returned error: ****",
        *([log] if log else []),
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


def planned(monkeypatch: pytest.MonkeyPatch, facts: Facts) -> None:
    monkeypatch.setattr("stackctl.lifecycle.up.dry_run", lambda *_, **__: plan_up(facts))


BUSY = replace(
    rehearsed(
        containers=[
            inspected("loki", hash="other"),
            inspected("redis", running=False),
            inspected("promtail"),
            inspected("gone"),
        ],
        volumes={"bot-core_mongodb_data"},
        recorded_fingerprint="other",
        recorded_copies=True,
        stale_volumes=("bot-core_config_loki",),
        files=FileChanges(("a", "b", "c", "d", "e"), ("compose.env",), ("old.yml",)),
        images=Decision("upstream", "why", ("loki:1", "redis:2"), falls_back=True),
        grafana_password="set",
    ),
    findings=(Finding("memory", "warning", "little", "more"),),
)
"""Everything that can change, does."""


def test_a_plan_in_words(monkeypatch: pytest.MonkeyPatch, state_dir: Path) -> None:
    planned(monkeypatch, BUSY)
    done = run_here("up", "--dry-run")
    assert done.returncode == 0, done.stderr
    assert [line.rstrip() for line in done.stdout.splitlines()] == [
        "images         upstream set: why",
        "               pull loki:1, redis:2",
        "               fall back to the local set if that fails",
        "files          add 5: a, b, c and 2 more",
        "               change compose.env",
        "               remove old.yml",
        "volumes        empty bot-core_mongodb_data: demo MongoDB password changed",
        "               remove bot-core_config_loki (configuration that is no longer mounted)",
        "containers     create mongodb",
        "               recreate loki",
        "               possibly recreate promtail (depends on a recreated one)",
        "               start redis",
        "               remove gone",
        "Grafana        admin password is reset to the current one",
        "notifications  Slack: on",
        "               PagerDuty: the demo's notification-sink receives them;"
        " to configure it, set ALERTMANAGER_PAGERDUTY_KEY",
        "services       4: loki, promtail, redis, mongodb",
        "warnings       little; more",
        "",
        "`stackctl up` would make these changes to the project bot-core.",
    ]
    assert not (state_dir / "bot-core").exists()


def test_a_plan_without_a_change_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    planned(monkeypatch, rehearsed())
    lines = [line.rstrip() for line in run_here("up", "--dry-run").stdout.splitlines()]
    assert lines[0] == "images         local set"
    assert "files          no changes" in lines
    assert "containers     no changes" in lines
    assert "Grafana        admin password unchanged" in lines
    assert not [line for line in lines if line.startswith(("volumes", "warnings", "cleanup"))]
    assert lines[-1] == "Nothing to change in the project bot-core."


def test_what_is_cleaned_up_built_and_not_monitored_in_words(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    facts = rehearsed(
        containers=[inspected("loki"), inspected("loki", name="0123456789ab_loki")],
        images=Decision("local", build=("stackctl/loki:local",)),
    )
    assert facts.rehearsal is not None
    facts = replace(
        facts,
        state=ProjectState(demo=False, network="net"),
        monitored=monitored_services(
            load(environ={"KONG_TARGET": "none"}), demo=False, joined=True
        ),
        rehearsal=replace(
            facts.rehearsal,
            rendering=Rendering((), {"Slack": ("S",)}, (), ("A", "B"), ("P",)),
            missing=(Missing("redis", "no redis", "start it"),),
        ),
    )
    planned(monkeypatch, facts)
    lines = [line.rstrip() for line in run_here("up", "--dry-run").stdout.splitlines()]
    assert lines[0] == "cleanup        remove 0123456789ab_loki (left over from a killed command)"
    assert "               build stackctl/loki:local" in lines
    assert "               recreate: unknown until the images are built" in lines
    assert "notifications  Slack: off; to configure it, set S" in lines
    at = lines.index("not monitored  no redis; start it")
    assert lines[at + 1 : at + 3] == [
        "               not found: kong, mongodb",
        "               2 alerts and 1 panels left out",
    ]
    planned(monkeypatch, replace(facts, down_cut_off=True))
    assert "finish the interrupted `down`" in run_here("up", "--dry-run").stdout


def test_a_plan_as_json(monkeypatch: pytest.MonkeyPatch) -> None:
    planned(monkeypatch, BUSY)
    done = run_here("up", "--dry-run", "--format", "json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {
        "ok": True,
        "failures": [],
        "warnings": [{"subject": "memory", "message": "little", "remedy": "more"}],
        "changes": True,
        "request": {"demo": True, "network": None, "app_files": []},
        "images": {
            "set": "upstream",
            "releases": dict.fromkeys(SERVICES, "plan"),
            "reason": "why",
            "falls_back": True,
            "pull": ["loki:1", "redis:2"],
            "build": [],
        },
        "compose_update": None,
        "files": {
            "added": ["a", "b", "c", "d", "e"],
            "changed": ["compose.env"],
            "removed": ["old.yml"],
        },
        "containers": {
            "create": ["mongodb"],
            "recreate": ["loki"],
            "dependents": ["promtail"],
            "start": ["redis"],
            "remove": ["gone"],
        },
        "volumes": {
            "reset": [
                {
                    "volume": "bot-core_mongodb_data",
                    "service": "mongodb",
                    "reason": "demo MongoDB password changed",
                }
            ],
            "upgrade": [],
            "remove": ["bot-core_config_loki"],
        },
        "cleanup": {"unfinished_down": False, "containers": []},
        "grafana_password": "set",
        "notifications": {"on": ["Slack"], "off": {"PagerDuty": ["ALERTMANAGER_PAGERDUTY_KEY"]}},
        "services": ["loki", "promtail", "redis", "mongodb"],
        "not_monitored": {"services": [], "missing": [], "alerts": [], "panels": []},
    }
    planned(monkeypatch, rehearsed())
    assert not json.loads(run_here("up", "--dry-run", "--format", "json").stdout)["changes"]


@pytest.mark.parametrize("output", ["text", "json"])
def test_a_dry_run_of_what_up_would_refuse_fails_as_up_does(
    engine: StartingEngine, monkeypatch: pytest.MonkeyPatch, state_dir: Path, output: str
) -> None:
    findings = [
        Finding("ports", "failure", "port 1 is taken", "stop it"),
        Finding("disk", "failure", "full", "make room"),
    ]
    monkeypatch.setattr("stackctl.lifecycle.preflight.examine", lambda *_: findings)
    done = run_here("up", "--dry-run", "--format", output)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-2:] == [
        "stackctl: port 1 is taken; stop it",
        "stackctl: full; make room",
    ]
    expected = {
        "ok": False,
        "failures": [
            {"message": "port 1 is taken", "remedy": "stop it"},
            {"message": "full", "remedy": "make room"},
        ],
    }
    assert (json.loads(done.stdout) if output == "json" else done.stdout) == (
        expected if output == "json" else ""
    )
    assert not (state_dir / "bot-core").exists()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--format", "json"), "--format requires --dry-run"),
        (("--dry-run", "--verify"), "--verify cannot be combined with --dry-run"),
        (
            ("--dry-run", "--format", "json", "--demo", "--attach", "net"),
            "the demo services replace bot-core",
        ),
    ],
)
def test_options_that_do_not_go_together_are_refused(
    engine: StartingEngine, arguments: tuple[str, ...], says: str
) -> None:
    done = run_here("up", *arguments)
    assert done.returncode == 2
    assert says in done.stderr
    assert done.stdout == ""
    assert engine.done == []
