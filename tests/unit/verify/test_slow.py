"""The slow sections of `verify`, before an Alertmanager and an application that a test can make wrong."""

from __future__ import annotations

import asyncio
import datetime as dt
import json
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest

from stackctl.chaos.journal import Journal
from stackctl.clients.alertmanager import AlertmanagerClient
from stackctl.clients.grafana import GrafanaClient
from stackctl.clients.loki import LokiClient
from stackctl.clients.prometheus import PrometheusClient
from stackctl.clients.sink import SinkClient
from stackctl.config.registry import DEFAULT_RUNBOOKS
from stackctl.errors import ServiceError
from stackctl.project.state import open_state
from stackctl.services.applications import Target
from stackctl.values.secret import Secret
from stackctl.verify import end_to_end, notifications, runner
from stackctl.verify.drill_runner import DrillRunner
from stackctl.verify.load_runner import LoadRunner
from stackctl.verify.model import Check, Context, Finding
from tests.support.engine import MemoryEngine, container
from tests.support.http import Reply, Request, Server, as_json, serving

# The checks wait for what may come late, and so do their tests.
pytestmark = pytest.mark.thorough

CONFIG = """
route:
  group_wait: 0s
  group_interval: 0s
  routes:
    - { matchers: [severity = warning], group_wait: 50ms }
"""

CRITICAL = (
    ("pagerduty", "critical", ""),
    ("email", "team@bot-core.io", "[CRITICAL] "),
    ("slack", "#critical-alerts", ""),
    ("slack", "#bot-core-alerts", ""),
)
WARNING = (("slack", "#bot-core-alerts", ""),)
OFFICE = ("email", "team@bot-core.io", "[BOT-CORE] ")
TRADING = ("slack", "#trading-alerts", "")
AI = ("slack", "#ai-alerts", "")
DATABASE = ("slack", "#database-alerts", "")
PLAN: dict[tuple[str, str], tuple[tuple[str, str, str], ...]] = {
    ("critical", "infrastructure"): CRITICAL,
    ("critical", "trading"): (*CRITICAL, TRADING),
    ("critical", "ai"): (*CRITICAL, AI),
    ("critical", "database"): (*CRITICAL, DATABASE),
    ("warning", "infrastructure"): WARNING,
    ("warning", "trading"): (*WARNING, TRADING),
    ("warning", "ai"): (*WARNING, AI),
    ("warning", "database"): (*WARNING, DATABASE),
    ("info", "infrastructure"): (),
    ("info", "trading"): (),
    ("info", "ai"): (),
    ("info", "database"): (),
}
"""The plan's table: severity and component → channel, target, and how a mail's subject begins."""

RECEIVERS = {
    "critical": ["critical-alerts", "default"],
    "warning": ["warning-alerts", "business-hours"],
    "info": ["log-only"],
}
TEAMS = {"trading": ["trading-team"], "ai": ["ai-team"], "database": ["dba-team"]}


def at_work(at: dt.datetime) -> bool:
    return at.weekday() < 5 and 9 <= at.hour < 17


