"""Every fault by itself: what it does to the engine, what heals it, what it refuses, and what it leaves to others."""

from __future__ import annotations

import asyncio
import dataclasses
import datetime as dt
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from stackctl.chaos import network, pressure, steady
from stackctl.chaos.faults import FAULTS, heal, heal_all, injected
from stackctl.chaos.journal import Journal, NotSteady, OpenFault
from stackctl.cli import cli
from stackctl.config.load import load
from stackctl.docker.engine import Engine
from stackctl.docker.models import ContainerState, Surroundings, Usage
from stackctl.errors import EngineError, StackctlError, UsageError
from stackctl.project.project import Project, ProjectState, open_project
from stackctl.project.state import open_state
from stackctl.services.catalog import SERVICES
from stackctl.util import yaml_text
from tests.support.cli import run_here
from tests.support.engine import MemoryEngine, container
from tests.support.http import Reply, serving

MIB = 1 << 20

EXPECTED = {
    "stop": (["stop"], ["start"]),
    "kill": (["kill"], ["start"]),
    "pause": (["pause"], ["unpause"]),
    "restart": (["restart"], ["start"]),
    "disconnect": (["disconnect"], ["connect"]),
    "slow": (["run in network"], ["run in network"]),
    "fill memory": (["exec -d"], ["exec"]),
    "fill disk": (["exec -d", "exec"], ["exec", "run in volume"]),
}
"""Fault → what is done to the engine, and what is done to heal it."""

DETAILS = {
    "slow": {"delay": "300ms", "loss": "5%", "name": "loki-tc", "image": network.IMAGE},
    "disconnect": {"network": "bot-core_bot-network"},
    "fill disk": {"volume": "bot-core_data", "image": "stackctl/loki:local", "path": "/data/f"},
}
"""What the journal has of the faults whose healing needs more than the container."""


class ChaosEngine(MemoryEngine):
    """Has what faults ask for beside the states: volumes, limits, images, and programs with fixed answers."""

    def __init__(self, *states: ContainerState) -> None:
        super().__init__(*states)
        self.around = Surroundings(
            memory_limit_bytes=100 * MIB,
            network_mode="bot-core_bot-network",
            networks=("bot-core_bot-network",),
            volumes={"/data": "bot-core_data"},
        )
        self.used = 20 * MIB
        self.available = 4096 * MIB
        self.held = 100 * MIB
        self.images = {network.IMAGE, *(state.image for state in states)}
        self.commands: list[list[str]] = []
        """Whatever changed something, wherever it ran."""
        self.taken: set[str] = set()
        """The images that programs were run from, in a network."""
        self.has_shell = True

    def restart(self, container: str, *, timeout: int = 10) -> None:
        self._do("restart", container, "running")

    def surroundings(self, container: str) -> Surroundings:
        return self.around

    def usage(self, containers: Sequence[str]) -> dict[str, Usage]:
        limit = self.around.memory_limit_bytes
        return {name: Usage(0.0, self.used, limit, 1.0) for name in containers}

    def image_id(self, reference: str) -> str | None:
        return reference if reference in self.images else None

    def labels_of_images(self, references: Sequence[str]) -> dict[str, dict[str, str]]:
        return {}

    def build(self, build_file: Path, arguments: Mapping[str, str] = {}) -> Iterator[str]:
        services = yaml_text.load(build_file.read_text())["services"]
        self.done.append(("build", ""))
        yield "E: Unable to locate package iproute2"
        if "build" in self.fails:
            raise EngineError("docker compose build failed (exit 17)")
        self.images.update(service["image"] for service in services.values())

    def execute(self, container: str, command: Sequence[str]) -> str:
        if not self.has_shell:
            raise EngineError('docker exec sh failed: exec: "sh": executable file not found')
        script = " ".join(command)
        if "MemAvailable" in script:
            return f"MemAvailable:   {self.available // 1024} kB\n"
        if "df -Pk" in script:
            return f"Filesystem 1K-blocks Used Available\ndisk 1 1 {self.available // 1024} 1% /\n"
        if "VmRSS" in script:
            half = f"VmRSS:\t   {self.held // 2048} kB\n"
            return half + half
        self._run("exec", container, command)
        return ""

    def execute_detached(self, container: str, command: Sequence[str]) -> None:
        self._run("exec -d", container, command)

    def run_in_network_of(
        self, container: str, image: str, command: Sequence[str], *, name: str
    ) -> None:
        self.taken.add(image)
        self._run("run in network", container, command)

    def run_in_volume(self, volume: str, image: str, command: Sequence[str]) -> None:
        self._run("run in volume", volume, command)

    def _run(self, where: str, target: str, command: Sequence[str]) -> None:
        self.commands.append(list(command))
        self.done.append((where, target))

    @property
    def verbs(self) -> list[str]:
        return [verb for verb, _ in self.done]


