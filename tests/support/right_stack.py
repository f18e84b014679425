"""The services of a stack as one server: everything is right until a test changes an answer."""

from __future__ import annotations

import asyncio
import contextlib
import copy
import json
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import yaml

from stackctl.clients.alertmanager import AlertmanagerClient
from stackctl.clients.blackbox import BlackboxClient
from stackctl.clients.grafana import GrafanaClient
from stackctl.clients.loki import LokiClient
from stackctl.clients.prometheus import PrometheusClient
from stackctl.docker.models import ContainerState
from stackctl.services.catalog import EXPECTED_JOBS
from stackctl.values.secret import Secret
from stackctl.verify import runner
from stackctl.verify.drill_runner import DrillRunner
from stackctl.verify.model import Check, Context, Report
from tests.support.exposed import Exposed
from tests.support.http import Reply, Request, Server, as_json

Listing = Callable[[], Mapping[str, ContainerState]]

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
        self.refused_lines: dict[str, float] = {}
        self.dropped_lines: dict[str, float] = {}
        self.counted = [
            "loki_distributor_lines_received_total",
            "instance_reason:log_collector_dropped_entries:sum",
        ]
        self.sent_lines = [100.0]
        self.corruptions = 0.0
        self.probes = {"api": 1.0}
        self.missing: set[str] = set()
        """Metrics that Prometheus has no series of."""
        self.seen = ["grafana", "redis"]
        """The names of the containers that cAdvisor sees."""
        self.lines = ["a line"]
        self.pushed: list[list[str]] = []
        self.keeps_pushed = True
        self.exposed = Exposed()
        self.probed: dict[str, dict[str, int]] = {}
        """What the blackbox exporter finds, by the host that it asks."""
        for path, value in RIGHT.items():
            self.set(path, value)
        server.routes["/api/v1/query"] = self._query
        server.routes["/api/v1/targets/metadata"] = lambda request: as_json(
            success(self.exposed.metadata(request.query))
        )
        server.routes["/api/v1/labels"] = lambda request: as_json(
            success(self.exposed.label_names(request.query))
        )
        server.routes["/probe"] = self._probe
        server.routes["/loki/api/v1/push"] = self._push
        server.routes["/loki/api/v1/query_range"] = self._lines

    @property
    def loses_lines(self) -> bool:
        """Whether Loki never gives a pushed line back."""
        asked = self.server.routes["/loki/api/v1/query_range"]
        return not self.keeps_pushed or asked != self._lines

    def set(self, path: str, value: Any) -> None:
        self.server.routes[path] = (
            value if isinstance(value, Reply) else as_json(copy.deepcopy(value))
        )

    def _query(self, request: Request) -> Reply:
        if any(name.encode() in request.body for name in self.missing):
            return as_json(success({"resultType": "vector", "result": []}))
        if b"alertmanager_notifications" in request.body:
            failed = b"_failed" in request.body
            counts = [self.refused] if failed else self.sent
            slack = {"integration": "slack"}
            found = [{"metric": slack, "value": [0, str(count)]} for count in counts]
            return as_json(success({"resultType": "vector", "result": found}))
        (expression,) = parse_qs(request.body.decode())["query"]
        exposed = self.exposed.query(expression)
        if exposed is not None:
            found = [{"metric": labels, "value": [0, str(value)]} for labels, value in exposed]
            return as_json(success({"resultType": "vector", "result": found}))
        if expression.startswith("count by (__name__)"):
            found = [{"metric": {"__name__": one}, "value": [0, "1"]} for one in self.counted]
            return as_json(success({"resultType": "vector", "result": found}))
        if "log_collector_sent" in expression:
            found = [{"metric": {}, "value": [0, str(one)]} for one in self.sent_lines]
            return as_json(success({"resultType": "vector", "result": found}))
        for name, reasons in (
            (b"loki_discarded", self.refused_lines),
            (b"log_collector_dropped", self.dropped_lines),
        ):
            if name in request.body:
                found = [
                    {"metric": {"reason": reason}, "value": [0, str(count)]}
                    for reason, count in reasons.items()
                ]
                return as_json(success({"resultType": "vector", "result": found}))
        if b"container_start_time_seconds" in request.body:
            found = [{"metric": {"name": name}, "value": [0, "1"]} for name in self.seen]
            return as_json(success({"resultType": "vector", "result": found}))
        values = {
            b"notifications_dropped": self.dropped,
            b"notifications_errors": self.unsent,
            b"wal_corruptions": self.corruptions,
            b"_failed_total": 0.0,
            b"head_series": 100.0,
        }
        if b"probe_success" in request.body:
            found = [
                {"metric": {"instance": one}, "value": [0, str(value)]}
                for one, value in self.probes.items()
            ]
            return as_json(success({"resultType": "vector", "result": found}))
        series: list[dict[str, Any]] = [
            {"metric": {}, "value": [0, str(value)]}
            for name, value in values.items()
            if name in request.body
        ] or [{"metric": {"job": job}, "value": [0, str(value)]} for job, value in self.up.items()]
        return as_json(success({"resultType": "vector", "result": series}))

    def _probe(self, request: Request) -> Reply:
        asked = parse_qs(request.query)
        assert asked["module"] == ["metrics_content_type"]
        host = urlsplit(asked["target"][0]).hostname or ""
        found = {"probe_success": 1, "probe_failed_due_to_regex": 0} | self.probed.get(host, {})
        return Reply("".join(f"{name} {value}\n" for name, value in found.items()).encode())

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


AMPLE_SECONDS = 30.0
"""The timeout of a request that is answered: more than any machine needs, however busy it is."""


@contextlib.asynccontextmanager
async def context_of(
    url: str,
    timeout: float = AMPLE_SECONDS,
    containers: Listing = dict,
    *,
    loki_timeout: float | None = None,
) -> AsyncIterator[Context]:
    async with (
        PrometheusClient(url, timeout=timeout) as prometheus,
        AlertmanagerClient(url, timeout=timeout) as alertmanager,
        LokiClient(url, timeout=loki_timeout or timeout) as loki,
        GrafanaClient(url, password=Secret("x"), timeout=timeout) as grafana,
        BlackboxClient(url, timeout=timeout) as blackbox,
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
            log_collector="promtail",
            log_job="rust-core-engine",
            load=None,
            sink=None,
            real_channels=frozenset(),
            drills=DrillRunner(engine=None, journal=None, settings=None, services={}),  # type: ignore[arg-type]
            blackbox=blackbox,
            containers=containers,
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


def verify(stack: Stack, *names: str, timeout: float = 0.0, containers: Listing = dict) -> Report:
    # A line that never comes back is waited for until the timeout.
    loki_timeout = 0.5 if stack.loses_lines else AMPLE_SECONDS

    async def run() -> Report:
        async with context_of(
            stack.server.url, containers=containers, loki_timeout=loki_timeout
        ) as context:
            return await run_in(context, runner.select(names), timeout)

    return asyncio.run(run())


def targets(job: str, health: str, error: str) -> object:
    jobs = [target(name, *((health, error) if name == job else ())) for name in JOBS]
    return success({"activeTargets": jobs})


CHECKS = runner.CHECKS
QUICK = runner.select([])
