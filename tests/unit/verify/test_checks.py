"""Each check both ways: against a stack that is right, and against one that is wrong in just that way."""

from __future__ import annotations

import asyncio
import contextlib
import copy
import dataclasses
import datetime as dt
import json
import re
import socket
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import jsonschema
import pytest
import yaml
from pydantic import SecretStr
from rich.console import Console

from stackctl.chaos.timeline import Pace, Stage, Timeline
from stackctl.clients.alertmanager import AlertmanagerClient
from stackctl.clients.base import Exchange
from stackctl.clients.grafana import GrafanaClient
from stackctl.clients.loki import LokiClient
from stackctl.clients.prometheus import PrometheusClient
from stackctl.errors import StackctlError, UsageError
from stackctl.report import html, junit, terminal
from stackctl.report import json as json_report
from stackctl.services.catalog import EXPECTED_JOBS
from stackctl.verify import runner
from stackctl.verify.drills import Drills
from stackctl.verify.model import Check, Context, Finding, Report, Result, skipped
from tests.support.http import Reply, Request, Server, as_json, serving

JOBS = (*EXPECTED_JOBS, "kong", "alertmanager")
NOW = "2026-01-02T03:04:05.678Z"


def success(data: object) -> dict[str, object]:
    return {"status": "success", "data": data}


def target(job: str, health: str = "up", error: str = "") -> dict[str, object]:
    return {
        "labels": {"job": job, "instance": f"{job}:1"},
        "discoveredLabels": {"__address__": f"{job}:1"},
        "scrapeUrl": f"http://{job}:1/metrics",
        "health": health,
        "lastError": error,
        "lastScrapeDuration": 0.01,
        "scrapeInterval": "15s",
    }


def config(path: str = "/metrics", *jobs: str) -> object:
    scrapes = [
        {"job_name": job, "metrics_path": path, "static_configs": [{"targets": [f"{job}:1"]}]}
        for job in jobs or JOBS
    ]
    return success({"yaml": yaml.safe_dump({"scrape_configs": scrapes})})


def rule(health: str = "ok", error: str = "") -> dict[str, object]:
    return {
        "name": "ServiceDown",
        "query": "up == 0",
        "type": "alerting",
        "health": health,
        "lastError": error,
    }


def alert(severity: str, name: str = "X", state: str = "active") -> dict[str, object]:
    return {
        "labels": {"alertname": name, "severity": severity, "service": "a"},
        "startsAt": NOW,
        "endsAt": NOW,
        "status": {"state": state, "silencedBy": [], "inhibitedBy": []},
    }


RECEIVERS = (
    "log-only",
    "default",
    "critical-alerts",
    "warning-alerts",
    "trading-team",
    "ai-team",
    "dba-team",
    "business-hours",
)
SOURCES = [
    {
        "uid": "prometheus",
        "name": "Prometheus",
        "type": "prometheus",
        "url": "http://prometheus:9090",
    },
    {"uid": "loki", "name": "Loki", "type": "loki", "url": "http://loki:3100"},
    {
        "uid": "alertmanager",
        "name": "Alertmanager",
        "type": "alertmanager",
        "url": "http://alertmanager:9093",
    },
]