@pytest.fixture
def journal(state_dir: Path) -> Journal:
    return Journal(open_state("bot-core"))


@pytest.mark.parametrize("kind", FAULTS)
def test_a_fault_is_journaled_before_and_struck_out_after_healing(
    journal: Journal, kind: str
) -> None:
    engine = ChaosEngine(container("loki"))
    before: list[OpenFault] = []

    def inject(on: Engine, fault: OpenFault) -> None:
        before.extend(journal.open_faults())
        FAULTS[kind].inject(on, fault)

    does, heals = EXPECTED[kind]
    watched = dataclasses.replace(FAULTS[kind], inject=inject)
    with injected(engine, journal, watched, "loki") as record:
        assert before == journal.open_faults() == [record]
        found = (record.kind, record.service, record.container, record.pid)
        assert found == (kind, "loki", "id-loki", os.getpid())
        assert not record.abandoned
        assert engine.verbs == does
    assert engine.verbs == does + heals
    assert journal.open_faults() == []


@pytest.mark.parametrize("kind", FAULTS)
@pytest.mark.parametrize("error", [EngineError, KeyboardInterrupt])
def test_a_fault_that_fails_half_way_is_healed(
    journal: Journal, kind: str, error: type[BaseException]
) -> None:
    engine = ChaosEngine(container("loki"))

    def inject(on: Engine, fault: OpenFault) -> None:
        FAULTS[kind].inject(on, fault)
        raise error("half way")

    broken = dataclasses.replace(FAULTS[kind], inject=inject)
    with pytest.raises(error), injected(engine, journal, broken, "loki"):
        pytest.fail("the body must not run")
    does, heals = EXPECTED[kind]
    assert engine.verbs == does + heals
    assert journal.open_faults() == []


@pytest.mark.parametrize("kind", FAULTS)
def test_a_fault_that_the_engine_refused_is_not_in_the_journal(journal: Journal, kind: str) -> None:
    """An image of another platform, for one: healing would need the same, and fail in the same way."""
    engine = ChaosEngine(container("loki"))

    def refuse(on: Engine, fault: OpenFault) -> None:
        raise EngineError("docker run failed (exit 125)", refused=True)

    refused = dataclasses.replace(FAULTS[kind], inject=refuse, heal=refuse)
    with pytest.raises(EngineError), injected(engine, journal, refused, "loki"):
        pytest.fail("the body must not run")
    assert engine.verbs == []
    assert journal.open_faults() == []


@pytest.mark.parametrize("kind", FAULTS)
@pytest.mark.parametrize("recreated", [False, True], ids=["gone", "recreated"])
def test_healing_a_container_that_is_gone_touches_no_container(
    journal: Journal, kind: str, recreated: bool
) -> None:
    engine = ChaosEngine(*([container("loki", id="id-new")] if recreated else []))
    engine.images.add("stackctl/loki:local")
    journal.begin(kind, "loki", "id-gone", DETAILS.get(kind))
    assert [record.kind for record in heal_all(engine, journal)] == [kind]
    # The file is in a volume, which outlives its container.
    assert engine.done == ([("run in volume", "bot-core_data")] if kind == "fill disk" else [])
    assert journal.open_faults() == []


