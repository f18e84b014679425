"""The steps of `up` and of a dry run, on an engine in memory: what is done, in which order, and what is not."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from stackctl import __version__
from stackctl.clients.grafana_login import Login
from stackctl.config.load import load
from stackctl.config.registry import OVERRIDE_FILE
from stackctl.config.settings import Settings
from stackctl.docker import named_volumes
from stackctl.docker.endpoint import Endpoint
from stackctl.docker.engine import EngineInfo
from stackctl.docker.inventory import Inventory
from stackctl.errors import EngineError, ServiceError, SeveralErrors, StackctlError
from stackctl.images import resolve, sets, writers
from stackctl.images.choice import Resolved
from stackctl.images.lockfile import Entry, Lock
from stackctl.images.resolve import Decision
from stackctl.images.writers import writer
from stackctl.lifecycle import (
    apply,
    attach,
    demo_data,
    down,
    grafana,
    log_positions,
    preflight,
    rehearsal,
    reload,
    up,
)
from stackctl.lifecycle.attach import Missing, Survey
from stackctl.lifecycle.preflight import Finding
from stackctl.lifecycle.proof import Up
from stackctl.project import config_volumes, engine_overrides, process_lock
from stackctl.project.config_volumes import Copy
from stackctl.project.container_metrics import ContainerMetrics
from stackctl.project.process_lock import exclusive
from stackctl.project.project import Project, ProjectState, UpRequest, open_project
from stackctl.project.running import addresses
from stackctl.project.secrets import STORE, Secrets
from stackctl.project.state import StateFolder
from stackctl.readiness import wait
from stackctl.readiness.observer import Observer
from stackctl.readiness.wait import Progress
from stackctl.render.configuration import render
from stackctl.render.rendering import Rendering
from stackctl.services.applications import MonitoredServices
from stackctl.services.catalog import HttpProbe, Service
from stackctl.services.releases import PLAN, Releases, Versions
from tests.support.engine import MemoryEngine, container
from tests.support.facts import inspected

LOCK = Lock(
    set="upstream", images={"loki": Entry(reference="loki:1", content=f"sha256:{'0' * 64}")}
)
VOLUME = "bot-core_mongodb_data"
COPIED = Copy("config_loki", {"": "config/loki"}, "image")


class Machine(MemoryEngine):
    """An engine with everything that an `up` may find, which notes what is done to it."""

    def __init__(self) -> None:
        super().__init__(container("grafana"), container("mongodb"))
        self.engine_info = EngineInfo("26.1.5", "2.26.1", "Debian", 8 * 1024**3, 2, Path("/"))
        self.named: set[str] = set()
        self.extra: list[Mapping[str, Any]] = []
        self.steps: list[str] = []
        self.sockets: set[str] = set()
        self.looked_for: list[tuple[str, str]] = []

    def has_socket(self, path: str, image: str) -> bool:
        self.looked_for.append((path, image))
        return path in self.sockets

    def inventory(self) -> Inventory:
        return Inventory(self.project, [*super().inventory().containers, *self.extra])

    def volumes(self, made: Collection[str] = ()) -> list[str]:
        return sorted(self.named)

    def copies(self) -> list[str]:
        return ["bot-core_config_loki", "bot-core_config_prometheus"]

    def configuration(self) -> dict[str, Any]:
        services = {name: {"image": "i", "depends_on": {"loki": {}}} for name in ("grafana",)}
        return {"name": "bot-core", "services": services}

    def merge_over(self, compose_files: Sequence[Path], env_files: Sequence[Path]) -> None:
        assert all(path.is_file() for path in (*compose_files, *env_files))

    def configuration_hashes(self, configuration: Mapping[str, Any]) -> dict[str, str]:
        return dict.fromkeys(configuration["services"], "hash")

    def image_id(self, reference: str) -> str | None:
        return f"id of {reference}"

    def up(self, *, pull: bool, services: Sequence[str] = ()) -> None:
        self.steps.append(f"up, pull={pull}")
        self.states["loki"] = container("loki")

    def down(self, *, timeout: int | None = None) -> None:
        self.steps.append(f"down, timeout={timeout}")

    def remove(self, name: str) -> None:
        self.steps.append(f"remove {name}")

    def remove_scratch(self, inventory: Inventory) -> None:
        self.steps.append("remove scratch")

    def remove_networks(self, keys: Collection[str]) -> None:
        self.steps.append(f"remove networks {sorted(keys)}")

    def unnamed_volumes(self) -> dict[str, str]:
        return {"f" * 64: "mongodb"}

    def execute(self, container: str, command: Sequence[str]) -> str:
        self.steps.append(f"in {container}: {command[-1].split()[0:2]}")
        return ""


@dataclass
class Stage:
    """A project on a machine, and what the rest of an `up` answers."""

    engine: Machine
    project: Project
    logins: list[Login] = field(default_factory=lambda: ["accepted"])
    """What Grafana makes of the password, at one time after another."""
    decision: Decision = field(default_factory=lambda: Decision("local", "kept"))
    resolved: Resolved = field(default_factory=lambda: Resolved("local", {}, "kept"))
    waits_for: set[str] = field(default_factory=lambda: {"grafana", "mongodb", "loki"})
    told: list[str] = field(default_factory=list)
    asked: dict[str, Any] = field(default_factory=dict)
    """What the image set was decided on and obtained with, and what cAdvisor was given."""
    obtaining: Callable[[], None] = lambda: None

    @property
    def observer(self) -> Observer:
        return Observer(self.told.append, self.told.append, lambda _: None)

    def up(self, request: UpRequest | None = None, versions: Versions | None = None) -> Up:
        return up.up(
            self.project,
            choice="auto",
            versions=versions,
            request=request or UpRequest(),
            timeout=7.0,
            observer=self.observer,
        )

    def down(self, *, volumes: bool = False, timeout: int | None = None) -> list[str]:
        return down.down(self.project, volumes=volumes, timeout=timeout, observer=self.observer)


@pytest.fixture
def stage(own_folders: None, monkeypatch: pytest.MonkeyPatch) -> Stage:
    engine = Machine()
    stage = Stage(engine, open_project(name=None, env_file=None))
    steps = engine.steps

    def examine(
        _: object, __: object, services: Sequence[Service], app: object, images: object
    ) -> list[Finding]:
        names = [one.name for one in services]
        stage.asked["examine"] = {"services": names, "app": app, "images": images}
        return [Finding("memory", "warning", "m", "r")]

    def decide(*_: object, **options: Any) -> Decision:
        stage.asked["decide"] = options
        return stage.decision

    def obtain(_: object, __: object, decision: Decision, **options: Any) -> Resolved:
        assert decision is stage.decision
        stage.asked["obtain"] = options
        steps.append("obtain images")
        stage.obtaining()
        return stage.resolved

    def adapt(*arguments: object) -> list[Copy]:
        stage.asked["adapt"] = arguments[-1]
        assert stage.project.state.compose_env.is_file()
        assert stage.project.choices.images == stage.resolved.name
        steps.append("adapt")
        return [COPIED]

    async def waited(services: Sequence[Any], *_: object, **options: Any) -> list[Progress]:
        assert options["timeout"] == 7.0
        assert set(options["containers"]) == stage.waits_for
        steps.append(f"wait for {len(services)}")
        return [Progress("loki", "ready", 1.0, "")]

    async def login(_: Project) -> Login:
        return stage.logins.pop(0) if len(stage.logins) > 1 else stage.logins[0]

    def remove_copies(_: object, *, but: Sequence[Copy] = ()) -> None:
        steps.append(f"remove copies but {[one.volume for one in but]}")

    for module in (apply, down, rehearsal):
        monkeypatch.setattr(module, "render", render_little)
    monkeypatch.setattr(Project, "engine", lambda *_: engine)
    monkeypatch.setattr(preflight, "examine", examine)
    monkeypatch.setattr(resolve, "decide", decide)
    monkeypatch.setattr(resolve, "obtain", obtain)
    monkeypatch.setattr(engine_overrides, "adapt", adapt)
    monkeypatch.setattr(config_volumes, "remove", remove_copies)
    monkeypatch.setattr(
        named_volumes, "remove", lambda names: steps.append(f"remove {sorted(names)}")
    )
    monkeypatch.setattr(reload, "note_started", lambda _: steps.append("note what is read"))
    monkeypatch.setattr(wait, "wait", waited)
    monkeypatch.setattr(grafana, "login", login)
    demo_data.record_fingerprint(stage.project.state, fingerprint(stage))
    return stage


def render_little(
    _: Settings,
    secrets: Secrets,
    state: StateFolder,
    *,
    images: Mapping[str, str],
    releases: Releases,
    present: MonitoredServices,
) -> Rendering:
    """Render what is enough for a test that is not about the files: the whole takes half a second."""
    state.compose_env.write_text("STACKCTL_CONFIG='c'\nSTACKCTL_SECRETS='s'\n")
    return Rendering((), {}, (), (), ())


@pytest.fixture
def rendering(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """The whole configuration, for the local set."""
    for module in (apply, rehearsal):
        monkeypatch.setattr(module, "render", render)
    stage.resolved = Resolved(
        "local", sets.variables(stage.project.settings, "local", PLAN, demo=True)
    )


def fingerprint(stage: Stage) -> str:
    return stage.project.secrets.fingerprint(demo_data.PASSWORD)


def test_an_up_with_everything_to_do_does_it_in_this_order(stage: Stage) -> None:
    stage.logins = ["refused", "accepted"]
    stage.engine.extra = [inspected("loki", name="0123456789ab_loki")]
    stage.engine.named = {VOLUME}
    demo_data.record_fingerprint(stage.project.state, "other")
    config_volumes.keep(stage.project.state, [COPIED])
    done = stage.up()
    assert stage.engine.steps == [
        "obtain images",
        "remove 0123456789ab_loki",
        "remove scratch",
        "adapt",
        "remove mongodb",
        f"remove ['{VOLUME}']",
        "up, pull=False",
        "note what is read",
        "remove copies but ['config_loki']",
        "wait for 19",
        "in id-grafana: ['grafana', 'cli']",
    ]
    assert stage.told == [
        "checking this machine",
        "choosing the images",
        "kept",
        "removed 0123456789ab_loki, left over from an interrupted `up`",
        "recreating bot-core_mongodb_data: demo MongoDB password changed",
        "starting the containers",
        "waiting for readiness",
        "resetting Grafana's admin password",
    ]
    assert done.changed == ("loki",)
    assert (done.left_out, done.missing) == ((), ())
    assert done.resolved is stage.resolved
    assert demo_data.recorded_fingerprint(stage.project.state) == fingerprint(stage)
    assert stage.project.choices == ProjectState(
        images="local", version=__version__, addresses=addresses(stage.project.settings)
    )


def test_an_up_with_nothing_to_do_removes_and_sets_nothing(stage: Stage) -> None:
    stage.engine.named = {VOLUME}
    stage.up()
    assert stage.engine.steps == [
        "obtain images",
        "remove scratch",
        "adapt",
        "up, pull=False",
        "note what is read",
        "wait for 19",
    ]


def test_what_was_stopped_or_paused_is_started_and_counts_as_a_change(stage: Stage) -> None:
    stage.engine.states["redis"] = container("redis", status="paused", attached=True)
    stage.engine.states["mongodb"] = container("mongodb", status="paused")
    stage.engine.extra = [inspected("grafana", running=False), inspected("mongodb", paused=True)]
    stage.waits_for = {"grafana", "mongodb", "loki", "redis"}
    # Compose fails over a paused container; bot-core's own are not ours to touch.
    assert set(stage.up().changed) == {"grafana", "mongodb", "loki"}
    assert stage.engine.done == [("unpause", "id-mongodb")]


def test_the_upstream_set_and_bot_cores_own_files_are_pulled(stage: Stage) -> None:
    stage.decision, stage.resolved = Decision("upstream"), Resolved("upstream", {})
    stage.up()
    assert "up, pull=True" in stage.engine.steps
    assert "kept" not in stage.told


def test_a_release_that_the_engine_decides_on_is_told_once_and_kept(stage: Stage) -> None:
    stage.engine.engine_info = replace(stage.engine.engine_info, containerd_store=True)
    stage.up()
    told = "moving from the plan's release to the current one: cadvisor"
    assert told in stage.told
    assert stage.asked["decide"]["releases"] == Releases(frozenset({"cadvisor"}))
    assert stage.project.choices.releases == Releases(frozenset({"cadvisor"}))
    stage.told.clear()
    stage.up()
    assert told not in stage.told
    assert dry_run(stage).state.releases == Releases(frozenset({"cadvisor"}))


def test_the_current_releases_are_told_for_what_runs(stage: Stage) -> None:
    stage.up(versions="current")
    (told,) = [one for one in stage.told if one.startswith("moving from the plan's release")]
    assert "alloy" in told
    assert "promtail" not in told


def test_a_log_collector_hands_its_positions_over_before_it_is_removed(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = stage.engine
    engine.states["promtail"] = container("promtail")
    engine.extra = [inspected("promtail")]
    stage.waits_for |= {"promtail"}

    def hand_over(project: str, giver: str, taker: str, *_: object) -> int:
        assert engine.states[giver].status == "exited"
        engine.steps.append(f"{giver} to {taker} in {project}")
        return 18

    monkeypatch.setattr(log_positions, "hand_over", hand_over)
    stage.up(versions="current")
    begun = engine.steps.index("promtail to alloy in bot-core")
    assert engine.steps[begun : begun + 3] == [
        "promtail to alloy in bot-core",
        "remove promtail",
        "up, pull=False",
    ]
    assert engine.steps.count("remove promtail") == 1
    assert "alloy continues 18 logs where promtail stopped" in stage.told


def test_a_set_that_was_fallen_back_to_does_not_open_the_data_of_another(stage: Stage) -> None:
    stage.engine.named = {"bot-core_loki_data"}
    stage.project.keep(ProjectState(images="upstream"))
    stage.decision = Decision("upstream", falls_back=True)
    stage.resolved = Resolved("local", {}, "no registry")
    with pytest.raises(StackctlError, match="loki_data contains the log lines of version"):
        stage.up()
    assert stage.engine.steps == ["obtain images"]
    assert stage.project.choices.images == "upstream"


def test_what_was_started_is_on_record_although_not_all_was(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    def up(**_: object) -> None:
        raise EngineError("port taken")

    monkeypatch.setattr(stage.engine, "up", up)
    with pytest.raises(EngineError, match="port taken"):
        stage.up()
    found = writers.recorded(stage.project.state)
    assert found["grafana_data"] == writer("stackctl/grafana:local")
    assert "loki_data" not in found


def test_the_image_set_is_decided_and_obtained_for_the_same_stack(stage: Stage) -> None:
    pins = {"gcr.io/cadvisor/cadvisor:v0.47.2": "stackctl/cadvisor:local"}
    stage.project.keep(ProjectState(images="upstream", pins=pins))
    Path("stackctl.lock").write_text(LOCK.model_dump_json())
    stage.up(UpRequest(demo=False))
    assert stage.asked["examine"]["images"] == "upstream"
    assert stage.asked["decide"] == {
        "choice": "auto",
        "previous": "upstream",
        "releases": PLAN,
        "demo": False,
        "lock": LOCK,
        "previous_pins": pins,
    }
    progress = stage.asked["obtain"].pop("progress")
    progress("pulling")
    assert stage.told[-1] == "pulling"
    assert stage.asked["obtain"] == {"demo": False, "lock": LOCK}


def test_a_stack_beside_bot_core_is_on_its_network_and_says_what_is_missing(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    gap = Missing("redis", "no redis", "start it")

    def survey(_: Project, state: ProjectState) -> Survey:
        assert state.network == "net"
        stage.engine.steps.append("survey")
        return Survey((gap,), frozenset(), "")

    monkeypatch.setattr(attach, "discover", lambda _, state: state)
    monkeypatch.setattr(attach, "survey", survey)
    monkeypatch.setattr(stage.engine, "neighbours", lambda _: [])
    stage.engine.states["redis"] = container("redis", attached=True)
    stage.waits_for = {"grafana", "mongodb", "loki", "redis"}
    done = stage.up(UpRequest(network="net"))
    assert "net" in stage.project.state.join_file.read_text()
    # Its containers are not ours: their ports are not checked, they are not waited for, and not started.
    assert len(stage.asked["examine"]["services"]) == 11
    assert "redis" not in stage.asked["examine"]["services"]
    assert "wait for 11" in stage.engine.steps
    assert done.changed == ("loki",)
    assert (done.left_out, done.missing) == (("mongodb",), (gap,))
    assert stage.engine.steps[-1] == "survey"
    missing = dry_run(stage).facts.rehearsal
    assert missing is not None
    assert "rust-core-engine" in {one.service for one in missing.missing}
    assert stage.down() == ["grafana", "loki", "mongodb"]
    assert stage.told[-1] == "stopping 3 containers"


def test_bot_cores_own_files_are_pulled_with_the_local_set_too(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = Path("app.yml").absolute()
    file.touch()
    monkeypatch.setattr(attach, "discover", lambda _, state: state)
    monkeypatch.setattr(attach, "created_volumes", lambda *_: ("theirs",))
    monkeypatch.setattr(attach, "survey", lambda *_: Survey((), frozenset(), ""))
    stage.up(UpRequest(app_files=(file,)))
    assert "up, pull=True" in stage.engine.steps
    # They are on record before anything is started, so that `down --volumes` finds them.
    assert stage.project.choices.volumes == ("theirs",)


def test_what_was_resolved_is_kept_and_not_what_was_decided(stage: Stage) -> None:
    stage.decision = Decision("upstream", pull=("loki:1",), falls_back=True)
    stage.resolved = Resolved("local", {}, "no registry", {"a": "b"})
    stage.up()
    assert (stage.project.choices.images, stage.project.choices.pins) == ("local", {"a": "b"})
    assert "up, pull=False" in stage.engine.steps


def on_containerd(stage: Stage, **changes: Any) -> None:
    """Have an engine with containerd's store, elsewhere, whose containerd has its socket at /c.sock."""
    assert isinstance(stage.engine.engine_info, EngineInfo)
    stage.engine.engine_info = replace(
        stage.engine.engine_info, containerd_store=True, containerd_socket="/c.sock", **changes
    )
    stage.engine.endpoint = Endpoint("ssh", host="server.example")
    stage.resolved = Resolved("upstream", {"DOCKER_SOCKET_PROXY_IMAGE": "haproxy:1"})