RIGHT: dict[str, Any] = {
    "/-/ready": "ready",
    "/api/v1/status/buildinfo": success({"version": "2.53.3"}),
    "/api/v1/status/runtimeinfo": success({"lastConfigTime": NOW}),
    "/api/v1/targets": success({"activeTargets": [target(job) for job in JOBS]}),
    "/api/v1/status/config": config(),
    "/api/v1/rules": success(
        {"groups": [{"name": "g", "file": "f", "interval": 15, "rules": [rule()]}]}
    ),
    "/api/v1/alertmanagers": success(
        {"activeAlertmanagers": [{"url": "http://alertmanager:1/api/v2/alerts"}]}
    ),
    "/api/v2/status": {
        "versionInfo": {"version": "0.28.1"},
        "config": {"original": "route: {}"},
        "cluster": {"status": "disabled"},
        "uptime": NOW,
    },
    "/api/v2/alerts": [
        alert("warning"),
        alert("critical", name="StackctlVerify"),
        alert("critical", state="suppressed"),
    ],
    "/api/v2/receivers": [{"name": name} for name in RECEIVERS],
    "/api/health": {"database": "ok", "version": "10.2.2"},
    "/api/user": {"login": "admin"},
    "/api/datasources": SOURCES,
    "/api/datasources/uid/prometheus/health": {"status": "OK", "message": "fine"},
    "/api/datasources/uid/loki/health": {"status": "OK", "message": "fine"},
    "/api/datasources/proxy/uid/alertmanager/api/v2/status": {"cluster": {"status": "disabled"}},
    "/api/search": [{"uid": "system-overview", "title": "System Overview"}],
    "/ready": "ready",
    "/loki/api/v1/labels": success(["job", "container_name", "image", "level"]),
    "/api/dashboards/uid/system-overview": {
        "dashboard": {"uid": "system-overview", "panels": [{"title": "CPU"}]}
    },
    "/metrics": Reply(),
}