@pytest.mark.parametrize("kind", FAULTS)
def test_healing_twice_does_no_harm(journal: Journal, kind: str) -> None:
    engine = ChaosEngine(container("loki"))
    record = journal.begin(kind, "loki", "id-loki", DETAILS.get(kind))
    heal(engine, journal, record)
    heal(engine, journal, record)
    assert engine.states["loki"].running
    assert journal.open_faults() == []


def test_a_fault_that_cannot_be_healed_does_not_keep_the_others_from_it(journal: Journal) -> None:
    engine = ChaosEngine(container("loki"), container("grafana", status="paused"))
    journal.begin("fill disk", "loki", "id-loki", {**DETAILS["fill disk"], "image": "other"})
    journal.begin("pause", "grafana", "id-grafana")
    with pytest.raises(StackctlError, match="image other is gone"):
        heal_all(engine, journal)
    assert engine.states["grafana"].running
    assert [record.kind for record in journal.open_faults()] == ["fill disk"]


def test_a_stop_that_was_cut_off_is_not_taken_for_one_that_is_over(journal: Journal) -> None:
    # The engine may still be waiting for the program to end: `docker start` would do nothing, and then it ends.
    hour_ago = dt.datetime.now(dt.UTC) - dt.timedelta(hours=1)
    engine = ChaosEngine(container("loki", started=hour_ago))
    heal(engine, journal, journal.begin("stop", "loki", "id-loki"))
    assert engine.done == [("restart", "id-loki")]


class ImpatientEngine(ChaosEngine):
    """Ctrl-C comes during the first attempts to start a container, and ends the docker command too."""

    attempts = 0
    interrupted = 2

    def start(self, container: str) -> None:
        self.attempts += 1
        if self.attempts <= self.interrupted:
            signal.raise_signal(signal.SIGINT)
            raise EngineError("docker start failed (exit 130)")
        super().start(container)


def test_a_healing_that_ctrl_c_cut_off_is_done_again(journal: Journal) -> None:
    engine = ImpatientEngine(container("loki", status="exited"))
    with pytest.raises(KeyboardInterrupt):
        heal(engine, journal, journal.begin("kill", "loki", "id-loki"))
    assert engine.attempts == 3
    assert engine.states["loki"].running
    assert journal.open_faults() == []


def test_who_insists_leaves_a_healing_that_hangs_to_another_day(journal: Journal) -> None:
    engine = ImpatientEngine(container("loki", status="exited"))
    engine.interrupted = 1000
    with pytest.raises(KeyboardInterrupt):
        heal(engine, journal, journal.begin("kill", "loki", "id-loki"))
    assert engine.attempts == 5
    assert [fault.service for fault in journal.open_faults()] == ["loki"]


@pytest.mark.thorough
def test_processes_that_write_the_journal_at_once_keep_each_others_faults(
    journal: Journal, state_dir: Path
) -> None:
    script = textwrap.dedent("""
        import sys
        from stackctl.chaos.journal import Journal
        from stackctl.project.state import open_state
        journal = Journal(open_state("bot-core"))
        for number in range(20):
            journal.begin("stop", f"{sys.argv[1]}-{number}", "id")
    """)
    writers = [subprocess.Popen([sys.executable, "-c", script, name]) for name in ("a", "b")]
    assert [writer.wait(60) for writer in writers] == [0, 0]
    assert len(journal.open_faults()) == 40


def refusal(journal: Journal, engine: ChaosEngine, kind: str) -> StackctlError:
    """Return the error of a fault that is refused, having seen that nothing was done for it."""
    with pytest.raises(StackctlError) as caught, injected(engine, journal, FAULTS[kind], "loki"):
        pytest.fail("the body must not run")
    assert set(engine.verbs) <= {"build"}
    assert journal.open_faults() == []
    return caught.value


