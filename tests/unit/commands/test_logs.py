"""`logs` from Docker: the last lines, lines as they come, and what ends them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from stackctl.commands.logs import _AHEAD, _followed
from stackctl.errors import EngineError
from stackctl.project.project import Project
from tests.support.cli import run_here
from tests.support.engine import MemoryEngine, container
from tests.support.http import Reply, as_json, serving, wait_until

pytestmark = pytest.mark.usefixtures("own_folders", "no_engine")


class LoggingEngine(MemoryEngine):
    """Has the logs of its services; an error among the lines is raised after the others."""

    def __init__(self, logged: Mapping[str, list[bytes | EngineError]]) -> None:
        super().__init__(*map(container, logged))
        self.logged = {f"id-{service}": lines for service, lines in logged.items()}
        self.asked: list[tuple[str, int, bool]] = []

    def follow_logs(
        self, container: str, *, lines: int, follow: bool
    ) -> Iterator[tuple[str, bytes]]:
        self.asked.append((container, lines, follow))
        for line in self.logged[container]:
            if isinstance(line, EngineError):
                raise line
            yield "stdout", line


def logs(
    engine: LoggingEngine, monkeypatch: pytest.MonkeyPatch, *arguments: str
) -> subprocess.CompletedProcess[str]:
    monkeypatch.setattr(Project, "engine", lambda *_: engine)
    return run_here("logs", *arguments)


def test_the_last_lines_are_those_of_one_service_after_the_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    engine = LoggingEngine({"loki": [b"one\n", b"two\n"], "grafana": [b"\xff three\n"]})
    done = logs(engine, monkeypatch, "loki", "grafana", "-n", "7")
    assert done.stdout == "grafana | \ufffd three\nloki    | one\nloki    | two\n"
    assert sorted(engine.asked) == [("id-grafana", 7, False), ("id-loki", 7, False)]
    # One alone needs no name before each line.
    assert logs(engine, monkeypatch, "loki").stdout == "one\ntwo\n"


@pytest.mark.parametrize("services", [("loki",), ("loki", "grafana")])
def test_what_is_followed_is_shown_until_all_have_ended(
    services: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = LoggingEngine({name: [b"1\n", b"2\n"] for name in services})
    done = logs(engine, monkeypatch, "-f", *services)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    for name in services:
        own = [line for line in lines if len(services) == 1 or line.startswith(f"{name} ")]
        assert [line[-1] for line in own] == ["1", "2"]
    assert len(lines) == 2 * len(services)


def test_a_log_that_cannot_be_read_ends_the_others_with_one_line(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    error = EngineError("docker logs failed: No such container: x", remedy="look")
    engine = LoggingEngine({"grafana": [b"1\n"], "loki": [b"1\n", error]})
    done = logs(engine, monkeypatch, "-f", "loki", "grafana")
    assert done.returncode == 1
    assert done.stderr == "stackctl: docker logs failed: No such container: x; look\n"


def test_lines_do_not_pile_up_before_a_slow_reader() -> None:
    class Endless(LoggingEngine):
        given = 0

        def follow_logs(
            self, container: str, *, lines: int, follow: bool
        ) -> Iterator[tuple[str, bytes]]:
            while self.given < 100 * _AHEAD:
                self.given += 1
                yield "stdout", b"line\n"

    engine = Endless({"loki": []})
    lines = _followed(engine, {"loki": "id-loki"}, 1)
    assert next(lines) == ("loki", b"line\n")
    # One was taken, and one more is held by the thread that waits to hand it over.
    assert wait_until(lambda: engine.given == _AHEAD + 2, 10)
    assert not wait_until(lambda: engine.given > _AHEAD + 2, 0.1)


@pytest.mark.thorough
def test_a_reader_that_leaves_ends_what_is_followed_without_a_word(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inspected = {
        "Id": "1" * 64,
        "Name": "/loki",
        "RestartCount": 0,
        "Config": {
            "Image": "x",
            "Labels": {
                "com.docker.compose.project": "bot-core",
                "com.docker.compose.service": "loki",
            },
        },
        "State": {"Status": "running", "ExitCode": 0, "StartedAt": "2026-01-01T00:00:00Z"},
    }
    (tmp_path / "inspected.json").write_text(json.dumps([inspected]))
    program = tmp_path / "docker"
    program.write_text(
        f"""#!/bin/sh
case "$*" in
  *"container logs"*) exec yes a line ;;
  *"container inspect"*) cat {tmp_path}/inspected.json ;;
  *"container "*) echo {"1" * 64} ;;
esac
"""
    )
    program.chmod(0o755)
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere.sock")
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    with subprocess.Popen(
        [sys.executable, "-m", "stackctl", "logs", "-f", "loki"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == "a line\n"
        process.stdout.close()
        assert process.stderr.read() == ""
    assert process.returncode == 1


def test_every_line_of_an_entry_from_loki_names_its_service() -> None:
    trace = "Traceback (most recent call last):\n  File\nValueError: x"
    streams = [
        {"stream": {"job": "kong"}, "values": [["2", "after"]]},
        {"stream": {"job": "python-ai-service"}, "values": [["1", trace]]},
    ]
    data = {"status": "success", "data": {"resultType": "streams", "result": streams}}
    with serving({"/loki/api/v1/query_range": as_json(data)}) as server:
        port = server.url.rsplit(":", 1)[1]
        done = run_here("logs", "--from", "loki", "kong", "loki", env={"LOKI_PORT": port})
    assert done.stdout.splitlines() == [
        "python-ai-service | Traceback (most recent call last):",
        "python-ai-service |   File",
        "python-ai-service | ValueError: x",
        "kong              | after",
    ]


def test_a_query_that_loki_refuses_is_wrong_usage_and_nothing_for_its_log() -> None:
    refused = Reply(b"parse error at line 1, col 15: syntax error: unexpected json", 400)
    with serving({"/loki/api/v1/query_range": refused}) as server:
        port = server.url.rsplit(":", 1)[1]
        done = run_here(
            "logs", "--from", "loki", "--filter", "json", "kong", env={"LOKI_PORT": port}
        )
    assert done.returncode == 2
    assert 'Loki rejected the query {job=~"kong"} json: ' in done.stderr
    assert "unexpected json; correct --filter" in done.stderr
    assert "stackctl logs loki" not in done.stderr
