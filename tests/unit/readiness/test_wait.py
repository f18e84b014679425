"""Readiness: ready means ready, and what cannot become ready is given up at once with the reason."""

from __future__ import annotations

import asyncio
import os
import threading
from pathlib import Path
from typing import Any

import pytest

from stackctl.config.load import load
from stackctl.config.settings import Settings
from stackctl.docker.engine import Engine
from stackctl.docker.models import ContainerState
from stackctl.errors import EngineError
from stackctl.readiness import wait as readiness
from stackctl.readiness.wait import NotReady, Progress
from stackctl.services.catalog import PUBLISHED_PORTS, SERVICES, ContainerHealth, HttpProbe, Service
from tests.support.engine import MemoryEngine, container
from tests.support.http import Reply, Request, serving

HTTP = Service("prometheus", "monitoring", HttpProbe("/-/ready"))
LINE = Service("mongodb", "demo", HttpProbe("/metrics", via="prometheus", line="mongodb_up 1"))
HEALTH = Service("redis", "demo", ContainerHealth())


def at(url: str) -> Settings:
    port = url.rsplit(":", 1)[1]
    return load(environ={"PROMETHEUS_PORT": port, "LOKI_PORT": port})


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
        ("waiting", "/-/ready answers 503"),
        ("ready", "ready"),
    ]
    assert changes[-1].standin


def test_a_line_of_the_answer_can_be_the_proof() -> None:
    answers = iter([b"mongodb_up 0\n", b"x\nmongodb_up 1\n"])
    with serving({"/metrics": lambda _: Reply(next(answers))}) as server:
        changes = wait(server.url, MemoryEngine(container("mongodb")), LINE)
    assert [one.state for one in changes] == ["waiting", "ready"]


def test_health_of_the_container_is_the_proof_where_no_port_is_published() -> None:
    engine = MemoryEngine(container("redis", health="healthy"))
    assert wait("http://127.0.0.1:9", engine, HEALTH)[-1].state == "ready"


@pytest.mark.parametrize(
    ("state", "says"),
    [
        ({"status": "exited", "exit_code": 2}, "exited with code 2"),
        (
            {"status": "restarting", "restarts": 3, "exit_code": 1},
            "dies in a loop: 3 restarts, exit code 1",
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
    assert caught.value.progress[0].reason == "it has no container"


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (Reply(status=500), "answers 500"),
        (Reply(b"x" * 65536, endless=True), "does not end|in time|does not say"),
    ],
)
def test_the_deadline_holds_and_the_last_reason_is_kept(
    reply: Reply, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import re

    monkeypatch.setattr(readiness, "_PROBE_TIMEOUT", 0.2)
    service = LINE if reply.endless else HTTP
    with (
        serving({"/-/ready": reply, "/metrics": reply}) as server,
        pytest.raises(NotReady) as caught,
    ):
        wait(server.url, MemoryEngine(container(service.name)), service, timeout=0.3)
    assert re.search(reason, caught.value.progress[0].reason)
    assert "gave up after 0 s" in caught.value.progress[0].reason


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


def test_look_gives_a_word_for_every_service() -> None:
    engine = MemoryEngine(container("prometheus"))
    with serving({"/-/ready": Reply()}) as server:
        found = asyncio.run(
            readiness.look([HTTP, HEALTH], engine, at(server.url), engine.containers())
        )
    assert found == {"prometheus": "ready", "redis": "no container"}


def test_every_http_probe_asks_a_published_port() -> None:
    for service in SERVICES.values():
        if isinstance(service.probe, HttpProbe):
            assert (service.probe.via or service.name) in PUBLISHED_PORTS


def test_an_engine_that_never_answers_ends_the_wait(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = tmp_path / "docker"
    command.write_text("#!/bin/sh\nexec sleep 600\n")
    command.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setattr("stackctl.docker.command._ANSWER_SECONDS", 0.05)
    waiting = readiness.wait([], Engine("p"), at("x:9"), timeout=1, changed=lambda _: None)
    with pytest.raises(EngineError, match="does not answer within") as caught:
        asyncio.run(waiting)
    assert caught.value.remedy
    with pytest.raises(EngineError, match="does not answer within"):
        Engine("p").info()