@pytest.mark.parametrize(
    ("kind", "around", "says"),
    [
        ("fill disk", {"volumes": {}}, "no writable volume"),
        ("fill memory", {"memory_limit_bytes": 0}, "no memory limit"),
        ("slow", {"network_mode": "host"}, "shares its network"),
        ("slow", {"network_mode": "container:other"}, "shares its network"),
        ("slow", {"networks": ()}, "shares its network"),
        (
            "disconnect",
            {"networks": ("bot-core_docker-api",)},
            "not on network bot-core_bot-network",
        ),
    ],
)
def test_what_would_reach_beyond_the_container_is_refused(
    journal: Journal, kind: str, around: dict[str, Any], says: str
) -> None:
    engine = ChaosEngine(container("loki"))
    engine.around = dataclasses.replace(engine.around, **around)
    assert says in refusal(journal, engine, kind).message


@pytest.mark.parametrize(
    ("kind", "available", "used", "says"),
    [
        ("fill disk", 1223, 20, "200 MiB would leave less than 1024 MiB free at /data"),
        ("fill disk", 1225, 20, None),
        ("fill memory", 330, 20, "75 MiB more would leave less than 256 MiB"),
        ("fill memory", 332, 20, None),
        ("fill memory", 4096, 95, "already uses 95% of its 100 MiB"),
        ("fill memory", 4096, 94, None),
    ],
)
def test_pressure_is_bounded_by_what_the_machine_and_the_container_have_left(
    journal: Journal, kind: str, available: int, used: int, says: str | None
) -> None:
    engine = ChaosEngine(container("loki"))
    engine.available, engine.used = available * MIB, used * MIB
    if says is None:
        with injected(engine, journal, FAULTS[kind], "loki"):
            assert engine.verbs == EXPECTED[kind][0]
    else:
        assert says in refusal(journal, engine, kind).message


@pytest.mark.parametrize("kind", ["fill memory", "fill disk"])
def test_an_image_without_a_shell_is_refused_with_the_reason(journal: Journal, kind: str) -> None:
    engine = ChaosEngine(container("loki"))
    engine.has_shell = False
    error = refusal(journal, engine, kind)
    assert "lacks programs that this fault needs" in error.message
    assert "executable file not found" in error.message


def test_memory_that_is_not_taken_in_time_is_an_error_and_released(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pressure, "_GROWTH_SECONDS", 0.1)
    monkeypatch.setattr(pressure, "_PAUSE", 0.01)
    engine = ChaosEngine(container("loki"))
    engine.held = 2 * MIB
    with (
        pytest.raises(EngineError, match="only 2 MiB of 75 MiB"),
        injected(engine, journal, FAULTS["fill memory"], "loki"),
    ):
        pytest.fail("the body must not run")
    assert engine.verbs == ["exec -d", "exec"]
    assert "kill -9" in " ".join(engine.commands[-1])
    assert journal.open_faults() == []


def test_memory_is_taken_up_to_the_share_and_ends_by_itself(journal: Journal) -> None:
    engine = ChaosEngine(container("loki"))
    with injected(engine, journal, FAULTS["fill memory"].lasting(90), "loki"):
        *_, size, seconds = engine.commands[0]
    assert int(size) == 75 * MIB
    assert int(seconds) > 90


def test_a_file_has_its_size_and_is_removed_by_itself(journal: Journal) -> None:
    engine = ChaosEngine(container("loki"))
    fault = FAULTS["fill disk"]
    fault = dataclasses.replace(fault, options={**fault.options, "size": "2GiB"}).lasting(90)
    with injected(engine, journal, fault, "loki"):
        later, write = engine.commands
    assert later[-2] == "/data/.stackctl-fill"
    assert int(later[-1]) > 90
    assert {"of=/data/.stackctl-fill", f"bs={MIB}", "count=2048"} <= set(write)
    assert engine.commands[-1] == ["rm", "-f", "/volume/.stackctl-fill"]


