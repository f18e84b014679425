"""Volumes through the docker command, which a script stands in for."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from stackctl.docker import named_volumes
from stackctl.docker.engine import Engine
from stackctl.errors import EngineError


@pytest.fixture
def fake_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Replaces the docker command with a script."""

    def install(script: str) -> None:
        command = tmp_path / "bin" / "docker"
        command.parent.mkdir(exist_ok=True)
        command.write_text(f"#!/bin/sh\n{script}\n")
        command.chmod(0o755)
        monkeypatch.setenv("PATH", f"{command.parent}:{os.environ['PATH']}")

    return install


def test_what_docker_says_last_is_the_error(
    fake_command: Callable[[str], None], tmp_path: Path
) -> None:
    fake_command('case "$1" in cp) echo first >&2; echo "no space left" >&2; exit 3;; esac')
    volumes = named_volumes.Transfer("bot-core", "image")
    with (
        (tmp_path / "spool").open("wb") as sink,
        pytest.raises(EngineError, match=r"docker cp failed \(exit 3\): no space left"),
    ):
        volumes.read("v", sink)
    # It ends before it has read all: the pipe breaks, and what it said is the error all the same.
    with pytest.raises(EngineError, match="no space left"):
        volumes.write("v", io.BytesIO(bytes(10_000_000)))


def test_the_container_and_the_image_are_removed_even_if_making_them_fails(
    fake_command: Callable[[str], None], tmp_path: Path
) -> None:
    calls = tmp_path / "calls"
    fake_command(
        f'echo "$1 $2" >> {calls}; case "$1" in create) echo "no such volume" >&2; exit 1;; esac'
    )
    with (
        pytest.raises(EngineError, match="no such volume"),
        named_volumes.open_transfer("bot-core") as volumes,
    ):
        volumes.read("v", io.BytesIO())
    done = calls.read_text().splitlines()
    assert done[-2:] == ["rm --force", "image rm"]


def test_ctrl_c_waits_for_a_request_that_the_engine_would_go_on_with(
    fake_command: Callable[[str], None], tmp_path: Path
) -> None:
    made = tmp_path / "made"
    fake_command(f"kill -INT {os.getpid()}; sleep 0.2; touch {made}")
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        named_volumes.create("v", {})
    assert made.exists()
    assert signal.getsignal(signal.SIGINT) is before


def test_a_second_ctrl_c_ends_a_command_that_is_never_answered(
    fake_command: Callable[[str], None],
) -> None:
    # Nothing but the second signal ends it: two that come at once may count as one, so it goes on sending them.
    fake_command(f"while :; do kill -INT {os.getpid()}; sleep 0.05; done")
    with pytest.raises(KeyboardInterrupt):
        named_volumes.create("v", {})


def test_an_engine_that_never_answers_is_an_error(
    fake_command: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(named_volumes, "_ANSWER_SECONDS", 0.05)
    fake_command("exec sleep 600")
    with pytest.raises(EngineError, match="docker volume: the engine does not answer"):
        named_volumes.create("v", {})


def test_volumes_of_somebody_elses_are_those_without_the_projects_label(
    fake_command: Callable[[str], None],
) -> None:
    fake_command(
        'case "$*" in *label=com.docker.compose.project=p) echo mine;; *) printf "mine\\nother\\n";; esac'
    )
    assert named_volumes.foreign(["mine", "other", "gone"], "p") == {"other"}


def test_what_a_killed_command_made_for_itself_is_removed_and_what_a_live_one_has_is_not(
    fake_command: Callable[[str], None], tmp_path: Path
) -> None:
    with subprocess.Popen(["true"]) as gone:
        gone.wait()
    labels = {"stackctl.scratch": "p", "stackctl.process": "PID"}
    found = [
        {"Id": name, "Name": f"/{name}", "Config": {"Labels": {**labels, "stackctl.process": pid}}}
        for name, pid in (("dead", str(gone.pid)), ("alive", str(os.getpid())))
    ]
    found += [{**found[0], "Id": "other", "Name": "/other", "Config": {"Labels": {"of": "others"}}}]
    (tmp_path / "found.json").write_text(json.dumps(found))
    (tmp_path / "dead.json").write_text(json.dumps(found[:1]))
    calls = tmp_path / "calls"
    fake_command(
        f'echo "$*" >> {calls}; case "$*" in *"container list"*) echo dead alive other;;'
        f' *"inspect dead alive other") cat {tmp_path}/found.json;; *inspect*dead) cat {tmp_path}/dead.json;; esac'
    )
    Engine("p").remove_scratch(Engine("p").inventory())
    said = calls.read_text()
    assert "label=stackctl.scratch=p" in said
    removed = [line for line in said.splitlines() if " rm " in line]
    assert len(removed) == 1
    assert removed[0].split()[-1] == "dead"
