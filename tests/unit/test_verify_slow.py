"""The slow sections of `verify`, before an Alertmanager and an application that a test can make wrong."""

from __future__ import annotations

import asyncio
import datetime as dt
import itertools
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest
from pydantic import SecretStr

from stackctl.applications import Target
from stackctl.chaos.journal import Journal
from stackctl.clients.alertmanager import AlertmanagerClient
from stackctl.clients.grafana import GrafanaClient
from stackctl.clients.loki import LokiClient
from stackctl.clients.prometheus import PrometheusClient
from stackctl.clients.sink import SinkClient
from stackctl.stack.state import open_state
from stackctl.verify import end_to_end, notifications, runner
from stackctl.verify.drills import Drills
from stackctl.verify.end_to_end import Load
from stackctl.verify.model import Check, Context, Finding
from tests.support.engine import MemoryEngine, container
from tests.support.http import Reply, Request, Server, as_json, serving

SUBJECTS = {"[CRITICAL]": "[CRITICAL] ", "[BOT-CORE]": "[BOT-CORE] "}


class Fake:
    """Alertmanager and the sink as one, and the application with its metrics and log lines."""

    def __init__(self, server: Server) -> None:
        self.url = server.url
        self.messages: list[dict[str, Any]] = []
        self.known: set[tuple[str, bool]] = set()
        self.lost: set[notifications.Key] = set()
        self.extra: set[notifications.Key] = set()
        self.resolves = True
        self.failures = 0
        self.text = f"{notifications._SUMMARY} {notifications._RUNBOOK}"
        self.runs: list[str] = []
        self.status = 200
        self.uncounted = 0
        self.unlogged = 0
        server.routes |= {
            "/api/v2/alerts": self._alerts,
            "/messages": self._messages,
            "/metrics": self._metrics,
            "/api/health": self._health,
            "/api/v1/query": self._query,
            "/loki/api/v1/query_range": self._lines,
        }

    def _alerts(self, request: Request) -> Reply:
        (alert,) = json.loads(request.body)
        labels = alert["labels"]
        starts, ends = (dt.datetime.fromisoformat(alert[name]) for name in ("startsAt", "endsAt"))
        ended = ends <= dt.datetime.now(dt.UTC)
        if (labels["service"], ended) in self.known or (ended and not self.resolves):
            return Reply()
        self.known.add((labels["service"], ended))
        keys = notifications.expected(labels["severity"], labels["component"], starts)
        title = f"{labels['alertname']} on {labels['service']}"
        for channel, which in sorted((keys | self.extra) - self.lost):
            self.messages.append(
                {
                    "id": len(self.messages) + 1,
                    "channel": channel,
                    "target": "team@example.org" if channel == "email" else which,
                    "status": "resolved" if ended else "firing",
                    "title": SUBJECTS.get(which, "") + title,
                    "text": self.text,
                }
            )
        if ended:
            self.failures *= 2
        return Reply()

    def _messages(self, request: Request) -> Reply:
        after = int(parse_qs(request.query)["after"][0])
        return as_json([one for one in self.messages if one["id"] > after])

    def _metrics(self, _request: Request) -> Reply:
        lines = [
            'alertmanager_notifications_total{integration="slack"} 9',
            f'alertmanager_notifications_failed_total{{integration="slack"}} {self.failures}',
            f'http_requests_total{{endpoint="/api/health",status="200"}} {len(self.runs)}',
        ]
        return Reply("\n".join(lines).encode())

    def _health(self, request: Request) -> Reply:
        self.runs.append(parse_qs(request.query)["run"][0])
        return Reply(status=self.status)

    def _query(self, _request: Request) -> Reply:
        sample = {"metric": {}, "value": [0, str(len(self.runs) - self.uncounted)]}
        return as_json({"status": "success", "data": {"resultType": "vector", "result": [sample]}})

    def _lines(self, request: Request) -> Reply:
        query = parse_qs(request.query)["query"][0]
        lines = [["1", run] for run in self.runs[self.unlogged :] if f'"{run}"' in query]
        stream = [{"stream": {}, "values": lines}] if lines else []
        return as_json({"status": "success", "data": {"resultType": "streams", "result": stream}})


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Iterator[Fake]:
    """The right state of things, and waits that are short."""
    for name, value in (("_WAIT", 0.1), ("_SILENCE", 0.05), ("_PAUSE", 0.01)):
        monkeypatch.setattr(notifications, name, value)
    for name, number in (("REQUESTS", 30), ("_SCRAPE_WAIT", 0.1), ("_PAUSE", 0.01)):
        monkeypatch.setattr(end_to_end, name, number)
    with serving({}) as server:
        yield Fake(server)


def run(
    fake: Fake,
    check: str,
    *,
    real: frozenset[str] = frozenset(),
    demo: bool = True,
    drills: Drills | None = None,
) -> Finding:
    async def ask() -> Finding:
        async with (
            PrometheusClient(fake.url) as prometheus,
            AlertmanagerClient(fake.url) as alertmanager,
            LokiClient(fake.url) as loki,
            GrafanaClient(fake.url, password=SecretStr("x")) as grafana,
            SinkClient(fake.url) as sink,
        ):
            context = Context(
                prometheus,
                alertmanager,
                loki,
                grafana,
                expected_jobs=(),
                left_out=(),
                expected_dashboards=(),
                dashboards=Path("infrastructure/monitoring/grafana/dashboards"),
                log_job=None,
                load=Load(fake.url, Target("fake", 80, "/metrics"), "/api/health")
                if demo
                else None,
                sink=sink if demo else None,
                real_channels=real,
                drills=drills or Drills(engine=None, journal=None),  # type: ignore[arg-type]
            )
            (chosen,) = runner.select([check])
            return await chosen.run(context)

    return asyncio.run(ask())


SLOW = [check.id for check in runner.CHECKS if check.slow]


@pytest.mark.parametrize("check", SLOW)
def test_each_slow_check_passes_where_all_is_right(fake: Fake, check: str) -> None:
    finding = run(fake, check)
    assert finding.ok, finding


@pytest.mark.parametrize("check", SLOW)
def test_without_the_demo_nothing_is_asked(fake: Fake, check: str) -> None:
    finding = run(fake, check, demo=False)
    assert finding.ok
    assert "not asked" in finding.seen
    assert fake.runs == []


WRONG: dict[str, tuple[str, Callable[[Fake], None], str]] = {
    "a channel that is not told": (
        "notifications.critical-trading",
        lambda f: f.lost.add(("slack", "#trading-alerts")),
        "slack #trading-alerts was not told when it fired",
    ),
    "a channel that should not be told": (
        "notifications.warning-ai",
        lambda f: f.extra.add(("slack", "#trading-alerts")),
        "slack #trading-alerts was told when it fired and should not be",
    ),
    "somebody who is told of what is for the list only": (
        "notifications.info-database",
        lambda f: f.extra.add(("slack", "#bot-core-alerts")),
        "should not be",
    ),
    "no word of the end": (
        "notifications.critical-ai",
        lambda f: setattr(f, "resolves", False),
        "was not told when it was resolved",
    ),
    "a template that failed": (
        "notifications.critical-database",
        lambda f: setattr(f, "text", "<no value>"),
        "shows '<no value>'",
    ),
    "a failing request": (
        "end-to-end.load",
        lambda f: setattr(f, "status", 503),
        "30 times 503",
    ),
    "requests that are not counted": (
        "end-to-end.metrics",
        lambda f: setattr(f, "uncounted", 1),
        "it grew by 29",
    ),
    "a log line that is lost": (
        "end-to-end.logs",
        lambda f: setattr(f, "unlogged", 1),
        "29 lines",
    ),
}


@pytest.mark.parametrize(("check", "spoil", "seen"), WRONG.values(), ids=WRONG)
def test_a_stack_wrong_in_one_way_fails_that_check(
    fake: Fake, check: str, spoil: Callable[[Fake], None], seen: str
) -> None:
    spoil(fake)
    finding = run(fake, check)
    assert not finding.ok
    assert seen in finding.seen
    assert finding.next_step


def test_a_real_channel_is_judged_by_alertmanagers_counters(fake: Fake) -> None:
    fake.lost = {("slack", "#critical-alerts"), ("slack", "#bot-core-alerts")}
    assert run(fake, "notifications.critical-infrastructure", real=frozenset({"slack"})).ok
    fake.failures = 1
    finding = run(fake, "notifications.critical-infrastructure", real=frozenset({"slack"}))
    assert "Alertmanager could not deliver to slack" in finding.seen


@pytest.mark.parametrize(
    ("severity", "component"),
    list(itertools.product(notifications.SEVERITIES, notifications.COMPONENTS)),
)
def test_who_is_told_is_the_plans_table(severity: str, component: str) -> None:
    monday = dt.datetime(2026, 11, 23, 16, 59, tzinfo=dt.UTC)
    sunday = dt.datetime(2026, 11, 22, 12, tzinfo=dt.UTC)
    at_work, at_rest = (notifications.expected(severity, component, at) for at in (monday, sunday))
    assert at_work - at_rest == ({("email", "[BOT-CORE]")} if severity == "warning" else set())
    assert (("pagerduty", "critical") in at_rest) == (severity == "critical")
    assert bool(at_rest) == (severity != "info")


@pytest.mark.parametrize("check", [check for check in runner.CHECKS if check.drill])
def test_a_drill_does_not_stop_what_is_not_this_stacks(
    fake: Fake, state_dir: Path, check: Check
) -> None:
    engine = MemoryEngine(container(check.service, name="theirs", attached=True, project="bot"))
    journal = Journal(open_state("bot-core"))
    finding = run(fake, check.id, drills=Drills(engine, journal))
    assert finding.ok
    assert finding.seen == (
        f"not asked: {check.service} is not this stack's, its container theirs belongs to the Compose project bot"
    )
    assert (engine.done, journal.open_faults()) == ([], [])


def test_a_drill_of_the_stacks_own_service_is_asked(fake: Fake, state_dir: Path) -> None:
    engine = MemoryEngine(container("rust-core-engine"))
    assert Drills(engine, Journal(open_state("bot-core"))).refusal("rust-core-engine") is None
    assert Drills(MemoryEngine(), Journal(open_state("bot-core"))).refusal("redis") is None


def test_slow_checks_run_when_asked_for() -> None:
    quick = runner.select([])
    assert not any(check.slow for check in quick)
    assert not any(check.drill for check in quick)
    assert set(runner.select([], slow=True, drill=True)) == set(runner.CHECKS)
    assert {check.drill for check in runner.select(["alertmanager"])} == {False}
    assert [check.id for check in runner.select(["end-to-end.drill"])] == ["end-to-end.drill"]
    assert any(check.slow for check in runner.select(["notifications"]))
