"""Each check both ways: against a stack that is right, and against one that is wrong in just that way."""

from __future__ import annotations

import asyncio
import datetime as dt
import re
import socket
from collections.abc import Callable
from dataclasses import replace
from urllib.parse import urlsplit

import pytest

from stackctl.services.catalog import EXPECTED_JOBS
from stackctl.verify import container_metrics
from stackctl.verify.model import Report, Result
from tests.support.engine import container
from tests.support.http import Reply
from tests.support.right_stack import (
    JOBS,
    QUICK,
    RIGHT,
    SOURCES,
    Stack,
    alert,
    config,
    context_of,
    rule,
    run_in,
    success,
    target,
    targets,
    verify,
)


def test_a_right_stack_passes_every_check(stack: Stack) -> None:
    report = verify(stack)
    assert report.ok, [(one.check.id, one.finding) for one in report.failed]
    assert len(report.results) == len(QUICK)
    assert all(one.exchanges for one in report.results)
    assert {one.check.service for one in report.results if one.standin} == {"grafana"}


@pytest.mark.parametrize(
    "reason", ["too_far_behind", "greater_than_max_sample_age", "out_of_order"]
)
def test_lines_that_were_read_again_are_not_lost(stack: Stack, reason: str) -> None:
    stack.refused_lines = {reason: 12.0, "rate_limited": 0.0}
    # The log collector counts the whole batch that had one of them.
    stack.dropped_lines = {"ingester_error": 40.0}
    (result,) = (one for one in verify(stack).results if one.check.id == "loki.lost")
    assert result.finding.ok
    assert f"12 {reason}" in result.finding.observed
    stack.dropped_lines["rate_limited"] = 2.0
    (result,) = (one for one in verify(stack).results if one.check.id == "loki.lost")
    assert not result.finding.ok
    assert "2 dropped by promtail (rate_limited)" in result.finding.observed


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ('{"timestamp":"2025-11-18T12:00:00Z","message":"GET / 200"}', "GET / 200"),
        ('{"msg":"x"}', '{"msg":"x"}'),
        ("[1]", "[1]"),
        ("plain", "plain"),
    ],
)
def test_the_line_that_is_shown_is_a_message(stack: Stack, line: str, shown: str) -> None:
    stack.lines = [line]
    (result,) = (one for one in verify(stack).results if one.check.id == "loki.lines")
    assert result.finding.observed == f"1 lines, such as: {shown}"


def no_target(stack: Stack) -> None:
    stack.set(
        "/api/v1/targets",
        success({"activeTargets": [target(job) for job in EXPECTED_JOBS if job != "redis"]}),
    )


