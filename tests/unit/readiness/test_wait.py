"""Readiness: ready means ready, and what cannot become ready is given up at once with the reason."""

from __future__ import annotations

import asyncio
import datetime as dt
import os
import re
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from stackctl.config.load import load
from stackctl.config.settings import Settings
from stackctl.docker.engine import Engine
from stackctl.docker.models import ContainerState
from stackctl.errors import EngineError
from stackctl.readiness import probes
from stackctl.readiness import wait as readiness
from stackctl.readiness.wait import NotReady, Progress
from stackctl.services.catalog import (
    PUBLISHED_PORTS,
    SERVICES,
    ContainerHealth,
    ContainerSeries,
    HttpProbe,
    LinesSent,
    Service,
    application,
    without_container_series,
)
from tests.support.engine import MemoryEngine, container
from tests.support.http import Reply, Request, serving

HTTP = Service("prometheus", "monitoring", HttpProbe("/-/ready"))
METRIC = Service(
    "mongodb", "demo", HttpProbe("/metrics", via="prometheus", metric="mongodb_up", value=1)
)
COLLECTOR = Service("prometheus", "monitoring", LinesSent("read_total", "sent_total"))
HEALTH = Service("redis", "demo", ContainerHealth())


def at(url: str) -> Settings:
    port = url.rsplit(":", 1)[1]
    return load(environ={"PROMETHEUS_PORT": port, "LOKI_PORT": port, "CADVISOR_PORT": port})


def wait(url: str, engine: MemoryEngine, *services: Service, timeout: float = 5) -> list[Progress]:
    changes: list[Progress] = []
    asyncio.run(readiness.wait(services, engine, at(url), timeout=timeout, changed=changes.append))
    return changes


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readiness, "_PAUSE", 0.01)


def test_a_service_is_ready_when_its_own_endpoint_says_so() -> None:
    answers = iter([Reply(status=503), Reply(status=503), Reply()])
    with serving({"/-/ready": lambda _: next(answers)}) as server:
        changes = wait(server.url, MemoryEngine(container("prometheus", standin=True)), HTTP)
    assert [(one.state, one.reason) for one in changes] == [
        ("waiting", "/-/ready returned HTTP 503"),
        ("ready", "ready"),
    ]
    assert changes[-1].standin


def waiting_reasons(body: bytes) -> list[str]:
    """Return why a service waits whose metrics are this page first, and then one that says that it is up."""
    answers = iter([body, b"mongodb_up 1\n"])
    with serving({"/metrics": lambda _: Reply(next(answers))}) as server:
        *waiting, last = wait(server.url, MemoryEngine(container("mongodb")), METRIC)
    assert last.state == "ready"
    return [one.reason for one in waiting]


@pytest.mark.parametrize(
    "body",
    [
        b"x 0\nmongodb_up 1\n",
        b'mongodb_up{cluster_role="mongod"} 1\n',
        b'# TYPE mongodb_up gauge\nmongodb_up{cl_id="",rs_nm="a } b"} 1.0 1700000000000\n',
        b"mongodb_up\t1e0",
        b'mongodb_up{a="1"} 1\nmongodb_up{a="2"} 1\nbroken{ 1\n',
    ],
    ids=["plain", "labels of 0.53", "timestamp", "tab", "two series"],
)
def test_a_metric_with_the_value_is_the_proof_whatever_its_labels(body: bytes) -> None:
    with serving({"/metrics": Reply(body)}) as server:
        changes = wait(server.url, MemoryEngine(container("mongodb")), METRIC)
    assert [one.state for one in changes] == ["ready"]


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "/metrics has no mongodb_up"),
        (b"mongodb_up_total 1\nnot_mongodb_up 1\n# mongodb_up 1\n", "/metrics has no mongodb_up"),
        (b"mongodb_up 0\n", "mongodb_up is 0, not 1"),
        (b"mongodb_up NaN\n", "mongodb_up is nan, not 1"),
        (b"mongodb_up +Inf\n", "mongodb_up is inf, not 1"),
        (b'mongodb_up{a="1"} 1\nmongodb_up{a="2"} 0\n', "mongodb_up is 0, not 1"),
        (b"mongodb_up one\n", "/metrics: malformed sample of mongodb_up: 'mongodb_up one'"),
        (b"mongodb_up\xff 1\n", "/metrics: malformed sample of mongodb_up: 'mongodb_up\ufffd 1'"),
    ],
)
def test_a_page_without_the_metrics_value_is_waited_for(body: bytes, reason: str) -> None:
    assert waiting_reasons(body) == [reason]


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "it has read no container's log yet: docker-socket-proxy may reject its requests"),
        (b"read_total 0\nsent_total 0\n", "it has read no container's log yet"),
        (b"read_total 7\n", "Loki has not accepted a line from it yet"),
        (
            b'read_total 7\nsent_total{host="loki:3100"} 0\n',
            "Loki has not accepted a line from it yet",
        ),
    ],
)
def test_a_log_collector_is_ready_once_loki_has_taken_lines_of_it(body: bytes, reason: str) -> None:
    answers = iter([body, b'read_total 7\nsent_total{host="a"} 0\nsent_total{host="b"} 3\n'])
    with serving({"/metrics": lambda _: Reply(next(answers))}) as server:
        waiting, ready = wait(server.url, MemoryEngine(container("prometheus")), COLLECTOR)
    assert waiting.reason.startswith(reason)
    assert ready.state == "ready"