def test_containerds_socket_is_looked_for_on_the_engines_machine_and_handed_over(
    stage: Stage,
) -> None:
    on_containerd(stage)
    stage.engine.sockets = {"/c.sock"}
    assert stage.up().unseen is None
    assert stage.engine.looked_for == [("/c.sock", "haproxy:1")]
    assert stage.asked["adapt"] == ContainerMetrics("/c.sock")
    assert stage.project.present().container_metrics


def test_without_containerds_socket_there_are_no_container_metrics(stage: Stage) -> None:
    on_containerd(stage)
    assert stage.up().unseen == "socket"
    assert stage.asked["adapt"] == ContainerMetrics(obstacle="socket")
    assert not stage.project.present().container_metrics
    (cadvisor,) = (one for one in stage.project.services if one.name == "cadvisor")
    assert cadvisor.probe == HttpProbe("/healthz")
    # With the socket they are there again.
    stage.engine.sockets = {"/c.sock"}
    assert stage.up().unseen is None
    assert stage.project.present().container_metrics


def test_what_the_engine_cannot_show_goes_by_the_image_set_that_was_obtained(
    stage: Stage,
) -> None:
    on_containerd(stage)
    stage.decision = Decision("upstream", pull=("loki:1",), falls_back=True)
    stage.resolved = Resolved("local", {})
    assert stage.up().unseen is None
    assert stage.asked["adapt"] == ContainerMetrics()


