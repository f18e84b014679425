"""Faults and their journal: written before, struck out after, healed on every way out."""

from __future__ import annotations

import asyncio
import dataclasses
import functools
import itertools
import os
import re
import signal
import subprocess
import sys
import textwrap
import threading
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace

import pytest

from stackctl.chaos import drill, steady
from stackctl.chaos.faults import FAULTS, heal_all, injected, provided
from stackctl.chaos.journal import FILE, Details, Journal, NotSteady
from stackctl.chaos.timeline import Pace, Timeline
from stackctl.clients.alertmanager import AlertmanagerClient
from stackctl.clients.prometheus import PrometheusClient
from stackctl.clients.sink import SinkClient
from stackctl.config.load import load
from stackctl.docker.engine import Engine
from stackctl.docker.inventory import Inventory
from stackctl.errors import EngineError, StackctlError, UsageError
from stackctl.project import config_volumes
from stackctl.project.project import Project
from stackctl.project.state import open_state
from stackctl.services.catalog import application
from stackctl.verify import runner
from stackctl.verify.drill_runner import DrillRunner
from stackctl.verify.drills import _drill
from stackctl.verify.model import Check, Context, Finding
from tests.support.cli import run_here
from tests.support.engine import MemoryEngine, container
from tests.support.http import Reply, Request, as_json, serving, wait_until


@pytest.fixture
def journal(state_dir: Path) -> Journal:
    return Journal(open_state("bot-core"))


def test_the_journal_has_the_fault_even_if_doing_it_fails(journal: Journal) -> None:
    engine = MemoryEngine(container("loki"))
    engine.fails = {"stop", "start"}
    with pytest.raises(EngineError), injected(engine, journal, FAULTS["stop"], "loki"):
        pytest.fail("the body must not run")
    # The healing failed too, so it is still to be done.
    assert [fault.service for fault in journal.open_faults()] == ["loki"]
    engine.fails = set()
    heal_all(engine, journal)
    assert journal.open_faults() == []


@pytest.mark.parametrize(
    "error", [KeyboardInterrupt, SystemExit, RuntimeError, asyncio.CancelledError]
)
def test_whatever_ends_the_body_the_fault_is_healed(
    journal: Journal, error: type[BaseException]
) -> None:
    engine = MemoryEngine(container("loki"))
    with pytest.raises(error), injected(engine, journal, FAULTS["stop"], "loki"):
        raise error
    assert engine.states["loki"].running
    assert journal.open_faults() == []


def test_a_container_that_is_not_running_or_has_a_fault_is_refused(journal: Journal) -> None:
    engine = MemoryEngine(container("loki", status="exited"), container("grafana"))
    for service in ("loki", "absent"):
        with (
            pytest.raises(NotSteady, match="is not running"),
            injected(engine, journal, FAULTS["stop"], service),
        ):
            pytest.fail("the body must not run")
    journal.begin("stop", "grafana", "id-grafana")
    with (
        pytest.raises(NotSteady, match="open fault"),
        injected(engine, journal, FAULTS["stop"], "grafana"),
    ):
        pytest.fail("the body must not run")


def test_a_fault_of_a_dead_process_is_abandoned(journal: Journal) -> None:
    record = journal.begin("stop", "loki", "id")
    assert not record.abandoned
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        assert not dataclasses.replace(record, pid=process.pid, born=None).abandoned
        # Another process, which got the number of the one that did it.
        assert dataclasses.replace(record, pid=process.pid).abandoned
        assert process.stdin is not None
        process.stdin.close()
        # It has ended, and nobody has waited for it.
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        assert dataclasses.replace(record, pid=process.pid, born=None).abandoned
    assert dataclasses.replace(record, pid=process.pid, born=None).abandoned