class Stack:
    """All four services as one server whose answers a test can change."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.up: dict[str, float] = dict.fromkeys(EXPECTED_JOBS, 1)
        self.dropped = 0.0
        self.unsent = 0.0
        self.refused = 0.0
        self.sent = [2.0]
        self.lost = 0.0
        self.corruptions = 0.0
        self.probe = 1.0
        self.lines = ["a line"]
        self.pushed: list[list[str]] = []
        self.keeps_pushed = True
        for path, value in RIGHT.items():
            self.set(path, value)
        server.routes["/api/v1/query"] = self._query
        server.routes["/loki/api/v1/push"] = self._push
        server.routes["/loki/api/v1/query_range"] = self._lines

    def set(self, path: str, value: Any) -> None:
        self.server.routes[path] = (
            value if isinstance(value, Reply) else as_json(copy.deepcopy(value))
        )

    def _query(self, request: Request) -> Reply:
        if b"alertmanager_notifications" in request.body:
            failed = b"_failed" in request.body
            counts = [self.refused] if failed else self.sent
            slack = {"integration": "slack"}
            found = [{"metric": slack, "value": [0, str(count)]} for count in counts]
            return as_json(success({"resultType": "vector", "result": found}))
        values = {
            b"notifications_dropped": self.dropped,
            b"notifications_errors": self.unsent,
            b"loki_discarded": self.lost,
            b"promtail_dropped": 0.0,
            b"wal_corruptions": self.corruptions,
            b"_failed_total": 0.0,
            b"head_series": 100.0,
            b"probe_success": self.probe,
        }
        series: list[dict[str, Any]] = [
            {"metric": {}, "value": [0, str(value)]}
            for name, value in values.items()
            if name in request.body
        ] or [{"metric": {"job": job}, "value": [0, str(value)]} for job, value in self.up.items()]
        return as_json(success({"resultType": "vector", "result": series}))

    def _push(self, request: Request) -> Reply:
        if self.keeps_pushed:
            self.pushed += json.loads(request.body)["streams"][0]["values"]
        return Reply(status=204)

    def _lines(self, request: Request) -> Reply:
        values = (
            self.pushed if "stackctl" in request.query else [["1", line] for line in self.lines]
        )
        streams = [{"stream": {}, "values": values}] if values else []
        return as_json(success({"resultType": "streams", "result": streams}))


@pytest.fixture
def stack() -> Iterator[Stack]:
    with serving({}) as server:
        yield Stack(server)


@contextlib.asynccontextmanager
async def context_of(url: str, timeout: float = 1.5) -> AsyncIterator[Context]:
    async with (
        PrometheusClient(url, timeout=timeout) as prometheus,
        AlertmanagerClient(url, timeout=timeout) as alertmanager,
        # As long as a line that is lost is waited for.
        LokiClient(url, timeout=min(timeout, 0.5)) as loki,
        GrafanaClient(url, password=SecretStr("x"), timeout=timeout) as grafana,
    ):
        yield Context(
            prometheus,
            alertmanager,
            loki,
            grafana,
            expected_jobs=EXPECTED_JOBS,
            left_out=(),
            expected_dashboards=("system-overview",),
            dashboards=Path("infrastructure/monitoring/grafana/dashboards"),
            log_job="rust-core-engine",
            load=None,
            sink=None,
            real_channels=frozenset(),
            drills=Drills(engine=None, journal=None, settings=None, services={}),  # type: ignore[arg-type]
        )


async def run_in(context: Context, checks: tuple[Check, ...], timeout: float = 0.0) -> Report:
    return await runner.run(
        checks,
        context,
        project="bot-core",
        images="local",
        standins={"grafana": True},
        timeout=timeout,
        finished=lambda _: None,
    )


def verify(stack: Stack, *names: str, timeout: float = 0.0) -> Report:
    async def run() -> Report:
        async with context_of(stack.server.url) as context:
            return await run_in(context, runner.select(names), timeout)

    return asyncio.run(run())


def test_a_right_stack_passes_every_check(stack: Stack) -> None:
    report = verify(stack)
    assert report.ok, [(one.check.id, one.finding) for one in report.failed]
    assert len(report.results) == len(QUICK)
    assert all(one.exchanges for one in report.results)
    assert {one.check.service for one in report.results if one.standin} == {"grafana"}


def targets(job: str, health: str, error: str) -> object:
    jobs = [target(name, *((health, error) if name == job else ())) for name in JOBS]
    return success({"activeTargets": jobs})


def no_target(stack: Stack) -> None:
    stack.set(
        "/api/v1/targets",
        success({"activeTargets": [target(job) for job in EXPECTED_JOBS if job != "redis"]}),
    )


def rules(*found: object) -> object:
    groups = [{"name": "g", "file": "f", "interval": 15, "rules": list(found)}] if found else []
    return success({"groups": groups})


CHECKS = runner.CHECKS
QUICK = runner.select([])

WRONG: dict[str, tuple[str, Callable[[Stack], None], str]] = {
    "not ready": ("prometheus.ready", lambda s: s.set("/-/ready", Reply(b"", 503)), "503"),
    "target down": (
        "prometheus.targets",
        lambda s: s.set("/api/v1/targets", targets("redis", "down", "no such host")),
        "redis: down (no such host)",
    ),
    "target removed": ("prometheus.targets", no_target, "redis: no target"),
    "target not scraped yet": (
        "prometheus.targets",
        lambda s: s.set("/api/v1/targets", targets("redis", "unknown", "")),
        "redis: unknown",
    ),
    "another target down": (
        "prometheus.other-targets",
        lambda s: s.set("/api/v1/targets", targets("kong", "down", "refused")),
        "kong kong:1 down: refused",
    ),
    "failing probe": (
        "prometheus.probes",
        lambda s: setattr(s, "probe", 0.0),
        "fails",
    ),
    "probe without a result": (
        "prometheus.probes",
        lambda s: s.set(
            "/api/v1/targets",
            success({"activeTargets": [{**target("b"), "scrapeUrl": "http://b:9115/probe?x=y"}]}),
        ),
        "b of b:1 is not known yet",
    ),
    "a target that is not discovered yet": (
        "prometheus.other-targets",
        lambda s: s.set("/api/v1/status/config", config("/metrics", "kong", "node")),
        "node node:1: not discovered yet",
    ),
    "a probe that is not discovered yet": (
        "prometheus.probes",
        lambda s: s.set("/api/v1/status/config", config("/probe", "b")),
        "b of b:1 is not known yet",
    ),
    "a scrape that was not yet": (
        "prometheus.scrapes",
        lambda s: s.set("/api/v1/targets", targets("redis", "unknown", "")),
        "redis is not scraped yet",
    ),
    "a configuration that is none": (
        "prometheus.probes",
        lambda s: s.set("/api/v1/status/config", success({"yaml": "a: [2001-99-99"})),
        "what it gives as its configuration is none",
    ),
    "slow scrape": (
        "prometheus.scrapes",
        lambda s: s.set(
            "/api/v1/targets",
            success({"activeTargets": [{**target("kong"), "lastScrapeDuration": 9.0}]}),
        ),
        "kong 9.00 s of 15s",
    ),
    "corrupt storage": (
        "prometheus.storage",
        lambda s: setattr(s, "corruptions", 1.0),
        "wal_corruptions_total is 1",
    ),
    "a clock that is off": (
        "prometheus.clocks",
        lambda s: s.set("/metrics", Reply(date="Mon, 01 Jan 2024 00:00:00 GMT")),
        "loki is off by -",
    ),
    "lost lines": ("loki.lost", lambda s: setattr(s, "lost", 5.0), "5 refused by Loki"),
    "refused notifications": (
        "notifications.failures",
        lambda s: setattr(s, "refused", 1.0),
        "slack: 1 failed",
    ),
    "no counters of notifications": (
        "notifications.failures",
        lambda s: setattr(s, "sent", []),
        "has no counters",
    ),
    "a dashboard that is not there": (
        "end-to-end.dashboards",
        lambda s: s.set("/api/dashboards/uid/system-overview", Reply(b"{}", 404)),
        "system-overview: grafana at",
    ),
    "a dashboard without panels": (
        "end-to-end.dashboards",
        lambda s: s.set(
            "/api/dashboards/uid/system-overview", {"dashboard": {"uid": "system-overview"}}
        ),
        "system-overview: no panels",
    ),
    "an alertmanager at a wrong address": (
        "prometheus.alertmanager",
        lambda s: s.set(
            "/api/v1/alertmanagers",
            success({"activeAlertmanagers": [{"url": "http://alertmanger:1/api/v2/alerts"}]}),
        ),
        "it sends to alertmanger:1, and scrapes alertmanager:1",
    ),
    "notifications that cannot be sent": (
        "prometheus.notifications",
        lambda s: setattr(s, "unsent", 2.0),
        "2 could not be sent",
    ),
    "a clock that is ahead": (
        "prometheus.clocks",
        lambda s: s.set("/metrics", Reply(date="Fri, 01 Jan 2100 00:00:00 -0000")),
        "loki is off by +",
    ),
    "a date that is none": (
        "prometheus.clocks",
        lambda s: s.set("/metrics", Reply(date="Mon, 01 Jan 99999999999999999999 00:00:00 GMT")),
        "has no Date",
    ),
    "no target at all": (
        "prometheus.other-targets",
        lambda s: s.set("/api/v1/targets", success({"activeTargets": []})),
        "prometheus prometheus:1: not discovered yet",
    ),
    "no rules": ("prometheus.rules", lambda s: s.set("/api/v1/rules", rules()), "none"),
    "rule with an error": (
        "prometheus.rule-health",
        lambda s: s.set("/api/v1/rules", rules(rule("err", "many-to-many"))),
        "many-to-many",
    ),
    "up is 0": ("prometheus.query", lambda s: s.up.update(mongodb=0), "mongodb"),
    "no alertmanager": (
        "prometheus.alertmanager",
        lambda s: s.set("/api/v1/alertmanagers", success({"activeAlertmanagers": []})),
        "it sends to none",
    ),
    "dropped notifications": (
        "prometheus.notifications",
        lambda s: setattr(s, "dropped", 3),
        "3 dropped",
    ),
    "grafana's database": (
        "grafana.health",
        lambda s: s.set("/api/health", {"database": "failing"}),
        "failing",
    ),
    "refused password": (
        "grafana.login",
        lambda s: s.set("/api/user", Reply(b'{"message": "no"}', 401)),
        "refused",
    ),
    "missing data source": (
        "grafana.datasources",
        lambda s: s.set("/api/datasources", SOURCES[:1]),
        "missing: Loki",
    ),
    "data source with a wrong address": (
        "grafana.datasource-health",
        lambda s: s.set("/api/datasources/uid/loki/health", Reply(b'{"message": "dial tcp"}', 400)),
        "dial tcp",
    ),
    "alertmanager with a wrong address": (
        "grafana.datasource-health",
        lambda s: s.set(
            "/api/datasources/proxy/uid/alertmanager/api/v2/status", Reply(b"Bad Gateway", 502)
        ),
        "Alertmanager at",
    ),
    "data source that is not OK": (
        "grafana.datasource-health",
        lambda s: s.set("/api/datasources/uid/loki/health", {"status": "ERROR", "message": "odd"}),
        "odd",
    ),
    "missing dashboard": (
        "grafana.dashboards",
        lambda s: s.set("/api/search", []),
        "missing: system-overview",
    ),
    "loki not ready": ("loki.ready", lambda s: s.set("/ready", Reply(b"", 503)), "503"),
    "loki loses lines": (
        "loki.ready",
        lambda s: setattr(s, "keeps_pushed", False),
        "did not come back",
    ),
    "no lines": ("loki.lines", lambda s: s.lines.clear(), "none"),
    "missing label": (
        "loki.labels",
        lambda s: s.set("/loki/api/v1/labels", success(["job", "level"])),
        "job, level",
    ),
    "no configuration": (
        "alertmanager.status",
        lambda s: s.set("/api/v2/status", {**RIGHT["/api/v2/status"], "config": {"original": ""}}),
        "no configuration",
    ),
    "critical alert": (
        "alertmanager.alerts",
        lambda s: s.set("/api/v2/alerts", [alert("critical")]),
        "X of a (active)",
    ),
    "missing receiver": (
        "alertmanager.receivers",
        lambda s: s.set("/api/v2/receivers", [{"name": "default"}]),
        "missing: ai-team, business-hours, critical-alerts",
    ),
}


@pytest.mark.parametrize(("check", "spoil", "seen"), WRONG.values(), ids=WRONG)
def test_a_stack_wrong_in_one_way_fails_that_check(
    stack: Stack, check: str, spoil: Callable[[Stack], None], seen: str
) -> None:
    spoil(stack)
    (result,) = verify(stack, check).results
    assert not result.finding.ok
    assert seen in result.finding.seen
    assert result.finding.expected
    assert result.finding.next_step


@pytest.mark.parametrize(
    ("url", "step"),
    [
        ("http://redis-exporter:9121/metrics", "stackctl logs redis-exporter"),
        ("http://10.0.0.7:9121/metrics", "open {url}/targets"),
    ],
)
def test_a_target_that_is_down_leads_to_the_service_that_is_scraped(
    stack: Stack, url: str, step: str
) -> None:
    others = [target(job) for job in JOBS if job != "redis"]
    for check, wrong in (
        ("prometheus.targets", target("redis", "down", "refused")),
        ("prometheus.scrapes", {**target("redis"), "lastScrapeDuration": 9.0}),
    ):
        its = {**wrong, "scrapeUrl": url}
        stack.set("/api/v1/targets", success({"activeTargets": [*others, its]}))
        (result,) = verify(stack, check).results
        assert result.finding.next_step == step.format(url=stack.server.url)


@pytest.mark.parametrize(("reloaded", "window"), [(3600, 300), (130, 100), (5, 1)])
def test_what_is_dropped_at_a_reload_is_not_counted(
    stack: Stack, reloaded: int, window: int
) -> None:
    at = dt.datetime.now(dt.UTC) - dt.timedelta(seconds=reloaded)
    info = success({"lastConfigTime": at.isoformat()})
    stack.set("/api/v1/status/runtimeinfo", info)
    assert verify(stack, "prometheus.notifications").ok
    counted = [
        float(found)
        for request in stack.server.requests
        for found in re.findall(rb"notifications_dropped_total%5B(\d+)s%5D", request.body)
    ]
    assert counted
    # The clock goes on between the two readings of it.
    assert all(window <= seconds <= window + 20 for seconds in counted)


def test_every_check_is_spoiled_above() -> None:
    assert {check for check, _, _ in WRONG.values()} == {check.id for check in QUICK}


def test_a_stack_that_is_down_fails_every_check(stack: Stack) -> None:
    url = stack.server.url
    stack.server.url = re.sub(r":\d+$", ":9", url)
    assert len(verify(stack).failed) == len(QUICK)


def test_a_stack_that_accepts_and_never_answers_fails_every_check() -> None:
    async def run() -> Report:
        with socket.create_server(("127.0.0.1", 0), backlog=128) as silent:
            url = f"http://127.0.0.1:{silent.getsockname()[1]}"
            async with context_of(url, timeout=0.05) as context:
                return await run_in(context, QUICK)

    report = asyncio.run(run())
    assert len(report.failed) == len(QUICK)
    seen = " ".join(result.finding.seen for result in report.results)
    assert "within 0.05 s" in seen


def test_a_check_is_asked_again_until_it_holds(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "_PAUSE", 0.1)
    answers = iter([targets("redis", "unknown", ""), RIGHT["/api/v1/targets"]])
    stack.server.routes["/api/v1/targets"] = lambda _: as_json(next(answers))
    report = verify(stack, "prometheus.targets", timeout=5)
    assert report.ok
    assert next(answers, None) is None


def test_a_check_that_others_notice_is_asked_once(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    async def failing(_: Context) -> Finding:
        asked.append(1)
        return Finding(False, "x", "y", "z")

    check = Check("loki.once", "Once", "beyond the plan", "loki", failing, once=True)
    monkeypatch.setattr(runner, "CHECKS", (check,))
    assert not verify(stack, timeout=5).ok
    assert asked == [1]
    assert all(one.once for one in CHECKS if one.drill or one.id.startswith("notifications.c"))


def test_a_bug_in_a_check_is_a_failed_result_and_hides_no_other(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(_: Context) -> Finding:
        raise KeyError("oops")

    checks = (Check("loki.broken", "Broken", "beyond the plan", "loki", broken), runner.CHECKS[0])
    monkeypatch.setattr(runner, "CHECKS", checks)
    report = verify(stack)
    assert [result.finding.ok for result in report.results] == [False, True]
    assert "KeyError" in report.results[0].finding.seen


def test_sections_and_checks_are_selected_by_name() -> None:
    assert {check.section for check in runner.select(["loki"])} == {"loki"}
    assert [check.id for check in runner.select(["prometheus.targets"])] == ["prometheus.targets"]
    with pytest.raises(UsageError) as caught:
        runner.select(["prometeus"])
    assert caught.value.remedy == "did you mean prometheus?"


def report_with(seen: str) -> Report:
    async def nothing(_: Context) -> Finding:
        raise NotImplementedError

    good = Check("loki.ready", "Loki takes lines", "9.3", "loki", nothing)
    bad = Check("grafana.health", "Grafana is healthy", "9.2", "grafana", nothing)
    other = Check("end-to-end.load", "Load is answered", "9.5", "rust-core-engine", nothing)
    exchange = Exchange("GET http://x", "ok", "{}")
    return Report(
        "bot-core",
        "local",
        dt.datetime(2026, 1, 2, tzinfo=dt.UTC),
        1.5,
        (
            Result(
                good,
                Finding(True, "ready", "ready", "stackctl logs loki"),
                0.1,
                exchanges=(exchange,) * 9,
            ),
            Result(
                bad, Finding(False, "database ok", seen, "stackctl logs grafana"), 1.2, standin=True
            ),
            Result(other, skipped("an application", "none runs"), 0.0),
        ),
    )


@pytest.mark.thorough
def test_json_report_keeps_its_schema(stack: Stack) -> None:
    schema = json.loads((terminal_folder() / "schema.json").read_text())
    documents = []
    for report in (drilled(), verify(stack)):
        documents.append(json.loads(json_report.dumps(report)))
        jsonschema.validate(documents[-1], schema, format_checker=jsonschema.FormatChecker())
    failed, right = documents
    assert (failed["ok"], right["ok"]) == (False, True)
    good, bad, skipped = failed["checks"]
    assert (good["next_step"], bad["next_step"]) == ("", "stackctl logs grafana")
    assert good["evidence"] == [{"request": "GET http://x", "outcome": "ok", "answer": "{}"}] * 5
    assert [one["skipped"] for one in (good, bad, skipped)] == [False, False, True]
    assert skipped["seen"] == "not asked: none runs"
    (drill,) = failed["drills"]
    assert drill["stages"]["channel"] == 150
    (slow,) = [span for span in drill["spans"] if span["slow"]]
    assert (slow["name"], slow["seconds"], slow["most"]) == ("to the channel", 9.5, 0)
    assert right["drills"] == []


def terminal_folder() -> Any:
    return Path(terminal.__file__).parent


def test_junit_report_is_xml_whatever_was_seen() -> None:
    root = ET.fromstring(junit.dumps(report_with("bad \x00 <&> \ud800 text")))  # noqa: S314 - our own text
    assert (root.attrib["tests"], root.attrib["failures"], root.attrib["skipped"]) == (
        "3",
        "1",
        "1",
    )
    (failure,) = root.findall(".//failure")
    assert "<&>" in failure.attrib["message"]
    assert failure.text == "grafana.health\nwaited: 1.2 s\nnext: stackctl logs grafana"
    (skipped,) = root.findall(".//testcase/skipped")
    assert skipped.attrib["message"] == "not asked: none runs"
    suites = {one.attrib["name"]: one.attrib["skipped"] for one in root.findall("testsuite")}
    assert suites == {"loki": "0", "grafana": "0", "end-to-end": "1"}


@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_terminal_report_fits_80_columns_without_colour(encoding: str) -> None:
    import io

    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding=encoding)
    terminal.print_report(Console(file=stream, width=80, highlight=False), report_with("y" * 200))
    stream.flush()
    text = raw.getvalue().decode(encoding)
    assert all(len(line) <= 80 for line in text.splitlines())
    assert "\x1b" not in text
    assert ("✘" in text) == (encoding == "utf-8")
    for word in (
        "expected",
        "database ok",
        "seen",
        "waited",
        "next",
        "stackctl logs grafana",
        "(stand-in)",
        "1 of 2 checks passed, 1 skipped",
        "not asked: none runs",
    ):
        assert word in text


def drilled() -> Report:
    pace = Pace(
        scrape_interval=10, evaluation_interval=15, hold=120, group_wait=0, group_interval=10
    )
    seconds: dict[Stage, float] = {
        "fault": 0.5,
        "pending": 20.0,
        "firing": 140.0,
        "alertmanager": 140.5,
        "channel": 150.0,
        "healed": 151.0,
        "resolved": 160.0,
    }
    timeline = Timeline("ServiceDown", "kong", pace, seconds)
    return dataclasses.replace(report_with("<b>&"), drills=(timeline,))


def test_html_report_needs_nothing_else_and_escapes_what_it_shows(tmp_path: Path) -> None:
    exchange = Exchange("GET http://x/<q>", "it answered 500", "</pre><script>alert(1)</script>")
    report = drilled()
    bad = dataclasses.replace(report.results[1], exchanges=(exchange,) * 9)
    file = tmp_path / "report.html"
    html.write(file, dataclasses.replace(report, results=(report.results[0], bad)))
    assert file.stat().st_mode & 0o077 == 0
    text = file.read_text()
    tags = TagCounter()
    tags.feed(text)
    tags.close()
    assert tags.open == []
    assert tags.seen["script"] == tags.seen["link"] == tags.seen["img"] == 0
    assert tags.seen["details"] == 2
    assert tags.seen["pre"] == 10
    assert "The last 5 of 9 requests." in text
    assert "&lt;script&gt;" in text
    assert "1 of 2 checks failed" in text
    assert "stackctl logs loki" not in text
    for words in (
        "19.5 s (configured 0 to 25 s)",
        "120.0 s (configured 120 to 135 s)",
        "9.5 s (configured 0 to 0 s, slow)",
    ):
        assert words in text


def test_a_report_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StackctlError, match="cannot be written"):
        html.write(tmp_path / "file" / "report.html", report_with("x"))


class TagCounter(HTMLParser):
    """Counts elements, and knows which are still open."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: Counter[str] = Counter()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen[tag] += 1
        if tag not in {"meta", "br", "img", "link", "input"}:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag
