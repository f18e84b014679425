"""The Engine API over a real Unix socket, with an engine that answers as documented, wrongly, late or not at all."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import ThreadingUnixStreamServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from stackctl.docker.command import Command
from stackctl.docker.containers import Containers
from stackctl.docker.models import Usage
from stackctl.docker.socket_api import SocketApi

Answers = dict[str, tuple[int, Any]]


class FakeEngine:
    """Answers by path, and keeps what it was asked."""

    def __init__(self, socket: Path) -> None:
        self.answers: Answers = {}
        self.asked: list[tuple[str, dict[str, list[str]]]] = []
        engine = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                parts = urlsplit(self.path)
                engine.asked.append((parts.path, parse_qs(parts.query)))
                status, body = engine.answers.get(parts.path, (404, {"message": "no such thing"}))
                content = body if isinstance(body, bytes) else json.dumps(body).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def address_string(self) -> str:
                return "unix"

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingUnixStreamServer(str(socket), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()

    def stop(self) -> None:
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[FakeEngine]:
    fake = FakeEngine(tmp_path / "docker.sock")
    yield fake
    fake.stop()


@pytest.fixture
def api(engine: FakeEngine, tmp_path: Path) -> SocketApi:
    return SocketApi(tmp_path / "docker.sock")


INSPECTED = {"Id": "a1", "State": {"StartedAt": "2026-11-29T00:00:00.123456789Z"}}
STATS = {
    "read": "2026-11-29T00:00:20.123456789Z",
    "cpu_stats": {"cpu_usage": {"total_usage": 5_000_000_000}},
    "memory_stats": {"usage": 1000, "limit": 4000, "stats": {"inactive_file": 300}},
}


def test_containers_are_listed_by_filter(engine: FakeEngine, api: SocketApi) -> None:
    engine.answers["/containers/json"] = (200, [{"Id": "a1"}, {"Id": "b2"}])
    found = api.list_containers({"label": ["x=y=z"]}, stopped=True)
    assert found == [{"Id": "a1"}, {"Id": "b2"}]
    ((_, query),) = engine.asked
    assert query == {"all": ["true"], "filters": ['{"label": ["x=y=z"]}']}


def test_a_container_that_is_gone_is_not_an_engine_that_does_not_answer(
    engine: FakeEngine, api: SocketApi
) -> None:
    engine.answers["/containers/a1/json"] = (200, INSPECTED)
    assert api.inspect("a1") == INSPECTED
    assert api.inspect("b2") == {}


@pytest.mark.parametrize(
    "answer", [(500, {"message": "broken"}), (200, b"<html>"), (200, "text"), (403, {})]
)
def test_an_answer_of_another_kind_leaves_the_question_to_the_docker_command(
    engine: FakeEngine, api: SocketApi, answer: tuple[int, Any]
) -> None:
    engine.answers |= {"/containers/json": answer, "/containers/a1/json": answer}
    assert api.list_containers({}, stopped=False) is None
    assert api.inspect("a1") is None
    assert api.usage("a1") is None


def test_so_does_a_socket_that_is_not_there(tmp_path: Path) -> None:
    assert SocketApi(tmp_path / "none.sock").list_containers({}, stopped=False) is None


def test_usage_is_of_one_reading(engine: FakeEngine, api: SocketApi) -> None:
    engine.answers |= {
        "/containers/a1/json": (200, INSPECTED),
        "/containers/a1/stats": (200, STATS),
    }
    assert api.usage("a1") == Usage(25.0, 700, 4000, 20.0)
    assert ("/containers/a1/stats", {"stream": ["false"], "one-shot": ["true"]}) in engine.asked


def test_cgroup_v1_has_another_name_for_the_files_that_go_first(
    engine: FakeEngine, api: SocketApi
) -> None:
    memory = {
        "usage": 1000,
        "limit": 4000,
        "stats": {"total_inactive_file": 200, "inactive_file": 1},
    }
    engine.answers |= {
        "/containers/a1/json": (200, INSPECTED),
        "/containers/a1/stats": (200, STATS | {"memory_stats": memory}),
    }
    usage = api.usage("a1")
    assert usage is not None
    assert usage.memory_bytes == 800


def test_a_container_that_has_just_stopped_has_no_usage(engine: FakeEngine, api: SocketApi) -> None:
    engine.answers |= {
        "/containers/a1/json": (200, INSPECTED),
        "/containers/a1/stats": (200, STATS | {"memory_stats": {}}),
    }
    assert api.usage("a1") is None


@pytest.fixture
def containers(api: SocketApi, monkeypatch: pytest.MonkeyPatch) -> Callable[[], Containers]:
    """Commands that ask the fake engine, and have no `docker` to fall back on."""

    def make() -> Containers:
        monkeypatch.setattr(Command, "_socket", api)
        made = Containers.__new__(Containers)
        made.project = "bot-core"
        return made

    return make


def test_questions_go_to_the_socket_where_it_answers(
    engine: FakeEngine, containers: Callable[[], Containers]
) -> None:
    engine.answers |= {
        "/containers/json": (200, [{"Id": "a1"}]),
        "/containers/a1/json": (200, INSPECTED),
        "/containers/a1/stats": (200, STATS),
    }
    asked = containers()
    assert asked.listed("label=com.docker.compose.project=bot-core", stopped=False) == ["a1"]
    assert engine.asked[-1][1]["filters"] == ['{"label": ["com.docker.compose.project=bot-core"]}']
    assert asked.inspect(["a1", "gone"]) == [INSPECTED]
    assert asked.usage(["a1", "gone"]) == {"a1": Usage(25.0, 700, 4000, 20.0)}
