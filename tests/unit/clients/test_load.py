"""`load`: what it asks, what it measures, and what it refuses to ask."""

from __future__ import annotations

import asyncio
import json
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import parse_qs, urlsplit

import pytest

from stackctl.clients import load
from stackctl.clients.load import Outcome
from tests.support.cli import run_here
from tests.support.http import Reply, Request, Server, serving

pytestmark = pytest.mark.usefixtures("own_folders", "no_engine")


@pytest.fixture
def server() -> Iterator[Server]:
    with serving({"/api/health": Reply(), "/broken": Reply(status=503)}) as running:
        yield running


def port(server: Server) -> dict[str, str]:
    return {"RUST_CORE_ENGINE_PORT": str(urlsplit(server.url).port)}


def test_percentiles_are_what_so_many_percent_do_not_exceed() -> None:
    outcome = Outcome(Counter({"200": 10}), 2.0, tuple(float(number) for number in range(1, 11)))
    shares = (1, 10, 50, 90, 95, 99, 100)
    assert [outcome.percentile(percent) for percent in shares] == [1, 1, 5, 9, 10, 10, 10]
    assert outcome.rate == 5
    assert outcome.ok


def test_without_an_answer_there_is_no_percentile() -> None:
    outcome = Outcome(Counter({"ConnectError": 3}), 1.0, ())
    assert outcome.percentile(50) is None
    assert not outcome.ok


@pytest.mark.parametrize(
    ("answer", "ok"), [("200", True), ("204", True), ("301", False), ("500", False)]
)
def test_only_2xx_is_well(answer: str, ok: bool) -> None:
    assert Outcome(Counter({"200": 1, answer: 1}), 1.0, (1.0, 1.0)).ok is ok


def test_never_more_at_once_than_asked_for_and_as_many_as_asked_for(server: Server) -> None:
    busy, most, lock = 0, 0, threading.Lock()
    # None is answered before four are there.
    together = threading.Barrier(4, timeout=30)

    def answer(_request: Request) -> Reply:
        nonlocal busy, most
        with lock:
            busy += 1
            most = max(most, busy)
        together.wait()
        with lock:
            busy -= 1
        return Reply()

    server.routes["/slow"] = answer
    outcome = asyncio.run(load.put(f"{server.url}/slow", requests=32, concurrency=4))
    assert outcome.answers == {"200": 32}
    assert len(outcome.latencies) == 32
    assert outcome.latencies == tuple(sorted(outcome.latencies))
    assert most == 4


def test_a_latency_is_from_the_request_to_the_end_of_its_answer(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    def answer(_request: Request) -> Reply:
        clock.now += next(takes)
        return Reply()

    clock, takes = SimpleNamespace(now=0.0), iter([0.5, 0.25, 1.0])
    monkeypatch.setattr(load, "time", SimpleNamespace(perf_counter=lambda: clock.now))
    server.routes["/slow"] = answer
    outcome = asyncio.run(load.put(f"{server.url}/slow", requests=3, concurrency=1))
    assert outcome.latencies == (0.25, 0.5, 1.0)
    assert outcome.seconds == 1.75


BUFFERS = 16 << 20
"""What the kernel's buffers of a connection may take beside what is read."""


def test_of_an_answer_without_end_so_much_is_read_and_no_more(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(load, "MAX_BODY", 1 << 20)
    server.routes["/endless"] = Reply(b"x" * 65536, endless=True)
    outcome = asyncio.run(load.put(f"{server.url}/endless", requests=2, concurrency=1))
    assert outcome.answers == {"more than 1 MiB": 2}
    assert outcome.latencies == ()
    assert not outcome.ok
    assert server.sent < 2 * ((1 << 20) + BUFFERS)


def test_an_answer_that_trickles_is_waited_for_so_long_and_no_longer(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(load, "TIMEOUT", 0.1)
    server.routes["/trickle"] = Reply(b" ", endless=True)
    outcome = asyncio.run(load.put(f"{server.url}/trickle", requests=2, concurrency=2))
    assert outcome.answers == {"Timeout": 2}


def test_the_requests_of_a_run_carry_its_name_and_their_number(server: Server) -> None:
    asyncio.run(load.put(f"{server.url}/api/health", requests=5, concurrency=2, run="abc"))
    queries = [parse_qs(request.query) for request in server.requests]
    assert {query["run"][0] for query in queries} == {"abc"}
    assert len({query["number"][0] for query in queries}) == 5


def test_the_command_asks_the_application_by_default(server: Server) -> None:
    done = run_here("load", "-n", "20", "-c", "3", env=port(server))
    assert done.returncode == 0, done.stderr
    assert f"20 requests to {server.url}/api/health, 3 at a time" in done.stdout
    for word in ("requests/s", "p50", "p90", "p95", "p99", "max", "HTTP 200"):
        assert word in done.stdout
    assert len(server.requests) == 20


def test_json_has_the_same_and_another_status_is_exit_1(server: Server) -> None:
    done = run_here(
        "load", f"{server.url}/broken", "-n", "12", "--format", "json", env=port(server)
    )
    assert done.returncode == 1
    found = json.loads(done.stdout)
    assert found["answers"] == {"503": 12}
    assert found["ok"] is False
    assert list(found["latency_ms"]) == ["p50", "p90", "p95", "p99", "max"]
    assert 0 < found["latency_ms"]["p50"] <= found["latency_ms"]["max"]


def test_nobody_there_is_exit_1_and_no_traceback(server: Server) -> None:
    done = run_here("load", "kong", "-n", "3", env={"KONG_PORT": "9"})
    assert done.returncode == 1
    assert "ConnectError" in done.stdout
    assert "none" in done.stdout
    assert done.stderr == ""


@pytest.mark.parametrize(
    ("target", "says"),
    [
        ("http://example.org/", "is not an address of this stack"),
        ("https://127.0.0.1:8080/", "is not an address of this stack"),
        ("http://127.0.0.1:8080@example.org/", "is not an address of this stack"),
        ("http://user@127.0.0.1:8080/", "is not an address of this stack"),
        ("http://127.0.0.1:1/", "is not an address of this stack"),
        ("http://127.0.0.1:8080/\x01", "is not a URL"),
        ("ftp://127.0.0.1:8080/", "is not an address of this stack"),
        ("rust-core", "did you mean rust-core-engine?"),
        ("loki", "has no health page"),
        ("redis", "has no health page"),
    ],
)
def test_anything_but_the_stack_is_refused(target: str, says: str) -> None:
    done = run_here("load", target)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert says in done.stderr


@pytest.mark.parametrize("option", [("-n", "0"), ("-n", "100001"), ("-c", "0"), ("-c", "201")])
def test_load_is_bounded(option: tuple[str, str]) -> None:
    assert run_here("load", *option).returncode == 2


def test_without_an_application_there_is_nothing_to_put_load_on(state_dir: Path) -> None:
    (state_dir / "bot-core").mkdir(parents=True)
    (state_dir / "bot-core" / "project.json").write_text('{"demo": false}')
    done = run_here("load")
    assert done.returncode == 2
    assert "rust-core-engine cannot be reached" in done.stderr
