"""Faults and their journal: written before, struck out after, healed on every way out."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from stackctl.chaos import drill
from stackctl.chaos.faults import FAULTS, NotSteady, heal_all, injected
from stackctl.chaos.journal import FILE, Journal
from stackctl.chaos.timeline import Pace, Timeline
from stackctl.clients.alertmanager import AlertmanagerClient
from stackctl.clients.prometheus import PrometheusClient
from stackctl.clients.sink import SinkClient
from stackctl.errors import EngineError, StackctlError, UsageError
from stackctl.stack.state import open_state
from tests.support.engine import MemoryEngine, container
from tests.support.http import Reply, Request, as_json, serving


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
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    record = journal.begin("stop", "loki", "id")
    journal.end(record)
    journal._write([type(record)("stop", "loki", "id", record.since, process.pid)])
    assert journal.open_faults()[0].abandoned


def test_a_damaged_journal_is_refused_with_its_path(journal: Journal, state_dir: Path) -> None:
    path = state_dir / "bot-core" / FILE
    path.write_text('{"faults": [{"kind": "stop"}]}')
    with pytest.raises(StackctlError, match="journal") as caught:
        journal.open_faults()
    assert str(path) in (caught.value.remedy or "")


INTERRUPTED = textwrap.dedent("""
    import signal, sys, time
    from stackctl.chaos.faults import FAULTS, injected
    from stackctl.chaos.journal import Journal
    from stackctl.cli import _interrupt
    from stackctl.stack.state import open_state
    from tests.support.engine import MemoryEngine, container
    signal.signal(signal.SIGTERM, _interrupt)
    engine = MemoryEngine(container("loki"))
    try:
        with injected(engine, Journal(open_state("bot-core")), FAULTS["stop"], "loki"):
            print("in place", flush=True)
            time.sleep(60)
    finally:
        print(engine.done[-1][0], flush=True)
""")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
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
    assert Journal(open_state("bot-core")).open_faults() == []


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
    ) -> None:
        self.engine = engine
        self.tells = tells
        self.reaches = reaches
        self.resolves = resolves
        self.looks_down = 0
        self.flaky = 0

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
        if not self.tells or self.looks_down < 5:
            return as_json([])
        title = f"{LABELS['alertname']} on {LABELS['service']}"
        message = {"id": 1, "channel": "slack", "target": "#x", "status": "firing"}
        return as_json([{**message, "title": title, "text": ""}])

    def routes(self) -> dict[str, object]:
        rule = {
            "name": "ServiceDown",
            "query": "q",
            "type": "alerting",
            "health": "ok",
            "duration": 0,
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
    timeout: float = 5,
    force: bool = False,
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
                "loki",
                alert,
                engine=engine,
                journal=journal,
                prometheus=prometheus,
                alertmanager=alertmanager,
                sink=sink,
                timeout=timeout,
                reached=lambda stage, _: reached.append(stage),
                waiting=lambda _: None,
                force=force,
            )

    return asyncio.run(run()), reached


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drill, "_PAUSE", 0.01)


def test_a_drill_sees_every_stage_in_order_and_heals(journal: Journal) -> None:
    engine = MemoryEngine(container("loki"))
    with serving(AlertingStack(engine).routes()) as server:  # type: ignore[arg-type]
        timeline, reached = run_drill(engine, journal, server.url)
    stages = ["fault", "pending", "firing", "alertmanager", "channel", "healed", "resolved"]
    assert reached == stages
    assert timeline.pace == Pace(15.0, 15.0, 0.0, 5.0)
    assert [span.name for span in timeline.spans()] == [
        "to pending",
        "to firing",
        "to Alertmanager",
        "to the channel",
        "to resolved",
    ]
    assert list(timeline.seconds.values()) == sorted(timeline.seconds.values())
    assert engine.states["loki"].running
    assert journal.open_faults() == []


@pytest.mark.parametrize(
    ("reaches", "resolves", "tells", "says"),
    [
        (False, True, True, "did not reach Alertmanager"),
        (True, True, False, "did not reach its channel"),
        (True, False, True, "is not resolved"),
    ],
)
def test_an_alert_that_does_not_come_or_go_fails_the_drill_and_the_fault_is_healed(
    journal: Journal, reaches: bool, resolves: bool, tells: bool, says: str
) -> None:
    engine = MemoryEngine(container("loki"))
    stack = AlertingStack(engine, reaches=reaches, resolves=resolves, tells=tells)
    with serving(stack.routes()) as server, pytest.raises(drill.DrillError, match=says):  # type: ignore[arg-type]
        run_drill(engine, journal, server.url, timeout=0.5)
    assert engine.states["loki"].running
    assert journal.open_faults() == []


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
        with pytest.raises(drill.DrillError, match="is not resolved"):
            run_drill(engine, journal, server.url, timeout=0.5, force=True)
    assert engine.done == [("stop", "id-loki"), ("start", "id-loki")]