def test_health_of_the_container_is_the_proof_where_no_port_is_published() -> None:
    engine = MemoryEngine(container("redis", health="healthy"))
    assert wait("http://127.0.0.1:9", engine, HEALTH)[-1].state == "ready"


@pytest.mark.parametrize(
    ("state", "says"),
    [
        ({"status": "exited", "exit_code": 2}, "exited with code 2"),
        (
            {"status": "restarting", "restarts": 3, "exit_code": 1},
            "crash loop: 3 restarts, exit code 1",
        ),
    ],
)
def test_what_cannot_become_ready_is_given_up_at_once(state: dict[str, Any], says: str) -> None:
    with pytest.raises(NotReady) as caught:
        wait("http://127.0.0.1:9", MemoryEngine(container("prometheus", **state)), HTTP, timeout=60)
    assert says in caught.value.progress[0].reason
    assert "gave up after" not in caught.value.progress[0].reason
    assert caught.value.remedy == "stackctl logs prometheus"


def test_a_service_without_a_container_is_named() -> None:
    with pytest.raises(NotReady, match="prometheus") as caught:
        wait("http://127.0.0.1:9", MemoryEngine(), HTTP)
    assert caught.value.progress[0].reason == "no container"


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (Reply(status=500), "returned HTTP 500"),
        (Reply(b"x" * 65536, endless=True), "too large|timed out"),
    ],
)
def test_the_deadline_holds_and_the_last_reason_is_kept(
    reply: Reply, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(probes, "TIMEOUT", 0.2)
    service = METRIC if reply.endless else HTTP
    with (
        serving({"/-/ready": reply, "/metrics": reply}) as server,
        pytest.raises(NotReady) as caught,
    ):
        wait(server.url, MemoryEngine(container(service.name)), service, timeout=0.3)
    assert re.search(reason, caught.value.progress[0].reason)
    assert "gave up after 0 s" in caught.value.progress[0].reason


CADVISOR = SERVICES["cadvisor"]
OF_THE_MACHINE = b'container_start_time_seconds{id="/",image="",name=""} 1.7e+09\n'
BY_ITS_ID = b'container_start_time_seconds{id="/docker/abc"} 1.7e+09\n'
OF_A_CONTAINER = (
    b'container_start_time_seconds{container_label_x="y",id="/docker/abc",name="redis"} 1.7e+09\n'
)


def test_cadvisor_is_ready_once_it_has_a_container() -> None:
    engine = MemoryEngine(container("cadvisor"))
    with serving({"/metrics": Reply(OF_THE_MACHINE + OF_A_CONTAINER)}) as server:
        wait(server.url, engine, CADVISOR)
    for page in (b"", OF_THE_MACHINE, OF_THE_MACHINE + BY_ITS_ID):
        with serving({"/metrics": Reply(page)}) as server, pytest.raises(NotReady) as caught:
            wait(server.url, engine, CADVISOR, timeout=0)
        assert caught.value.progress[0].reason.startswith("no metrics of containers yet")


def test_where_no_container_can_be_seen_cadvisor_is_ready_without() -> None:
    engine = MemoryEngine(container("cadvisor"))
    with serving({"/healthz": Reply(), "/metrics": Reply(OF_THE_MACHINE)}) as server:
        wait(server.url, engine, without_container_series(CADVISOR))
    assert without_container_series(HTTP) is HTTP


def test_all_are_asked_at_once() -> None:
    all_there = threading.Barrier(10)

    def answer(_: Request) -> Reply:
        # None is answered before the last is asked; who asks one after the other gets a 500.
        try:
            all_there.wait(timeout=2)
        except threading.BrokenBarrierError:
            return Reply(status=500)
        return Reply()

    services = [
        Service("prometheus", "monitoring", HttpProbe(f"/{number}", via="prometheus"))
        for number in range(10)
    ]
    with serving({f"/{number}": answer for number in range(10)}) as server:
        wait(server.url, MemoryEngine(container("prometheus")), *services)
    assert len(server.requests) == 10


def test_one_look_at_the_containers_serves_all_that_are_not_ready() -> None:
    class Counting(MemoryEngine):
        looks = 0

        def containers(self) -> dict[str, ContainerState]:
            self.looks += 1
            return super().containers()

    engine = Counting(container("prometheus"))
    services = [
        Service("prometheus", "monitoring", HttpProbe(f"/{number}", via="prometheus"))
        for number in range(10)
    ]
    with serving({}) as server, pytest.raises(NotReady) as caught:
        wait(server.url, engine, *services, timeout=0)
    assert len(caught.value.progress) == 10
    # One is for whom to wait; a machine that is slow may need more than a second for the rest.
    assert 2 <= engine.looks <= 4


def test_one_round_of_probes_returns_a_word_for_every_service() -> None:
    engine = MemoryEngine(container("prometheus"))
    with serving({"/-/ready": Reply()}) as server:
        found = asyncio.run(
            probes.probe_once([HTTP, HEALTH], engine, at(server.url), engine.containers())
        )
    assert found == {"prometheus": "ready", "redis": "no container"}


def test_every_http_probe_asks_a_published_port() -> None:
    for service in SERVICES.values():
        if isinstance(service.probe, ContainerSeries):
            assert service.name in PUBLISHED_PORTS
        if isinstance(service.probe, HttpProbe):
            assert (service.probe.via or service.name) in PUBLISHED_PORTS


def test_an_engine_that_never_answers_ends_the_wait(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = tmp_path / "docker"
    command.write_text("#!/bin/sh\nexec sleep 600\n")
    command.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setattr("stackctl.docker.command.ANSWER_SECONDS", 0.05)
    waiting = readiness.wait([], Engine("p"), at("x:9"), timeout=1, changed=lambda _: None)
    with pytest.raises(EngineError, match="does not answer within") as caught:
        asyncio.run(waiting)
    assert caught.value.remedy
    with pytest.raises(EngineError, match="does not answer within"):
        Engine("p").info()


OWN = application("gateway")


def ago(seconds: float) -> dt.datetime:
    return dt.datetime.now(dt.UTC) - dt.timedelta(seconds=seconds)


def test_a_container_that_dies_in_a_loop_is_not_ready_between_two_deaths() -> None:
    engine = MemoryEngine(container("gateway", restarts=2, started=ago(4)))
    with pytest.raises(NotReady) as caught:
        wait("http://127.0.0.1:1", engine, OWN, timeout=0.1)
    assert caught.value.progress[0].reason.startswith("it has just started and has no health check")
    engine.states["gateway"] = container("gateway", restarts=3, started=ago(4))
    with pytest.raises(NotReady) as caught:
        wait("http://127.0.0.1:1", engine, OWN)
    # As it runs again, the engine has no code of its last end.
    assert caught.value.progress[0].reason == "it is in a crash loop: 3 restarts"


@pytest.mark.parametrize(
    "state",
    [
        container("gateway", started=ago(3600)),
        container("gateway", started=ago(3600), restarts=7),
        container("gateway", health="healthy", restarts=2),
        container("gateway", status="exited", exit_code=0),
    ],
    ids=["running", "long ago", "healthy", "ended well"],
)
def test_what_keeps_running_is_ready_at_once(state: ContainerState) -> None:
    (change,) = wait("http://127.0.0.1:1", MemoryEngine(state), OWN)
    assert change.state == "ready"


@pytest.mark.parametrize("ahead", [0, 3600])
def test_a_container_has_to_run_for_a_while_whatever_the_engines_clock_says(
    monkeypatch: pytest.MonkeyPatch, ahead: float
) -> None:
    monkeypatch.setattr(probes, "_ALIVE_SECONDS", 0.3)
    engine = MemoryEngine(container("gateway", started=ago(-ahead)))
    began = time.monotonic()
    first, last = wait("http://127.0.0.1:1", engine, OWN)
    assert (first.state, last.state) == ("waiting", "ready")
    assert time.monotonic() - began >= 0.3 - 0.05