def test_a_dry_run_warns_that_containers_cannot_be_seen(stage: Stage) -> None:
    on_containerd(stage, rootless=True)
    stage.decision = Decision("upstream")
    plan = dry_run(stage)
    assert "containers" in {one.subject for one in plan.warnings}
    assert plan.state.unseen == "rootless"
    assert stage.engine.looked_for == []


@pytest.mark.parametrize(
    ("decision", "takes_minutes"),
    [
        (Decision("local", build=("loki:local",)), True),
        (Decision("upstream", pull=("loki:1",)), True),
        (Decision("local"), False),
    ],
)
def test_after_minutes_of_pulling_the_engine_is_asked_again(
    stage: Stage, decision: Decision, takes_minutes: bool
) -> None:
    def meanwhile() -> None:
        stage.engine.extra = [inspected("loki", name="0123456789ab_loki")]

    stage.obtaining = meanwhile
    stage.decision = decision
    stage.up()
    assert ("remove 0123456789ab_loki" in stage.engine.steps) is takes_minutes


def test_without_the_demo_its_data_and_record_stay(stage: Stage) -> None:
    stage.engine.named = {VOLUME}
    demo_data.record_fingerprint(stage.project.state, "other")
    stage.up(UpRequest(demo=False))
    assert "remove mongodb" not in stage.engine.steps
    assert demo_data.recorded_fingerprint(stage.project.state) == "other"


def test_a_reset_that_is_cut_off_is_done_again(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cut_off(_: Collection[str]) -> None:
        raise KeyboardInterrupt

    stage.engine.named = {VOLUME}
    demo_data.record_fingerprint(stage.project.state, "other")
    with monkeypatch.context() as patched:
        patched.setattr(named_volumes, "remove", cut_off)
        with pytest.raises(KeyboardInterrupt):
            stage.up()
    stage.up()
    assert f"remove ['{VOLUME}']" in stage.engine.steps


def test_a_failure_of_the_preflight_checks_ends_an_up_before_it_begins(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    failure = Finding("ports", "failure", "taken", "stop it")
    monkeypatch.setattr(preflight, "examine", lambda *_: [failure])
    before = project_files(stage)
    with pytest.raises(SeveralErrors, match="taken"):
        stage.up()
    assert stage.engine.steps == []
    assert project_files(stage).keys() - {"lock"} == before.keys() - {"lock"}


def test_a_restore_that_was_cut_off_is_refused_first(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage.project.state.write_json("restore.json", {"volumes": ["v"]})
    monkeypatch.setattr(named_volumes, "present", set)
    with pytest.raises(KeyboardInterrupt), exclusive(stage.project.state, "down"):
        raise KeyboardInterrupt
    for run in (stage.up, lambda: dry_run(stage)):
        with pytest.raises(StackctlError, match="a restore was interrupted"):
            run()
    assert stage.engine.steps == []


def test_the_rest_of_a_down_is_done_before_the_plan_is_made(stage: Stage) -> None:
    with pytest.raises(KeyboardInterrupt), exclusive(stage.project.state, "down"):
        raise KeyboardInterrupt
    stage.up()
    assert stage.engine.steps[:2] == ["down, timeout=None", "obtain images"]
    assert stage.told[0] == "finishing an interrupted `down`"
    stage.engine.steps.clear()
    stage.up()
    assert stage.engine.steps[0] == "obtain images"


def project_files(stage: Stage) -> dict[str, bytes]:
    folder = stage.project.state.folder
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def dry_run(stage: Stage, request: UpRequest | None = None) -> up.UpPlan:
    return up.dry_run(
        stage.project,
        choice="auto",
        versions=None,
        request=request or UpRequest(),
        step=stage.told.append,
    )


@pytest.mark.usefixtures("rendering")
def test_a_dry_run_says_what_an_up_does_and_changes_nothing(stage: Stage) -> None:
    stage.engine.named = {VOLUME}
    demo_data.record_fingerprint(stage.project.state, "other")
    config_volumes.keep(stage.project.state, [COPIED])
    before = project_files(stage)
    plan = dry_run(stage)
    assert project_files(stage) == before
    assert stage.engine.steps == []
    assert stage.told == ["checking this machine", "choosing the images"]
    assert [one.volume for one in plan.resets] == [VOLUME]
    assert plan.stale_volumes == ("bot-core_config_loki", "bot-core_config_prometheus")
    found = plan.facts.rehearsal
    assert found is not None
    assert {"compose.env", "secrets/grafana_password"} <= set(found.files.added)
    assert any(name.startswith("config/prometheus/") for name in found.files.added)
    assert found.dependencies == {"grafana": {"loki"}}
    assert found.images["grafana"] == "id of stackctl/grafana:local"
    assert found.grafana_password == "keep"
    assert plan.state.images == "local"


@pytest.mark.usefixtures("rendering")
def test_after_an_up_a_dry_run_finds_every_file_as_it_should_be(stage: Stage) -> None:
    stage.up()
    found = dry_run(stage).facts.rehearsal
    assert found is not None
    assert found.files == rehearsal.FileChanges()
    # What is set otherwise shows, and nothing else; so does what is not rendered any more.
    stage.project = replace(stage.project, settings=load(environ={"LOKI_PORT": "3111"}))
    (stage.project.state.config / "old.yml").touch()
    stage.project.state.join_file.touch()
    found = dry_run(stage).facts.rehearsal
    assert found is not None
    assert found.files == rehearsal.FileChanges(
        changed=("compose.env",), removed=("config/old.yml", "join.yml")
    )


def test_a_dry_run_is_of_the_locked_images(stage: Stage) -> None:
    reference = "prom/prometheus:v2.48.0"
    stage.decision = Decision("upstream", pins={reference: "sha256:0"})
    plan = dry_run(stage)
    assert plan.state.pins == {reference: "sha256:0"}
    found = plan.facts.rehearsal
    assert found is not None
    assert found.images["prometheus"] == f"id of {reference}@sha256:0"


@pytest.mark.usefixtures("rendering")
def test_a_dry_run_has_the_day_on_which_lokis_index_began(stage: Stage) -> None:
    stage.project.state.write_json("loki.json", {"tsdb_from": "2026-08-01"})
    stage.up(versions="current")
    found = dry_run(stage).facts.rehearsal
    assert found is not None
    assert "config/loki/loki-config.yml" not in found.files.changed


@pytest.mark.usefixtures("rendering")
def test_a_dry_run_has_compose_read_the_new_secrets_and_the_old_paths(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    pins = {"prom/prometheus:v2.48.0": "sha256:0"}
    stage.decision = Decision("upstream", pins=pins)
    monkeypatch.setattr(attach, "discover", lambda _, state: state)
    monkeypatch.setattr(stage.engine, "neighbours", lambda _: [])
    seen: dict[str, str] = {}

    def engine(project: Project, *_: object) -> Machine:
        folder = project.state
        if folder.folder != stage.project.state.folder:
            seen.update(line.split("=", 1) for line in _lines(folder.compose_env))
            assert Path(seen["STACKCTL_SECRETS"].strip("'")) == folder.secrets
            assert "net" in folder.join_file.read_text()
        return stage.engine

    monkeypatch.setattr(Project, "engine", engine)
    found = dry_run(stage, UpRequest(network="net")).facts.rehearsal
    assert found is not None
    # A path of its own in what is mounted would recreate every container.
    assert seen["STACKCTL_CONFIG"] == f"'{stage.project.state.config}'"
    assert seen["PROMETHEUS_IMAGE"] == "'prom/prometheus:v2.48.0@sha256:0'"
    assert "join.yml" in found.files.added
    assert list(found.files.added) == sorted(found.files.added)


def _lines(file: Path) -> list[str]:
    return [line for line in file.read_text().splitlines() if "=" in line]


def test_a_dry_run_takes_volumes_that_are_mounted_again_for_no_stale_ones(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    config_volumes.keep(stage.project.state, [COPIED])
    monkeypatch.setattr(engine_overrides, "write_files", lambda *_, **__: [COPIED])
    assert dry_run(stage).stale_volumes == ("bot-core_config_prometheus",)


def test_a_service_that_depends_on_none_is_read_as_that(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    configuration = {"name": "bot-core", "services": {"loki": {"image": "i"}}}
    monkeypatch.setattr(stage.engine, "configuration", lambda: configuration)
    found = dry_run(stage).facts.rehearsal
    assert found is not None
    assert found.dependencies == {"loki": frozenset()}
    # Nothing of bot-core is looked for where the demo is.
    assert found.missing == ()


@pytest.mark.parametrize("name", ["added", "changed", "removed"])
def test_one_kind_of_change_to_files_is_a_change(name: str) -> None:
    assert rehearsal.FileChanges(**{name: ("a",)})
    assert not rehearsal.FileChanges()


def test_changes_to_files_are_named_in_order(tmp_path: Path) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    for folder, prefixes in ((old, ("changed", "removed")), (new, ("changed", "added"))):
        (folder / "config").mkdir(parents=True)
        for prefix in prefixes:
            for letter in "hcabgfed":
                (folder / "config" / f"{prefix}-{letter}").write_text(folder.name)
    (new / "project.json").touch()
    found = rehearsal.compare(new, old)
    for changed, prefix in (
        (found.added, "added"),
        (found.changed, "changed"),
        (found.removed, "removed"),
    ):
        assert changed == tuple(f"config/{prefix}-{letter}" for letter in "abcdefgh")


def test_before_grafana_was_ever_there_its_password_is_its_first(stage: Stage) -> None:
    del stage.engine.states["grafana"]
    found = dry_run(stage).facts.rehearsal
    assert found is not None
    assert found.grafana_password == "keep"


def test_an_up_renders_nothing_aside(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stackctl.lifecycle.plan.rehearse", lambda *_: pytest.fail("it did"))
    stage.up()


def test_a_dry_run_uses_the_secrets_that_there_are(stage: Stage) -> None:
    assert dry_run(stage).facts.fingerprint == fingerprint(stage)


def test_a_dry_run_names_a_damaged_store_of_secrets_by_its_own_path(stage: Stage) -> None:
    store = stage.project.state.folder / STORE
    store.write_text("[]")
    with pytest.raises(StackctlError, match=re.escape(str(store))) as caught:
        dry_run(stage)
    assert caught.value.remedy is not None
    assert str(store) in caught.value.remedy


def test_a_dry_run_refuses_a_state_folder_that_cannot_be_written(stage: Stage) -> None:
    state = stage.project.state
    state.compose_env.write_text("")
    stage.project = replace(stage.project, state=StateFolder(state.compose_env / "bot-core"))
    with pytest.raises(StackctlError, match=r"cannot create the state folder "):
        dry_run(stage)
    assert stage.told == []


@pytest.mark.parametrize("remedy", [None, "start Docker"])
def test_an_override_that_compose_cannot_read_is_named(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, remedy: str | None
) -> None:
    def refuse() -> None:
        raise EngineError("yaml: line 1", remedy=remedy)

    monkeypatch.setattr(stage.engine, "configuration", refuse)
    override = Path(OVERRIDE_FILE).absolute()
    override.touch()
    for run in (stage.up, lambda: dry_run(stage)):
        with pytest.raises(EngineError) as caught:
            run()
        assert caught.value.message == "yaml: line 1"
        assert caught.value.remedy == (remedy or f"correct {override}, or remove it")
    assert "up, pull=False" not in stage.engine.steps
    override.unlink()
    with pytest.raises(EngineError) as caught:
        dry_run(stage)
    assert caught.value.remedy == remedy


def test_a_dry_run_leaves_nothing_of_its_rendering(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    modes = []

    def hashes(configuration: Mapping[str, Any]) -> dict[str, str]:
        modes.extend(path.stat().st_mode & 0o777 for path in folder.iterdir())
        return {}

    monkeypatch.setattr(stage.engine, "configuration_hashes", hashes)
    dry_run(stage)
    assert modes == [0o700]
    assert list(folder.iterdir()) == []


def test_a_password_that_is_refused_after_it_was_set_is_an_error(stage: Stage) -> None:
    stage.logins = ["refused", "refused"]
    with pytest.raises(StackctlError, match=r"reset the admin password, but rejects the new one"):
        stage.up()
    assert stage.engine.steps[-1] == "in id-grafana: ['grafana', 'cli']"


@pytest.mark.parametrize("before", [[], ["refused"]], ids=["at once", "after it was set"])
def test_an_admin_who_is_locked_out_is_told_so(stage: Stage, before: list[Login]) -> None:
    stage.logins = [*before, "locked"]
    stage.up()
    assert "for up to five minutes" in stage.told[-1]
    assert ("resetting Grafana's admin password" in stage.told) == bool(before)


@pytest.mark.parametrize(
    ("status", "volumes", "answer", "expected"),
    [
        ("running", {"bot-core_grafana_data"}, "refused", "set"),
        ("running", {"bot-core_grafana_data"}, "accepted", "keep"),
        ("running", {"bot-core_grafana_data"}, "locked", "keep"),
        ("running", {"bot-core_grafana_data"}, None, "unknown"),
        ("exited", {"bot-core_grafana_data"}, "refused", "unknown"),
        # Grafana starts with the password that it is given.
        ("exited", set[str](), "refused", "keep"),
    ],
)
def test_what_is_known_of_grafanas_password(
    stage: Stage,
    monkeypatch: pytest.MonkeyPatch,
    status: str,
    volumes: set[str],
    answer: Login | None,
    expected: str,
) -> None:
    async def login(_: Project) -> Login:
        if answer is None:
            raise ServiceError("it does not answer", service="grafana")
        return answer

    monkeypatch.setattr(grafana, "login", login)
    stage.engine.states["grafana"] = container("grafana", status=status)
    stage.engine.named = volumes
    found = dry_run(stage).facts.rehearsal
    assert found is not None
    assert found.grafana_password == expected


def test_a_dry_run_tells_of_a_down_that_was_cut_off_and_leaves_it_so(stage: Stage) -> None:
    with pytest.raises(KeyboardInterrupt), exclusive(stage.project.state, "down"):
        raise KeyboardInterrupt
    # As for a process that was killed.
    lock = stage.project.state.folder / "lock"
    lock.write_text(json.dumps({**json.loads(lock.read_text()), "pid": 4194304}))
    for _ in range(2):
        assert dry_run(stage).facts.down_cut_off
    with exclusive(stage.project.state, "up") as hold:
        assert hold.down_cut_off


def test_a_dry_run_does_not_wait_for_a_command_at_work(stage: Stage) -> None:
    with (
        exclusive(stage.project.state, "restore"),
        pytest.raises(StackctlError, match=r"stackctl restore \(pid .* is changing"),
    ):
        dry_run(stage)
    assert not dry_run(stage).facts.down_cut_off


def test_a_dry_run_of_what_was_never_up_creates_no_state_folder(
    stage: Stage, state_dir: Path
) -> None:
    stage.project = open_project(name="never", env_file=None, create=False)
    dry_run(stage)
    assert not (state_dir / "never").exists()


def test_down_with_its_data_in_this_order(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    stage.up()
    stage.project.keep(replace(stage.project.choices, app_networks=("net",), volumes=("theirs",)))
    stage.engine.steps.clear()
    stage.told.clear()
    stage.engine.named = {VOLUME}
    assert stage.down(volumes=True, timeout=3) == ["grafana", "loki", "mongodb"]
    assert stage.engine.steps == [
        "down, timeout=3",
        "remove networks ['net']",
        "remove copies but []",
        "remove scratch",
        f"remove ['{VOLUME}', '{'f' * 64}']",
    ]
    assert stage.told == ["stopping 3 containers"]
    assert stage.project.choices.volumes == ()


def test_down_keeps_the_data_and_forgets_the_request(stage: Stage) -> None:
    stage.up(UpRequest(demo=False))
    stage.project.keep(replace(stage.project.choices, volumes=("theirs",)))
    stage.engine.states.clear()
    stage.engine.steps.clear()
    stage.told.clear()
    assert stage.down() == []
    assert stage.engine.steps == [
        "down, timeout=None",
        "remove networks []",
        "remove copies but []",
        "remove scratch",
    ]
    assert stage.told == []
    assert stage.project.choices.request == UpRequest()
    assert (stage.project.choices.demo, stage.project.choices.volumes) == (False, ("theirs",))


def test_down_of_what_was_never_up_renders_what_compose_needs(stage: Stage) -> None:
    assert not stage.project.state.compose_env.exists()
    stage.down()
    assert stage.project.state.compose_env.is_file()


def test_down_renders_nothing_over_what_up_has_rendered(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage.up()
    # It knows of no images: Compose would take the defaults of the upstream set.
    monkeypatch.setattr(down, "render", lambda *_, **__: pytest.fail("it did"))
    stage.down()


def test_down_leaves_containers_of_others_alone(stage: Stage) -> None:
    stage.engine.others = ["bot-core-mongo-1"]
    with pytest.raises(SeveralErrors, match="bot-core-mongo-1"):
        stage.down()
    assert stage.engine.steps == []


def test_a_down_that_is_cut_off_stays_on_record(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cut_off(*, timeout: int | None = None) -> None:
        raise EngineError("docker compose down failed")

    with monkeypatch.context() as patched:
        patched.setattr(stage.engine, "down", cut_off)
        with pytest.raises(EngineError):
            stage.down()
    with pytest.raises(KeyboardInterrupt), exclusive(stage.project.state, "down"):
        raise KeyboardInterrupt
    stage.down()
    assert process_lock.standing(stage.project.state) == process_lock.Standing()


def test_a_name_that_looks_like_a_setting_is_told(stage: Stage) -> None:
    Path(".env").write_text("grafana_port=4000\n")
    stage.project = open_project(name=None, env_file=None)
    stage.up()
    assert "grafana_port (.env:1) is no setting; did you mean GRAFANA_PORT?" in stage.told