def test_of_two_processes_that_want_the_same_service_one_gets_it(journal: Journal) -> None:
    engine = MemoryEngine(container("loki"), container("redis"))
    ready = threading.Barrier(2, timeout=5)

    def both_have_looked(_: Engine, __: Details) -> None:
        ready.wait()

    fault = dataclasses.replace(FAULTS["stop"], provide=both_have_looked)
    outcomes: list[str] = []

    def claim_it() -> None:
        try:
            plan = provided(engine, journal, fault, "loki")
            journal.begin("stop", "loki", plan.container.id)
            outcomes.append("got it")
        except NotSteady as error:
            outcomes.append(error.message)

    threads = [threading.Thread(target=claim_it) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    refused, got = sorted(outcomes, key=len, reverse=True)
    assert got == "got it"
    assert "loki already has an open fault: stop of loki" in refused
    assert len(journal.open_faults()) == 1


def test_a_record_that_cannot_be_read_stays_and_keeps_no_other_from_being_healed(
    journal: Journal, state_dir: Path
) -> None:
    engine = MemoryEngine(container("loki"), container("redis"))
    path = state_dir / "bot-core" / FILE
    path.write_text('{"faults": [{"kind": "stop"}, 7]}')
    journal.begin("stop", "loki", "id-loki")
    assert [record.service for record in heal_all(engine, journal)] == ["loki"]
    assert journal.open_faults() == []
    first, second = journal.unreadable()
    assert first.startswith(f'record 1 of {path} is not readable: {{"kind": "stop"}}; ')
    assert second.startswith(f"record 2 of {path} is not readable: 7; ")
    for command, code in (("list", 0), ("heal", 1)):
        done = run_here("chaos", command)
        assert done.returncode == code
        assert "record 1 of" in done.stderr


class EndingEngine(MemoryEngine):
    """Takes its containers down as Compose does."""

    def down(self, *, timeout: int | None = None) -> None:
        self.done.append(("down", ""))

    def remove_networks(self, networks: Sequence[str]) -> None:
        self.done.append(("remove networks", ""))

    def remove_scratch(self, inventory: Inventory) -> None:
        self.done.append(("remove scratch", ""))


def test_down_heals_what_can_be_read_says_what_cannot_and_goes_on(
    journal: Journal, state_dir: Path, clean_environment: pytest.MonkeyPatch
) -> None:
    engine = EndingEngine(container("loki", status="exited"))
    clean_environment.setattr(Project, "engine", lambda *_, **__: engine)
    clean_environment.setattr(config_volumes, "remove", lambda _: None)
    path = state_dir / "bot-core" / FILE
    path.write_text('{"faults": [{"kind": "stop"}]}')
    journal.begin("stop", "loki", "id-loki")
    done = run_here("down")
    assert done.returncode == 0, done.stderr
    assert done.stderr.count(f"record 1 of {path} is not readable") == 1
    assert "recovered: stop of loki" in done.stderr
    assert engine.done[:2] == [("start", "id-loki"), ("down", "")]


@pytest.mark.parametrize("text", ['{"faults": 7}', "[]", "{"])
def test_a_file_that_is_no_journal_is_refused_with_its_path(
    journal: Journal, state_dir: Path, text: str
) -> None:
    path = state_dir / "bot-core" / FILE
    path.write_text(text)
    with pytest.raises(StackctlError) as caught:
        journal.open_faults()
    assert str(path) in (caught.value.remedy or "")


class InterruptedEngine(MemoryEngine):
    """A signal comes while it starts a container."""

    def __init__(self, number: signal.Signals) -> None:
        super().__init__(container("loki"))
        self.number = number

    def start(self, container: str) -> None:
        signal.raise_signal(self.number)
        super().start(container)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_during_the_healing_has_its_effect_after_it(
    journal: Journal, number: signal.Signals
) -> None:
    engine = InterruptedEngine(number)
    before = signal.signal(number, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt), injected(engine, journal, FAULTS["stop"], "loki"):
            pass
        assert signal.getsignal(number) is signal.default_int_handler
    finally:
        signal.signal(number, before)
    assert engine.states["loki"].running
    assert journal.open_faults() == []


def test_a_drill_that_is_interrupted_while_it_heals_ends_there(journal: Journal) -> None:
    engine = InterruptedEngine(signal.SIGINT)
    reached: list[Timeline] = []
    with serving(AlertingStack(engine).routes()) as server, pytest.raises(KeyboardInterrupt):  # type: ignore[arg-type]
        run_drill(engine, journal, server.url, begun=reached)
    assert "resolved" not in reached[0].seconds
    assert engine.states["loki"].running
    assert journal.open_faults() == []


INTERRUPTED = textwrap.dedent("""
    import signal, time
    from stackctl import cli
    from stackctl.chaos.faults import FAULTS, injected
    from stackctl.chaos.journal import Journal
    from stackctl.project.state import open_state
    from tests.support.engine import MemoryEngine, container

    def run(**_):
        engine = MemoryEngine(container("loki"))
        try:
            with injected(engine, Journal(open_state("bot-core")), FAULTS["stop"], "loki"):
                print("in place", flush=True)
                time.sleep(60)
        finally:
            print(engine.done[-1][0], flush=True)

    # Whoever runs the tests may ignore it, as nohup does.
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    cli.cli = run
    cli.main()
""")


@pytest.mark.thorough
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signals_heal(state_dir: Path, number: signal.Signals) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", INTERRUPTED],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "in place\n"
        process.send_signal(number)
        assert process.stdout.read() == "start\n"
    assert process.returncode == 130
    assert Journal(open_state("bot-core")).open_faults() == []


@pytest.mark.thorough
def test_kill_minus_nine_leaves_the_fault_in_the_journal_as_abandoned(state_dir: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", INTERRUPTED], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.kill()
        process.wait()
    (fault,) = Journal(open_state("bot-core")).open_faults()
    assert fault.abandoned


TARGET = {
    "labels": {"job": "loki", "service": "loki"},
    "discoveredLabels": {"__address__": "loki:3100"},
    "scrapeUrl": "http://loki",
    "health": "up",
    "lastError": "",
    "scrapeInterval": "15s",
}
CONFIG = """
route:
  receiver: default
  group_wait: 10s
  routes:
    - { matchers: [severity = critical], receiver: default, group_wait: 5s }
    - { matchers: [severity = info], receiver: default, group_wait: 0s }
"""
STATUS = {
    "versionInfo": {"version": "0"},
    "config": {"original": CONFIG},
    "cluster": {"status": "disabled"},
    "uptime": "2026-01-01T00:00:00Z",
}
LABELS = {"alertname": "ServiceDown", "service": "loki", "severity": "critical"}


class AlertingStack:
    """Prometheus and Alertmanager whose alert follows the container's state, a look at a time."""

    def __init__(
        self,
        engine: MemoryEngine,
        *,
        reaches: bool = True,
        resolves: bool = True,
        tells: bool = True,
        tells_the_end: bool = True,
        told_late: int = 0,
        keep_firing_for: int = 0,
    ) -> None:
        self.engine = engine
        self.tells = tells
        self.reaches = reaches
        self.resolves = resolves
        self.looks_down = 0
        self.flaky = 0
        self.sent = False
        self.tells_the_end = tells_the_end
        self.told_late = told_late
        self.keep_firing_for = keep_firing_for

    def alerts(self, _: Request) -> Reply:
        self.flaky += 1
        if self.flaky % 3 == 0:
            return Reply(b"", 503)
        if self.engine.states["loki"].running:
            if self.resolves:
                self.looks_down = 0
        else:
            self.looks_down += 1
        state = "pending" if self.looks_down < 3 else "firing"
        found = [{"labels": LABELS, "state": state}] if self.looks_down else []
        return as_json({"status": "success", "data": {"alerts": found}})

    def notified(self, _: Request) -> Reply:
        there = self.reaches and self.looks_down >= 4
        now = "2026-01-01T00:00:00Z"
        found = {"labels": LABELS, "startsAt": now, "endsAt": now, "status": {"state": "active"}}
        return as_json([found] if there else [])

    def messages(self, _: Request) -> Reply:
        if not self.tells or (self.looks_down < 5 + self.told_late and not self.sent):
            return as_json([])
        self.sent = True
        title = f"{LABELS['alertname']} on {LABELS['service']}"
        running = self.engine.states["loki"].running
        statuses = ["firing", *(["resolved"] if running and self.tells_the_end else [])]
        common = {"channel": "slack", "target": "#x", "title": title, "text": ""}
        return as_json(
            [{**common, "id": id_, "status": status} for id_, status in enumerate(statuses, 1)]
        )

    def routes(self) -> dict[str, object]:
        rule = {
            "name": "ServiceDown",
            "query": "q",
            "type": "alerting",
            "health": "ok",
            "duration": 0,
            "keepFiringFor": self.keep_firing_for,
            "labels": {"severity": "critical"},
        }
        group = {"name": "g", "file": "f", "interval": 15, "rules": [rule]}
        return {
            "/api/v1/rules": as_json({"status": "success", "data": {"groups": [group]}}),
            "/api/v1/alerts": self.alerts,
            "/api/v2/alerts": self.notified,
            "/api/v1/targets": as_json({"status": "success", "data": {"activeTargets": [TARGET]}}),
            "/api/v2/status": as_json(STATUS),
            "/messages": self.messages,
        }


def run_drill(
    engine: MemoryEngine,
    journal: Journal,
    url: str,
    alert: str = "ServiceDown",
    service: str = "loki",
    timeout: float | None = 5,
    force: bool = False,
    begun: list[Timeline] | None = None,
) -> tuple[Timeline, list[str]]:
    reached: list[str] = []

    async def run() -> Timeline:
        async with (
            PrometheusClient(url) as prometheus,
            AlertmanagerClient(url) as alertmanager,
            SinkClient(url) as sink,
        ):
            return await drill.run(
                FAULTS["stop"],
                service,
                alert,
                engine=engine,
                journal=journal,
                prometheus=prometheus,
                alertmanager=alertmanager,
                sink=sink,
                timeout=timeout,
                begun=lambda timeline: begun.append(timeline) if begun is not None else None,
                reached=lambda stage, _: reached.append(stage),
                waiting=lambda _: None,
                force=force,
            )

    return asyncio.run(run()), reached


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """A clock that goes on with every look at it, however busy the machine is."""
    ticks = itertools.count(0.0, 0.01)
    monkeypatch.setattr(drill, "_PAUSE", 0.001)
    monkeypatch.setattr(drill, "time", SimpleNamespace(monotonic=lambda: next(ticks)))


def test_a_drill_sees_every_stage_in_order_and_heals(journal: Journal) -> None:
    engine = MemoryEngine(container("loki"))
    with serving(AlertingStack(engine).routes()) as server:  # type: ignore[arg-type]
        timeline, reached = run_drill(engine, journal, server.url)
    stages = [
        "fault",
        "pending",
        "firing",
        "alertmanager",
        "channel",
        "healed",
        "resolved",
        "channel-resolved",
    ]
    assert reached == stages
    assert timeline.pace == Pace(15.0, 15.0, 0.0, 0.0, group_wait=5.0, group_interval=300.0)
    assert [span.name for span in timeline.spans()] == [
        "to pending",
        "to firing",
        "to Alertmanager",
        "to the channel",
        "to resolved",
        "resolution to the channel",
    ]
    assert list(timeline.seconds.values()) == sorted(timeline.seconds.values())
    assert engine.states["loki"].running
    assert journal.open_faults() == []


class ExporterStack(AlertingStack):
    """Its one target is Loki's exporter, whose alerts have the name of what it exports."""

    def alerts(self, request: Request) -> Reply:
        self.engine.states["loki"] = self.engine.states["loki-exporter"]
        return super().alerts(request)

    def routes(self) -> dict[str, object]:
        labels = {**TARGET["labels"], "instance": "loki-exporter:9"}  # type: ignore[dict-item]
        targets = {"activeTargets": [{**TARGET, "labels": labels}]}
        return {
            **super().routes(),
            "/api/v1/targets": as_json({"status": "success", "data": targets}),
        }


def test_an_exporters_alert_has_the_name_of_what_it_exports(journal: Journal) -> None:
    engine = MemoryEngine(container("loki"), container("loki-exporter"))
    with serving(ExporterStack(engine).routes()) as server:  # type: ignore[arg-type]
        timeline, reached = run_drill(engine, journal, server.url, service="loki-exporter")
    assert reached[-1] == "channel-resolved"
    assert timeline.service == "loki-exporter"


@pytest.mark.parametrize(
    ("wrong", "says", "last"),
    [
        ("reaches", "did not reach Alertmanager", "firing"),
        ("tells", "did not reach its channel", "alertmanager"),
        ("resolves", "was not resolved", "healed"),
        ("tells_the_end", "was resolved, but its channel was not notified", "resolved"),
    ],
)
def test_an_alert_that_does_not_come_or_go_fails_the_drill_and_the_fault_is_healed(
    journal: Journal, wrong: str, says: str, last: str
) -> None:
    engine = MemoryEngine(container("loki"))
    stack = AlertingStack(engine, **{wrong: False})
    begun: list[Timeline] = []
    with serving(stack.routes()) as server, pytest.raises(drill.DrillError, match=says):  # type: ignore[arg-type]
        run_drill(engine, journal, server.url, timeout=0.4, begun=begun)
    # What was reached is not lost.
    (timeline,) = begun
    assert list(timeline.seconds)[-1] == last
    assert engine.states["loki"].running
    assert journal.open_faults() == []


def test_an_alert_that_is_kept_firing_may_take_that_much_longer_to_end(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drill, "_SLACK", 0.4)
    engine = MemoryEngine(container("loki"))
    stack = AlertingStack(engine, resolves=False, keep_firing_for=2)
    begun: list[Timeline] = []
    with serving(stack.routes()) as server, pytest.raises(drill.DrillError, match="within 2 s"):  # type: ignore[arg-type]
        run_drill(engine, journal, server.url, timeout=None, begun=begun)
    (timeline,) = begun
    timeline.seconds["resolved"] = timeline.seconds["healed"] + 10
    (span,) = [one for one in timeline.spans() if one.name == "to resolved"]
    assert (span.least, span.most, span.slow) == (2, 32, False)


def test_an_unknown_alert_or_one_that_is_active_already_is_refused_before_the_fault(
    journal: Journal,
) -> None:
    engine = MemoryEngine(container("loki"))
    stack = AlertingStack(engine)
    with serving(stack.routes()) as server:  # type: ignore[arg-type]
        with pytest.raises(UsageError) as caught:
            run_drill(engine, journal, server.url, alert="ServiceDwn")
        assert caught.value.remedy == "did you mean ServiceDown?"
        stack.resolves = False
        stack.looks_down = 1
        with pytest.raises(NotSteady, match="before the fault"):
            run_drill(engine, journal, server.url)
        assert engine.done == []
        # It never ends here, which is why it is refused; --force finds that out.
        with pytest.raises(drill.DrillError, match="was not resolved"):
            run_drill(engine, journal, server.url, timeout=0.5, force=True)
    assert engine.done == [("stop", "id-loki"), ("start", "id-loki")]


def verified(
    stack: AlertingStack, journal: Journal, *, left_out: tuple[str, ...] = ()
) -> tuple[Finding, DrillRunner, list[str]]:
    """What `verify` makes of a drill of Loki."""
    said: list[str] = []
    drills = DrillRunner(
        stack.engine,
        journal,
        load(environ={}),
        {"loki": application("loki")},
        lambda service, state: said.append(f"{service}: {state}"),
    )

    async def run(url: str) -> Finding:
        async with (
            PrometheusClient(url) as prometheus,
            AlertmanagerClient(url) as alertmanager,
            SinkClient(url) as sink,
        ):
            context = Context(
                prometheus,
                alertmanager,
                loki=None,  # type: ignore[arg-type]
                grafana=None,  # type: ignore[arg-type]
                expected_jobs=(),
                left_out=left_out,
                expected_dashboards=(),
                dashboards=Path(),
                log_collector="promtail",
                log_job=None,
                load=None,
                sink=sink,
                real_channels=frozenset(),
                drills=drills,
                blackbox=None,  # type: ignore[arg-type]
            )
            check = Check(
                "loki.drill", "x", "x", "loki", functools.partial(_drill, "loki"), once=True
            )
            report = await runner.run(
                (check,),
                context,
                project="p",
                images=None,
                standins={},
                timeout=0,
                finished=lambda _: None,
            )
            assert report.drills == tuple(drills.timelines)
            return report.results[0].finding

    with serving(stack.routes()) as server:  # type: ignore[arg-type]
        return asyncio.run(run(server.url)), drills, said


@pytest.mark.thorough
def test_verify_sees_a_drill_through_and_says_how_it_stands(journal: Journal) -> None:
    engine = MemoryEngine(container("loki"))
    finding, drills, said = verified(AlertingStack(engine), journal)
    assert finding.ok, finding
    assert "to the channel" in finding.observed
    assert "slow" not in finding.observed
    assert "channel-resolved" in drills.timelines[0].seconds
    assert "loki: ServiceDown is pending in Prometheus, not in Alertmanager" in said
    assert any(line.startswith("loki: firing after ") for line in said)
    assert engine.done == [("stop", "id-loki"), ("start", "id-loki")]


@pytest.mark.thorough
def test_a_stage_that_takes_longer_than_configured_fails_the_check(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    ticks = itertools.count(0.0, 1.0)
    monkeypatch.setattr(drill, "time", SimpleNamespace(monotonic=lambda: next(ticks)))
    stack = AlertingStack(MemoryEngine(container("loki")), told_late=12)
    finding, _, _ = verified(stack, journal)
    assert not finding.ok
    assert re.search(r"to the channel \d+\.0 s \(configured 5 to 5 s, slow\)", finding.observed)
    assert finding.next_step == "stackctl logs alertmanager"


@pytest.mark.thorough
def test_a_drill_that_fails_keeps_its_course_and_is_not_tried_again(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drill, "_SLACK", 0.4)
    engine = MemoryEngine(container("loki"))
    finding, drills, _ = verified(AlertingStack(engine, reaches=False), journal)
    assert "did not reach Alertmanager" in finding.observed
    assert list(drills.timelines[0].seconds) == ["fault", "pending", "firing"]
    assert [verb for verb, _ in engine.done] == ["stop", "start"]


def test_a_service_that_is_not_ready_is_not_drilled(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(steady, "_SECONDS", 0.05)
    engine = MemoryEngine(container("loki", health="starting"))
    finding, drills, _ = verified(AlertingStack(engine), journal)
    assert not finding.ok
    assert "loki is not ready before the fault" in finding.observed
    assert (engine.done, drills.timelines) == ([], [])


def test_a_service_that_is_not_there_is_skipped(journal: Journal) -> None:
    engine = MemoryEngine(container("loki"))
    finding, _, _ = verified(AlertingStack(engine), journal, left_out=("loki",))
    assert (finding.ok, finding.skipped, engine.done) == (True, True, [])


def test_what_is_half_done_is_not_healed_before_it_is_done(journal: Journal) -> None:
    class Stopping(MemoryEngine):
        overtaken = False

        def stop(self, container: str, *, timeout: int = 10) -> None:
            os.kill(os.getpid(), signal.SIGINT)
            # Time for whoever does not wait for this.
            self.overtaken = wait_until(lambda: ("start", container) in self.done, 0.1)
            super().stop(container, timeout=timeout)

    engine = Stopping(container("loki"))
    with serving(AlertingStack(engine).routes()) as server, pytest.raises(KeyboardInterrupt):  # type: ignore[arg-type]
        run_drill(engine, journal, server.url)
    assert not engine.overtaken
    assert engine.done == [("stop", "id-loki"), ("start", "id-loki")]
    assert journal.open_faults() == []


def test_two_drills_at_once_do_not_wait_for_one_anothers_docker(journal: Journal) -> None:
    met = threading.Barrier(2, timeout=5)

    class Meeting(MemoryEngine):
        def stop(self, container: str, *, timeout: int = 10) -> None:
            # It ends only if the other drill's stop has begun.
            met.wait()
            super().stop(container, timeout=timeout)

    engines = [Meeting(container("loki")), Meeting(container("loki"))]
    journals = [journal, Journal(open_state("other"))]

    async def one(engine: MemoryEngine, its: Journal, url: str) -> Timeline:
        async with (
            PrometheusClient(url) as prometheus,
            AlertmanagerClient(url) as alertmanager,
        ):
            return await drill.run(
                FAULTS["stop"],
                "loki",
                "ServiceDown",
                engine=engine,
                journal=its,
                prometheus=prometheus,
                alertmanager=alertmanager,
                sink=None,
                timeout=30,
                begun=lambda _: None,
                reached=lambda _stage, _seconds: None,
                waiting=lambda _: None,
            )

    async def both(urls: list[str]) -> list[Timeline]:
        return list(await asyncio.gather(*map(one, engines, journals, urls)))

    with (
        serving(AlertingStack(engines[0]).routes()) as first,  # type: ignore[arg-type]
        serving(AlertingStack(engines[1]).routes()) as second,  # type: ignore[arg-type]
    ):
        timelines = asyncio.run(both([first.url, second.url]))
    assert all("resolved" in timeline.seconds for timeline in timelines)
