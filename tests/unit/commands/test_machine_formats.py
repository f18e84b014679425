"""What programs read is the same bytes wherever it is printed: in a pipe, on a terminal, with colours forced or not."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from xml.etree import ElementTree as ET

import click
import pytest

from stackctl import __version__
from stackctl.cli import cli
from stackctl.docker.models import Usage
from stackctl.errors import StackctlError
from stackctl.images.newer import Comparison
from stackctl.lifecycle import preflight
from stackctl.project.project import Project, ProjectState, open_project
from stackctl.render.preview import Message
from stackctl.services.catalog import SERVICES
from stackctl.services.channels import CHANNELS
from stackctl.verify import runner
from stackctl.verify.alert_drill import Drilled, DrillReport
from stackctl.verify.model import Check, Context, Finding
from tests.support.cli import run_here
from tests.support.engine import MemoryEngine, container
from tests.support.http import Server, as_json, serving
from tests.support.right_stack import NOW, alert, rule, success
from tests.support.terminal import on_terminal

pytestmark = pytest.mark.thorough

LONG = f"[bold]a summary with words[/bold] that look like markup, {'long ' * 60}end, and Größe"

MATCHER = {"name": "alertname", "value": LONG, "isRegex": False, "isEqual": True}
SILENCE = {
    "id": "0f3a",
    "status": {"state": "active"},
    "matchers": [MATCHER],
    "startsAt": NOW,
    "endsAt": NOW,
    "createdBy": "somebody",
    "comment": LONG,
}
FIRING = {
    "labels": {"alertname": "X", "severity": "critical", "service": "kong"},
    "annotations": {"summary": LONG},
    "state": "firing",
    "activeAt": NOW,
}


def is_json(text: str) -> None:
    json.loads(text)


def is_xml(text: str) -> None:
    assert text.startswith("<?xml version='1.0' encoding='utf-8'?>")
    ET.fromstring(text)  # noqa: S314 - our own text


def is_env(text: str) -> None:
    assert all(re.match(r"#?[A-Z0-9_]+=", line) for line in text.splitlines())


def is_script(text: str) -> None:
    assert "_STACKCTL_COMPLETE" in text


DOCUMENTS: dict[tuple[str, ...], Callable[[str], None]] = {
    ("up", "--dry-run", "--format", "json"): is_json,
    ("status", "--format", "json"): is_json,
    ("verify", "--timeout", "0", "--format", "json"): is_json,
    ("verify", "--timeout", "0", "--format", "junit"): is_xml,
    ("load", "-n", "2", "--format", "json"): is_json,
    ("urls", "--format", "json"): is_json,
    ("config", "--format", "json"): is_json,
    ("config", "--format", "env"): is_env,
    ("doctor", "--format", "json"): is_json,
    ("images", "list", "--format", "json"): is_json,
    ("images", "outdated", "--format", "json"): is_json,
    ("alerts", "--format", "json"): is_json,
    ("alerts", "rules", "--format", "json"): is_json,
    ("alerts", "preview", "ServiceDown", "--format", "json"): is_json,
    ("alerts", "drill", "ServiceDown", "--format", "json"): is_json,
    ("alerts", "silence", "list", "--format", "json"): is_json,
    ("completion", "bash"): is_script,
    ("completion", "zsh"): is_script,
    ("completion", "fish"): is_script,
}
FOR_PEOPLE = {"table", "text"}


def with_format(command: click.Command, *path: str) -> Iterator[tuple[str, ...]]:
    """Yield the path of every command that has a --format, and each format that it has for programs."""
    for param in command.params:
        if "--format" in param.opts and isinstance(param.type, click.Choice):
            yield from (
                (*path, "--format", one) for one in param.type.choices if one not in FOR_PEOPLE
            )
    if isinstance(command, click.Group):
        ctx = click.Context(command)
        for name in command.list_commands(ctx):
            found = command.get_command(ctx, name)
            assert found is not None
            yield from with_format(found, *path, name)


def test_every_format_for_programs_is_in_this_test() -> None:
    tested = {
        tuple(
            word
            for word in words
            if not re.fullmatch(r"-n|\d|--dry-run|--timeout|ServiceDown", word)
        )
        for words in DOCUMENTS
    }
    assert {*with_format(cli)} <= tested


@pytest.fixture
def stack(own_folders: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    engine = MemoryEngine(*map(container, SERVICES))
    monkeypatch.setattr(
        engine,
        "usage",
        lambda names: {name: Usage(1.5, 1, 2, 60.0) for name in names},
        raising=False,
    )
    monkeypatch.setattr(Project, "engine", lambda *_, **__: engine)
    monkeypatch.setattr(Project, "whole_engine", lambda *_, **__: engine)
    open_project(name=None, env_file=None).keep(ProjectState(version=__version__))

    def refuses(*_: object, **__: object) -> None:
        raise StackctlError(LONG, remedy="none")

    async def found(_: Context) -> Finding:
        return Finding(False, "expected", LONG, "look")

    async def answers(*_: object) -> dict[str, str]:
        return dict.fromkeys(SERVICES, LONG)

    refused = preflight.Finding("docker", "failure", LONG, "look")
    check = Check("loki.one", "One", "the plan", "loki", found)
    monkeypatch.setattr("stackctl.lifecycle.up.dry_run", refuses)
    monkeypatch.setattr("stackctl.lifecycle.preflight.examine", lambda *_: [refused])
    monkeypatch.setattr("stackctl.readiness.probes.probe_once", answers)
    monkeypatch.setattr("stackctl.images.resolve.inventory", lambda *_: [{"name": LONG}])
    compared = Comparison("loki", "2.9.3", "3.7.6", (LONG,), failure=LONG)
    monkeypatch.setattr("stackctl.images.newer.compare", lambda *_: [compared])
    monkeypatch.setattr(runner, "CHECKS", (check,))
    message = Message("default", CHANNELS[0], "#alerts", "firing", {"text": LONG})
    monkeypatch.setattr("stackctl.commands.preview._rendered", lambda *_: [message])

    async def drilled(*_: object) -> DrillReport:
        one = Drilled("ServiceDown", {"severity": "critical"}, ("default",), problems=[LONG])
        return DrillReport([one], [LONG], 1.5)

    monkeypatch.setattr("stackctl.verify.alert_drill.drill", drilled)
    group = {"name": "g", "file": "f", "interval": 15, "rules": [rule()]}
    routes = {
        "/api/health": as_json({}),
        "/api/v1/alerts": as_json(success({"alerts": [FIRING]})),
        "/api/v1/rules": as_json(success({"groups": [group]})),
        "/api/v2/alerts": as_json([alert("critical")]),
        "/api/v2/silences": as_json([SILENCE]),
    }
    with serving(routes) as server:  # type: ignore[arg-type]
        port = server.url.rpartition(":")[2]
        for name in ("PROMETHEUS", "ALERTMANAGER", "RUST_CORE_ENGINE"):
            monkeypatch.setenv(f"{name}_PORT", port)
        yield server


def unchanging(text: str) -> str:
    """Leave out what differs between two runs of any kind: times, and what follows from them."""
    return re.sub(r"\d+", "0", text)


@pytest.mark.parametrize("words", DOCUMENTS, ids=" ".join)
def test_a_document_is_the_same_everywhere(
    words: tuple[str, ...], stack: Server, tmp_path: Path
) -> None:
    plain = run_here(*words)
    assert plain.stdout, plain.stderr
    DOCUMENTS[words](plain.stdout)
    for env in (
        {"FORCE_COLOR": "1"},
        {"NO_COLOR": "1"},
        {"TERM": "dumb"},
        {"TERM": "dumb", "FORCE_COLOR": "1"},
        {"COLUMNS": "20"},
        {"CLICOLOR_FORCE": "1", "TTY_COMPATIBLE": "1"},
    ):
        again = run_here(*words, env=env)
        assert unchanging(again.stdout) == unchanging(plain.stdout), (env, again.stderr)
        assert again.returncode == plain.returncode
    for columns, env in ((20, {}), (80, {"FORCE_COLOR": "1"}), (200, {"TERM": "dumb"})):
        with (tmp_path / "errors").open("wb") as errors:
            screen = on_terminal(*words, columns=columns, env=env, stderr=errors.fileno())
        shown = screen.written.decode().replace("\r\n", "\n")
        assert unchanging(shown) == unchanging(plain.stdout), (columns, env)


@pytest.mark.parametrize(
    "env", [{"LC_ALL": "C"}, {"LC_ALL": "POSIX"}, {"PYTHONIOENCODING": "ascii"}], ids=str
)
def test_a_document_is_utf8_whatever_the_locale(
    env: dict[str, str], own_folders: None, tmp_path: Path
) -> None:
    (tmp_path / "größe.env").write_text("LOKI_PORT=3111\n")
    done = subprocess.run(
        [sys.executable, "-m", "stackctl", "--env-file", "größe.env", "config", "--format", "json"],
        capture_output=True,
        check=True,
        env={**os.environ, **env},
    )
    assert "größe.env" in done.stdout.decode()


@pytest.mark.parametrize("env", [{}, {"FORCE_COLOR": "1"}, {"TERM": "dumb"}, {"COLUMNS": "20"}])
def test_what_the_shell_is_offered_is_the_same_everywhere(
    env: dict[str, str], own_folders: None
) -> None:
    asked = {"_STACKCTL_COMPLETE": "bash_complete", "COMP_WORDS": "stackctl ve", "COMP_CWORD": "1"}
    done = run_here(env={**asked, **env})
    assert done.stdout == "plain,verify\n"