def rules(*found: object) -> object:
    groups = [{"name": "g", "file": "f", "interval": 15, "rules": list(found)}] if found else []
    return success({"groups": groups})


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
        lambda s: s.probes.update(api=0.0),
        "fails",
    ),
    "no container seen": (
        "prometheus.containers",
        lambda s: setattr(s, "seen", []),
        "it is up, but has no metrics of containers",
    ),
    "probe without a result": (
        "prometheus.probes",
        lambda s: s.set(
            "/api/v1/targets",
            success({"activeTargets": [{**target("b"), "scrapeUrl": "http://b:9115/probe?x=y"}]}),
        ),
        "b of b:1 has no result yet",
    ),
    "a target that is not discovered yet": (
        "prometheus.other-targets",
        lambda s: s.set("/api/v1/status/config", config("/metrics", "kong", "node")),
        "node node:1: not discovered yet",
    ),
    "a probe that is not discovered yet": (
        "prometheus.probes",
        lambda s: s.set("/api/v1/status/config", config("/probe", "b")),
        "b of b:1 has no result yet",
    ),
    "a scrape that was not yet": (
        "prometheus.scrapes",
        lambda s: s.set("/api/v1/targets", targets("redis", "unknown", "")),
        "redis is not scraped yet",
    ),
    "a configuration that is none": (
        "prometheus.probes",
        lambda s: s.set("/api/v1/status/config", success({"yaml": "a: [2001-99-99"})),
        "it returned an invalid configuration",
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
    "lost lines": (
        "loki.lost",
        lambda s: s.refused_lines.update(rate_limited=5.0, too_far_behind=7.0),
        "5 rejected by Loki (rate_limited); not counted: lines that were read again and rejected as "
        "too old (7 too_far_behind)",
    ),
    "no counters of lines": (
        "loki.lost",
        lambda s: s.counted.clear(),
        "Prometheus has no instance_reason:log_collector_dropped_entries:sum or loki_distributor_",
    ),
    "a collector that sends nothing": (
        "loki.collected",
        lambda s: setattr(s, "sent_lines", [0.0]),
        "0 lines since it started",
    ),
    "no counter of the collector": (
        "loki.collected",
        lambda s: setattr(s, "sent_lines", []),
        "Prometheus has no instance:log_collector_sent_entries:sum",
    ),
    "dropped lines": (
        "loki.lost",
        lambda s: s.dropped_lines.update(ingester_error=3.0),
        "3 dropped by promtail (ingester_error)",
    ),
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
        "rejected",
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
        "did not return a pushed line",
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
    assert seen in result.finding.observed
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


NOTHING = {
    "/api/v1/query": success({"resultType": "vector", "result": []}),
    "/api/v1/targets": success({"activeTargets": []}),
    "/api/v1/targets/metadata": success([]),
    "/api/v1/rules": success({"groups": []}),
    "/api/v1/alertmanagers": success({"activeAlertmanagers": []}),
    "/api/v2/alerts": [],
    "/api/v2/receivers": [],
    "/api/datasources": [],
    "/api/search": [],
    "/loki/api/v1/labels": success([]),
    "/loki/api/v1/query_range": success({"resultType": "streams", "result": []}),
}
"""What each service answers that has nothing of what it is asked for."""

LOST = "loki.lost"
"""The check that passes on an empty answer: its counters begin with the first line that is lost."""
ALSO = {
    # Each has another answer that it judges by.
    "/api/v1/targets": {"prometheus.probes"},
    "/api/v1/targets/metadata": {"applications.metrics"},
}


def passing(stack: Stack, path: str) -> set[str]:
    """The checks that ask for a path and pass."""
    return {
        one.check.id
        for one in verify(stack).results
        if one.finding.state == "passed"
        and any(urlsplit(exchange.request.split()[1]).path == path for exchange in one.exchanges)
    }


@pytest.mark.parametrize("path", NOTHING)
def test_no_check_passes_on_an_empty_answer(stack: Stack, path: str) -> None:
    asking = passing(stack, path)
    assert asking
    stack.set(path, NOTHING[path])
    assert passing(stack, path) <= {LOST} | ALSO.get(path, set())


def test_no_check_passes_where_everything_is_empty(stack: Stack) -> None:
    for path, answer in NOTHING.items():
        stack.set(path, answer)
    passed = {one.check.id for one in verify(stack).results if one.finding.state == "passed"}
    assert passed - {LOST} == {
        "prometheus.ready",
        "prometheus.clocks",
        "grafana.health",
        "grafana.login",
        "alertmanager.status",
        "end-to-end.dashboards",
    }


def test_no_probe_is_no_pass(stack: Stack) -> None:
    stack.probes.clear()
    (result,) = verify(stack, "prometheus.probes").results
    assert result.finding.skipped
    assert "no probe is configured" in result.finding.observed


@pytest.mark.parametrize(
    "missing",
    [
        "prometheus_notifications_dropped_total",
        "prometheus_notifications_errors_total",
        "prometheus_tsdb_wal_corruptions_total",
        "prometheus_tsdb_compactions_failed_total",
        "alertmanager_notifications_failed_total",
    ],
)
def test_a_counter_that_is_not_there_is_no_zero(stack: Stack, missing: str) -> None:
    stack.missing.add(missing)
    checks = ("prometheus.notifications", "prometheus.storage", "notifications.failures")
    assert {one.check.id for one in verify(stack, *checks).failed} == {
        {
            "prometheus_n": "prometheus.notifications",
            "prometheus_t": "prometheus.storage",
            "alertmanager": "notifications.failures",
        }[missing[:12]]
    }


def test_an_alertmanager_that_has_just_started_may_have_no_alert_yet(stack: Stack) -> None:
    stack.set("/api/v2/alerts", [])
    started = {**RIGHT["/api/v2/status"], "uptime": dt.datetime.now(dt.UTC).isoformat()}
    stack.set("/api/v2/status", started)
    (result,) = verify(stack, "alertmanager.alerts").results
    assert result.finding.ok
    assert result.finding.early


def test_rules_that_were_not_evaluated_are_not_without_an_error(stack: Stack) -> None:
    stack.set("/api/v1/rules", rules(rule("unknown"), rule("unknown")))
    (result,) = verify(stack, "prometheus.rule-health").results
    assert not result.finding.ok
    assert "none evaluated yet" in result.finding.observed
    stack.set("/api/v1/rules", rules(rule("unknown"), rule()))
    assert verify(stack, "prometheus.rule-health").ok


def test_every_running_container_of_the_stack_has_to_be_seen(stack: Stack) -> None:
    states = {
        "grafana": container("grafana"),
        "redis": container("redis", name="other-redis"),
        "loki": container("loki", status="exited"),
        "kong": container("kong", attached=True),
    }

    def found() -> Result:
        (result,) = verify(stack, "prometheus.containers", containers=lambda: states).results
        return result

    assert found().finding.observed == "no metrics of redis"
    stack.seen = ["grafana", "other-redis"]
    assert found().finding.observed == "2 containers"


def test_containers_that_nothing_can_see_are_not_asked_for(stack: Stack) -> None:
    async def run() -> Report:
        async with context_of(stack.server.url) as context:
            unseen = replace(context, unseen="rootless")
            return await run_in(unseen, container_metrics.CHECKS)

    stack.seen = []
    (result,) = asyncio.run(run()).results
    assert result.finding.state == "skipped"
    assert "rootless" in result.finding.observed


def test_without_any_container_the_next_step_is_for_this_engine(stack: Stack) -> None:
    async def run() -> Report:
        async with context_of(stack.server.url) as context:
            told = replace(context, remedy_for_unseen=lambda: "set it")
            return await run_in(told, container_metrics.CHECKS)

    stack.seen = []
    (result,) = asyncio.run(run()).results
    assert result.finding.state == "failed"
    assert result.finding.next_step == "set it"


def test_every_check_is_spoiled_above() -> None:
    # What applications do wrong is a warning: see test_applications.
    spoiled = {check for check, _, _ in WRONG.values()}
    assert spoiled == {check.id for check in QUICK if check.section != "applications"}


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
    seen = " ".join(result.finding.observed for result in report.results)
    assert "within 0.05 s" in seen