class Fake:
    """Alertmanager and the sink as one, and the application with its metrics and log lines."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.url = server.url
        self.messages: list[dict[str, Any]] = []
        self.known: set[tuple[str, bool]] = set()
        self.posted: list[dict[str, str]] = []
        self.lost: set[str] = set()
        """Targets that get nothing."""
        self.extra: list[tuple[str, str, str]] = []
        """What is sent beside the plan's."""
        self.late: list[tuple[str, str, str]] = []
        """What is sent when somebody has looked once."""
        self.recipient = "team@bot-core.io"
        self.no_route: set[str] = set()
        self.resolves = True
        self.requests: Counter[str] = Counter()
        self.failures: Counter[str] = Counter()
        self.text = f"{notifications._SUMMARY} {DEFAULT_RUNBOOKS}/{notifications._RUNBOOK}"
        self.runs: list[str] = []
        self.status = 200
        self.uncounted = 0
        self.unlogged = 0
        self.garbled = ""
        server.routes |= {
            "/api/v2/alerts": self._alerts,
            "/api/v2/status": as_json(
                {
                    "versionInfo": {"version": "0"},
                    "config": {"original": CONFIG},
                    "cluster": {"status": "disabled"},
                    "uptime": "2026-01-01T00:00:00Z",
                }
            ),
            "/messages": self._messages,
            "/metrics": self._metrics,
            "/api/health": self._health,
            "/api/v1/query": self._query,
            "/loki/api/v1/query_range": self._lines,
        }

    def _alerts(self, request: Request) -> Reply:
        if request.method == "GET":
            return as_json([self._held(labels) for labels in self.posted])
        (alert,) = json.loads(request.body)
        labels = alert["labels"]
        starts, ends = (dt.datetime.fromisoformat(alert[name]) for name in ("startsAt", "endsAt"))
        ended = ends <= dt.datetime.now(dt.UTC)
        if (labels["service"], ended) in self.known or (ended and not self.resolves):
            return Reply()
        self.known.add((labels["service"], ended))
        self.posted.append(labels)
        told = [*PLAN[labels["severity"], labels["component"]], *self.extra]
        if labels["severity"] == "warning" and at_work(starts):
            told.append(OFFICE)
        for channel, target, subject in told:
            self.requests[channel] += 1
            if target in self.lost:
                self.failures[channel] += 1
            else:
                self._send(labels, channel, target, subject, ended)
        return Reply()

    def _held(self, labels: dict[str, str]) -> dict[str, object]:
        names = RECEIVERS[labels["severity"]] + (
            TEAMS.get(labels["component"], []) if labels["severity"] != "info" else []
        )
        now = "2026-01-01T00:00:00Z"
        return {
            "labels": labels,
            "startsAt": now,
            "endsAt": now,
            "status": {"state": "active"},
            "receivers": [{"name": name} for name in names if name not in self.no_route],
        }

    def _send(
        self, labels: dict[str, str], channel: str, target: str, subject: str, ended: bool
    ) -> None:
        self.messages.append(
            {
                "id": len(self.messages) + 1,
                "channel": channel,
                "target": self.recipient if channel == "email" else target,
                "status": "resolved" if ended else "firing",
                "title": f"{subject}{labels['alertname']} on {labels['service']}",
                "text": self.text,
            }
        )

    def _messages(self, request: Request) -> Reply:
        after = int(parse_qs(request.query).get("after", ["0"])[0])
        shown = [one for one in self.messages if one["id"] > after]
        while self.posted and self.late:
            self._send(self.posted[-1], *self.late.pop(), ended=False)
        return as_json(shown)

    def _metrics(self, _request: Request) -> Reply:
        counted = {"_total": self.requests, "_failed_total": self.failures}
        lines = [
            f'alertmanager_notification_requests{name}{{integration="{channel}"}} {number}'
            for name, counter in counted.items()
            for channel, number in counter.items()
        ]
        number = self.garbled or len(self.runs)
        lines.append(f'http_requests_total{{endpoint="/api/health",status="200"}} {number}')
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
    for name, value in (("_LATE", 0.1), ("_MARGIN", 0.0), ("_PAUSE", 0.01)):
        monkeypatch.setattr(notifications, name, value)
    for name, number in (("_SCRAPE_WAIT", 0.1), ("_PAUSE", 0.01)):
        monkeypatch.setattr(end_to_end, name, number)
    with serving({}) as server:
        yield Fake(server)


def run(
    fake: Fake,
    check: str,
    *,
    real: frozenset[str] = frozenset(),
    demo: bool = True,
    drills: DrillRunner | None = None,
    runbooks: str = DEFAULT_RUNBOOKS,
) -> Finding:
    async def ask() -> Finding:
        async with (
            PrometheusClient(fake.url) as prometheus,
            AlertmanagerClient(fake.url) as alertmanager,
            LokiClient(fake.url) as loki,
            GrafanaClient(fake.url, password=Secret("x")) as grafana,
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
                log_collector="promtail",
                log_job=None,
                load=LoadRunner(
                    fake.url, Target("fake", 80, "/metrics"), "/api/health", requests=10
                )
                if demo
                else None,
                sink=sink if demo else None,
                real_channels=real,
                drills=drills or DrillRunner(engine=None, journal=None, settings=None, services={}),  # type: ignore[arg-type]
                blackbox=None,  # type: ignore[arg-type]
                runbooks=runbooks,
            )
            (chosen,) = runner.select([check])
            return await chosen.run(context)

    return asyncio.run(ask())


SLOW = [check.id for check in runner.CHECKS if check.slow]


@pytest.mark.parametrize("check", SLOW)
def test_each_slow_check_passes_where_all_is_right(fake: Fake, check: str) -> None:
    finding = run(fake, check)
    assert finding.ok, finding
    assert finding.skipped == check.startswith("dashboards.")


@pytest.mark.parametrize("check", SLOW)
def test_without_the_demo_nothing_is_asked(fake: Fake, check: str) -> None:
    finding = run(fake, check, demo=False)
    assert finding.ok
    assert finding.skipped
    assert finding.observed.startswith("skipped: ")
    assert (fake.runs, fake.posted) == ([], [])


def test_messages_link_runbooks_at_the_address_of_the_settings(fake: Fake) -> None:
    own = "https://wiki.example/runbooks"
    finding = run(fake, "notifications.critical-ai", runbooks=own)
    assert "does not link the runbook" in finding.observed
    fake.text = f"{notifications._SUMMARY} {own}/{notifications._RUNBOOK}"
    fake.known.clear()
    assert run(fake, "notifications.critical-ai", runbooks=own).ok


WRONG: dict[str, tuple[str, Callable[[Fake], None], str]] = {
    "a channel that is not told": (
        "notifications.critical-trading",
        lambda f: f.lost.add("#trading-alerts"),
        "slack #trading-alerts was not notified when it fired",
    ),
    "a channel that should not be notified": (
        "notifications.warning-ai",
        lambda f: f.extra.append(TRADING),
        "slack #trading-alerts was notified when it fired but should not have been",
    ),
    "somebody who is notified late and should not be": (
        "notifications.warning-ai",
        lambda f: f.late.append(TRADING),
        "slack #trading-alerts was notified when it fired but should not have been",
    ),
    "a message that comes twice": (
        "notifications.critical-ai",
        lambda f: f.extra.append(AI),
        "slack #ai-alerts was notified 2 times when it fired",
    ),
    "a mail to somebody else": (
        "notifications.critical-infrastructure",
        lambda f: setattr(f, "recipient", "boss@bot-core.io"),
        "email [CRITICAL] to boss@bot-core.io was notified when it fired but should not have been",
    ),
    "a route that is missing": (
        "notifications.critical-database",
        lambda f: f.no_route.add("dba-team"),
        "routed to critical-alerts, default instead of critical-alerts, dba-team, default",
    ),
    "somebody who is notified of what is for the list only": (
        "notifications.info-database",
        lambda f: f.extra.append(WARNING[0]),
        "should not have been",
    ),
    "no word of the end": (
        "notifications.critical-ai",
        lambda f: setattr(f, "resolves", False),
        "was not notified when it was resolved",
    ),
    "a template that failed": (
        "notifications.critical-database",
        lambda f: setattr(f, "text", "<no value>"),
        "shows '<no value>'",
    ),
    "a failing request": (
        "end-to-end.load",
        lambda f: setattr(f, "status", 503),
        "10 times 503",
    ),
    "requests that are not counted": (
        "end-to-end.metrics",
        lambda f: setattr(f, "uncounted", 1),
        "it grew by 9",
    ),
    "a log line that is lost": (
        "end-to-end.logs",
        lambda f: setattr(f, "unlogged", 1),
        "9 lines",
    ),
}


@pytest.mark.parametrize(("check", "spoil", "seen"), WRONG.values(), ids=WRONG)
def test_a_stack_wrong_in_one_way_fails_that_check(
    fake: Fake, check: str, spoil: Callable[[Fake], None], seen: str
) -> None:
    spoil(fake)
    finding = run(fake, check)
    assert not finding.ok
    assert seen in finding.observed, finding
    assert finding.next_step


REAL = frozenset({"slack", "email", "pagerduty"})


@pytest.mark.parametrize("demo", [True, False])
def test_of_a_real_channel_alertmanagers_counters_must_rise_with_or_without_the_demo(
    fake: Fake, demo: bool
) -> None:
    check = "notifications.critical-trading"
    finding = run(fake, check, real=REAL, demo=demo)
    assert finding.ok, finding
    assert not finding.skipped
    assert "the real slack (3)" in finding.expected
    assert [labels["severity"] for labels in fake.posted] == ["critical", "critical"]
    fake.lost = {"#trading-alerts"}
    finding = run(fake, check, real=REAL, demo=demo)
    assert not finding.ok
    assert "slack received 2 of 3 notifications of this run's test alerts when it fired" in (
        finding.observed
    )
    assert "received 2 of 6" not in finding.observed
    assert "email received" not in finding.observed


def test_a_real_channel_that_is_asked_nothing_fails(fake: Fake) -> None:
    original = fake._alerts

    def swallowed(request: Request) -> Reply:
        reply = original(request)
        fake.requests.clear()
        return reply

    fake.server.routes["/api/v2/alerts"] = swallowed
    finding = run(fake, "notifications.warning-infrastructure", real=frozenset({"slack"}))
    assert "slack received 0 of 1" in finding.observed
    assert "slack received 0 of 2" in finding.observed


def test_only_what_is_set_up_is_expected_without_the_demo(fake: Fake) -> None:
    fake.lost = {"#critical-alerts", "#bot-core-alerts", "critical"}
    finding = run(
        fake, "notifications.critical-infrastructure", real=frozenset({"email"}), demo=False
    )
    assert finding.ok, finding
    assert finding.expected.endswith("resolved: the real email (1)")


@pytest.mark.parametrize("value", ["abc", "NaN", "+Inf"])
def test_a_counter_that_is_no_number_is_an_error_with_its_name(fake: Fake, value: str) -> None:
    fake.garbled = value
    with pytest.raises(ServiceError, match=r"(its|malformed sample of) http_requests_total"):
        run(fake, "end-to-end.load")


def test_a_load_that_could_not_begin_is_made_when_asked_again(fake: Fake) -> None:
    metrics = fake.server.routes["/metrics"]

    async def twice() -> tuple[bool, int]:
        load = LoadRunner(fake.url, Target("fake", 80, "/metrics"), "/api/health", requests=10)
        fake.server.routes["/metrics"] = Reply(status=503)
        with pytest.raises(ServiceError):
            await load.outcome()
        fake.server.routes["/metrics"] = metrics
        first = await load.outcome()
        return first is await load.outcome(), first.made.answers["200"]

    assert asyncio.run(twice()) == (True, 10)


@pytest.mark.parametrize(("severity", "component"), list(PLAN))
def test_who_is_told_is_the_plans_table(severity: str, component: str) -> None:
    def listed(at: dt.datetime) -> list[tuple[str, str]]:
        return sorted(notifications.expected(severity, component, at).elements())

    def planned(*rows: tuple[str, str, str]) -> list[tuple[str, str]]:
        return sorted(
            (channel, f"{subject}to {target}" if channel == "email" else target)
            for channel, target, subject in rows
        )

    always = PLAN[severity, component]
    office = (*always, OFFICE) if severity == "warning" else always
    monday, sunday = (
        dt.datetime(2026, 11, 23, tzinfo=dt.UTC),
        dt.datetime(2026, 11, 22, tzinfo=dt.UTC),
    )
    for hour, minute in ((9, 0), (16, 59)):
        assert listed(monday.replace(hour=hour, minute=minute)) == planned(*office)
        assert listed(sunday.replace(hour=hour, minute=minute)) == planned(*always)
    for hour, minute in ((8, 59), (17, 0)):
        assert listed(monday.replace(hour=hour, minute=minute)) == planned(*always)
    assert notifications.receivers(severity, component) == {
        *RECEIVERS[severity],
        *(TEAMS.get(component, []) if severity != "info" else []),
    }


@pytest.mark.parametrize("check", [check for check in runner.CHECKS if check.drill])
def test_a_drill_does_not_stop_what_is_not_this_stacks(
    fake: Fake, state_dir: Path, check: Check
) -> None:
    engine = MemoryEngine(container(check.service, name="theirs", attached=True, project="bot"))
    journal = Journal(open_state("bot-core"))
    drills = DrillRunner(engine, journal, settings=None, services={})  # type: ignore[arg-type]
    finding = run(fake, check.id, drills=drills)
    assert finding.ok
    assert finding.skipped
    assert finding.observed == (
        f"skipped: {check.service} does not belong to this stack:"
        " its container theirs belongs to the Compose project bot"
    )
    assert (engine.done, journal.open_faults()) == ([], [])


def test_slow_checks_run_when_asked_for() -> None:
    quick = runner.select([])
    assert not any(check.slow for check in quick)
    assert not any(check.drill for check in quick)
    assert set(runner.select([], slow=True, drill=True)) == set(runner.CHECKS)
    assert {check.drill for check in runner.select(["alertmanager"])} == {False}
    assert [check.id for check in runner.select(["end-to-end.drill"])] == ["end-to-end.drill"]
    assert any(check.slow for check in runner.select(["notifications"]))