def test_the_image_with_tc_is_built_before_the_fault_where_none_is_here(journal: Journal) -> None:
    engine = ChaosEngine(container("loki"))
    engine.images = {"stackctl/prometheus:local"}
    with injected(engine, journal, FAULTS["slow"], "loki"):
        assert engine.done == [("build", ""), ("run in network", "id-loki")]
        assert engine.commands[0][-2:] == ["300ms", "5%"]
    assert engine.taken == {network.IMAGE}


def test_an_image_of_the_local_set_serves_for_tc_without_a_build(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stackctl.images.build.outdated", lambda *_: {})
    engine = ChaosEngine(container("loki"))
    engine.images = {"stackctl/grafana:local"}
    with injected(engine, journal, FAULTS["slow"], "loki") as fault:
        assert fault.details["image"] == "stackctl/grafana:local"
    assert engine.verbs == ["run in network", "run in network"]
    assert engine.taken == {"stackctl/grafana:local"}


def test_without_an_image_with_tc_slow_is_refused(journal: Journal) -> None:
    engine = ChaosEngine(container("loki"))
    engine.images = set()
    engine.fails = {"build"}
    error = refusal(journal, engine, "slow")
    assert "cannot build an image with tc" in error.message
    assert "Unable to locate package iproute2" in error.message
    assert network.IMAGE in (error.remedy or "")


class NoNetemEngine(ChaosEngine):
    """Its kernel lacks netem."""

    def run_in_network_of(
        self, container: str, image: str, command: Sequence[str], *, name: str
    ) -> None:
        if "qdisc replace" in command[2]:
            raise EngineError("docker run failed (exit 2): Error: Specified qdisc kind is unknown.")


def test_without_netem_slow_is_refused(journal: Journal) -> None:
    error = refusal(journal, NoNetemEngine(container("loki")), "slow")
    assert "lacks netem" in error.message
    assert "sch_netem" in (error.remedy or "")


def test_slow_heals_by_a_restart_where_the_image_with_tc_is_gone(journal: Journal) -> None:
    engine = ChaosEngine(container("loki"))
    with injected(engine, journal, FAULTS["slow"], "loki"):
        engine.images.clear()
    assert engine.verbs == ["run in network", "restart"]


@pytest.mark.parametrize("kind", FAULTS)
@pytest.mark.parametrize("status", ["running", "exited"])
@pytest.mark.parametrize(
    ("project", "whose"), [("bot", "the Compose project bot"), (None, "no Compose project")]
)
def test_a_container_that_is_not_this_stacks_is_refused(
    journal: Journal, kind: str, status: str, project: str | None, whose: str
) -> None:
    engine = ChaosEngine(
        container("loki", name="theirs", status=status, attached=True, project=project)
    )
    error = refusal(journal, engine, kind)
    assert error.message == (
        f"loki does not belong to this stack: its container theirs belongs to {whose}"
    )
    assert (error.exit_code, error.remedy) == (2, "allow it with --attached")
    with pytest.raises(UsageError, match="does not belong to this stack"):
        FAULTS[kind].plan(engine, journal, "loki")
    assert engine.done == []


@pytest.mark.parametrize("kind", FAULTS)
def test_a_container_that_is_not_this_stacks_is_broken_and_healed_where_one_says_so(
    journal: Journal, kind: str
) -> None:
    engine = ChaosEngine(container("loki", attached=True, project="bot"))
    does, heals = EXPECTED[kind]
    with injected(engine, journal, dataclasses.replace(FAULTS[kind], attached=True), "loki"):
        assert engine.verbs == does
    assert engine.verbs == does + heals


@pytest.mark.parametrize("kind", FAULTS)
def test_what_was_left_open_on_such_a_container_is_healed_without_a_word(
    journal: Journal, kind: str
) -> None:
    engine = ChaosEngine(container("loki", attached=True, project="bot"))
    journal.begin(kind, "loki", "id-loki", DETAILS.get(kind))
    assert [record.kind for record in heal_all(engine, journal)] == [kind]
    assert engine.states["loki"].running
    assert journal.open_faults() == []


def test_one_that_is_not_this_stacks_and_does_not_run_is_not_for_up_to_start(
    journal: Journal,
) -> None:
    engine = ChaosEngine(container("loki", attached=True, status="exited"))
    with pytest.raises(NotSteady, match="is not running") as caught:
        dataclasses.replace(FAULTS["stop"], attached=True).target(engine, journal, "loki")
    assert caught.value.remedy == "start it in its own project"


def chaos(engine: Engine, monkeypatch: pytest.MonkeyPatch, *words: str) -> Result:
    """Call `stackctl chaos` for a project that has joined a network."""
    open_project(name=None, env_file=None).keep(ProjectState(demo=False, network="net"))
    monkeypatch.setattr(Project, "engine", lambda *_, **__: engine)
    return CliRunner().invoke(cli, ["chaos", *words])


@pytest.mark.parametrize("kind", FAULTS)
def test_the_command_asks_for_a_word_before_it_breaks_what_is_not_this_stacks(
    journal: Journal, clean_environment: pytest.MonkeyPatch, kind: str
) -> None:
    engine = ChaosEngine(container("redis", name="theirs", attached=True, project="bot"))
    engine.around = dataclasses.replace(engine.around, volumes={"/data": "bot_data"})
    for words in (["--dry-run"], ["--force"], []):
        done = chaos(engine, clean_environment, *kind.split(), "redis", *words)
        assert isinstance(done.exception, UsageError), done.output
    assert engine.done == []
    dry = chaos(engine, clean_environment, *kind.split(), "redis", "--attached", "--dry-run")
    assert dry.exit_code == 0, dry.output
    first = dry.output.splitlines()[0]
    assert (
        "does not belong to this stack: its container theirs belongs to the Compose project bot"
        in first
    )
    assert engine.done == []
    assert "--attached" in chaos(engine, clean_environment, *kind.split(), "--help").output


def test_a_drill_says_beforehand_which_real_channels_it_alerts(
    journal: Journal, clean_environment: pytest.MonkeyPatch
) -> None:
    clean_environment.setattr(Project, "engine", lambda *_, **__: ChaosEngine(container("redis")))
    # Nothing listens there, so that nothing is done.
    env = {"ALERTMANAGER_PAGERDUTY_KEY": "very-secret", "PROMETHEUS_PORT": "9"}
    done = run_here("chaos", "stop", "redis", "--expect", "RedisDown", "--force", env=env)
    assert done.returncode == 1
    first, second = done.stderr.splitlines()
    assert first == "RedisDown will notify real channels: PagerDuty"
    assert "cannot connect" in second


def test_the_list_names_what_is_not_this_stacks(
    journal: Journal, clean_environment: pytest.MonkeyPatch
) -> None:
    listed = chaos(ChaosEngine(), clean_environment, "list").output
    (line,) = [line for line in listed.splitlines() if "--attached" in line]
    assert "rust-core-engine" in line
    assert "prometheus" not in line
    open_project(name=None, env_file=None).keep(ProjectState())
    assert "--attached" not in CliRunner().invoke(cli, ["chaos", "list"]).output


def test_a_container_is_put_back_on_its_network_as_it_was(journal: Journal) -> None:
    engine = ChaosEngine(container("loki"))
    engine.connections = ("--alias", "loki", "--alias", "a b", "--ip", "10.0.0.5")
    plan = FAULTS["disconnect"].plan(engine, journal, "loki")
    assert plan.heals == (
        "docker network connect --alias loki --alias 'a b' --ip 10.0.0.5 bot-core_bot-network loki"
    )
    with injected(engine, journal, FAULTS["disconnect"], "loki"):
        # By then it has nothing any more: the record alone tells.
        engine.connections = ()
    assert engine.connected == [
        ("bot-core_bot-network", ["--alias", "loki", "--alias", "a b", "--ip", "10.0.0.5"])
    ]


def test_a_container_without_a_name_of_its_own_gets_none(journal: Journal) -> None:
    engine = ChaosEngine(container("loki"))
    plan = FAULTS["disconnect"].plan(engine, journal, "loki")
    assert plan.heals == "docker network connect bot-core_bot-network loki"
    with injected(engine, journal, FAULTS["disconnect"], "loki"):
        pass
    assert engine.connected == [("bot-core_bot-network", [])]


def test_a_record_without_options_is_healed_by_the_services_name(journal: Journal) -> None:
    engine = ChaosEngine(container("loki"))
    journal.begin("disconnect", "loki", "id-loki", {"network": "bot-core_bot-network"})
    heal_all(engine, journal)
    assert engine.connected == [("bot-core_bot-network", None)]


@pytest.mark.parametrize(
    ("there", "options"),
    [
        # An engine before 26 has the short ID among the aliases.
        ({"Aliases": ["db", "0123456789ab"], "IPAMConfig": None}, ("--alias", "db")),
        ({"Aliases": None, "IPAMConfig": {}, "IPAddress": "172.18.0.2"}, ()),
        (
            {
                "Aliases": ["db", "store"],
                "IPAMConfig": {"IPv4Address": "10.0.0.5", "IPv6Address": "fd00::5"},
            },
            ("--alias", "db", "--alias", "store", "--ip", "10.0.0.5", "--ip6", "fd00::5"),
        ),
    ],
)
def test_what_a_container_is_on_a_network(
    monkeypatch: pytest.MonkeyPatch, there: dict[str, Any], options: tuple[str, ...]
) -> None:
    inspected = {"Id": "0123456789abcdef", "NetworkSettings": {"Networks": {"net": there}}}
    monkeypatch.setattr(Engine, "inspect", lambda *_: [inspected])
    assert Engine("p").connection("db", "net") == options
    assert Engine("p").connection("db", "other") == ()


@pytest.mark.parametrize("kind", FAULTS)
def test_a_plan_names_the_container_and_changes_nothing(journal: Journal, kind: str) -> None:
    engine = ChaosEngine(container("loki", name="chaos-loki"))
    plan = FAULTS[kind].plan(engine, journal, "loki")
    assert "chaos-loki" in plan.does
    assert plan.heals
    assert not set("{}") & set(plan.does + plan.heals)
    assert engine.done == []
    assert journal.open_faults() == []


def test_the_steady_state_is_that_the_service_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(steady, "_SECONDS", 0.2)
    engine = MemoryEngine(container("kong"))
    with serving({"/metrics": Reply(b"", 503)}) as server:
        settings = load(environ={"KONG_PORT": server.url.rpartition(":")[2]})
        with pytest.raises(NotSteady, match="kong is not ready before the fault") as caught:
            asyncio.run(steady.require_ready(engine, settings, SERVICES["kong"]))
    assert "503" in caught.value.message
    assert "--force" in (caught.value.remedy or "")
    with serving({"/metrics": Reply(b"ok")}) as server:
        settings = load(environ={"KONG_PORT": server.url.rpartition(":")[2]})
        asyncio.run(steady.require_ready(engine, settings, SERVICES["kong"]))


@pytest.mark.parametrize(
    ("kind", "option", "wrong"),
    [
        ("slow", "delay", "1h"),
        ("slow", "loss", "101%"),
        ("fill memory", "share", "98%"),
        ("fill disk", "size", "0MiB"),
        ("fill disk", "size", "200"),
    ],
)
def test_an_option_has_the_faults_default_and_one_form(kind: str, option: str, wrong: str) -> None:
    words = ["chaos", *kind.split()]
    shown = " ".join(run_here(*words, "--help").stdout.split())
    assert f"[default: {FAULTS[kind].options[option]}]" in shown
    done = run_here(*words, "loki", f"--{option}", wrong)
    assert done.returncode == 2
    assert f"'{wrong}' is not a" in done.stderr
