"""Killed in the middle: whatever was running, the next command finds a state that it can go on from."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from tests.e2e.conftest import PROJECT, RUNNING, Stack, docker
from tests.support.http import wait_until

pytestmark = pytest.mark.docker

KILL, TERM, INT = signal.SIGKILL, signal.SIGTERM, signal.SIGINT

POINTS = [
    (("up",), "checking this machine", 0.0, KILL),
    (("up",), "choosing the images", 0.0, INT),
    (("up",), "starting the containers", 0.0, KILL),
    (("up",), "starting the containers", 0.7, KILL),
    (("up",), "starting the containers", 1.5, TERM),
    (("up",), "waiting for readiness", 0.0, KILL),
    (("up",), " ready after", 0.0, INT),
    (("down",), "stopping", 0.0, KILL),
    (("down",), "stopping", 1.0, KILL),
    (("down",), "stopping", 0.3, TERM),
    (("chaos", "stop", "kong", "--for", "10m"), "Ctrl-C to recover", 0.0, KILL),
    (("backup", "FILE"), "copying", 0.7, KILL),
    (("backup", "FILE"), "compressing", 0.0, TERM),
]
"""Command, what it has just said, seconds after that, and the signal."""


CODES = {KILL: -KILL, TERM: 130, INT: 130}


def started(stack: Stack, *command: str, **environment: str) -> subprocess.Popen[str]:
    """Start a command of stackctl in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "stackctl", *stack.command(*command)],
        env={**os.environ, **stack.environment, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def read_until(process: subprocess.Popen[str], said: str) -> str:
    """Read a command's stderr until it says something, and return what was read; it fails if it never does."""
    assert process.stderr is not None
    lines: list[str] = []
    for line in process.stderr:
        lines.append(line)
        if said in line:
            return "".join(lines)
    raise AssertionError(f"it never said {said!r}:\n{''.join(lines)}")


def interrupt(
    stack: Stack, command: tuple[str, ...], said: str, seconds: float, number: signal.Signals
) -> str:
    """Run a command, kill it at the point, and return what it wrote to stderr."""
    process = started(stack, *command)
    try:
        before = read_until(process, said)
        # The point itself is a time after the line: there is nothing to poll for.
        time.sleep(seconds)
        process.send_signal(number)
        _, rest = process.communicate(timeout=120)
    finally:
        process.kill()
    assert process.returncode == CODES[number], before + rest
    return before + rest


def half_written(folder: Path) -> list[Path]:
    """Return the files of a state folder that are not whole: not to be read, or without their end."""
    found = []
    for path in folder.rglob("*"):
        if not path.is_file() or path.name.startswith("."):
            continue
        try:
            text = path.read_text()
            if path.suffix == ".json":
                json.loads(text)
            elif path.suffix in {".yml", ".yaml"}:
                list(yaml.compose_all(text, Loader=yaml.SafeLoader))
            elif path.suffix == ".env":
                assert text.endswith("\n")
        except (ValueError, AssertionError, yaml.YAMLError):
            found.append(path)
    return found


def temporary(folder: Path) -> list[Path]:
    """Return the files that were being written when their process was killed."""
    return [path for path in folder.rglob(".*") if path.is_file()]


@pytest.mark.parametrize(
    ("command", "said", "seconds", "number"),
    POINTS,
    ids=[f"{command[0]}-{said.strip()}-{seconds}-{n.name}" for command, said, seconds, n in POINTS],
)
def test_the_next_up_goes_on(
    stack: Stack,
    tmp_path: Path,
    command: tuple[str, ...],
    said: str,
    seconds: float,
    number: signal.Signals,
) -> None:
    volumes = volumes_of_project()
    file = tmp_path / "backup.tar.gz"
    command = tuple(str(file) if word == "FILE" else word for word in command)
    if command[0] == "backup":
        assert stack.run("up", timeout=180).returncode == 0
    # A container is missing, so that `up` has something to do, and for longer than the point is away.
    docker("rm", "--force", stack.container("rabbitmq"))
    text = interrupt(stack, command, said, seconds, number)
    assert "Traceback" not in text
    state = stack.folder / "state" / PROJECT
    # A write that was cut off leaves a temporary file at most, which no reader takes for the file.
    assert half_written(state) == []
    assert not file.exists()
    if number == KILL:
        healed = stack.run("chaos", "heal")
        assert healed.returncode == 0, healed.stderr
        assert ("recovered: stop of kong" in healed.stdout) == (command[0] == "chaos")
    done = stack.run("up", timeout=180)
    assert done.returncode == 0, done.stdout + done.stderr
    assert temporary(state) == []
    assert scratch() == []
    assert "abandoned" not in stack.run("urls").stderr
    states = docker(
        "ps",
        "-a",
        "--filter",
        f"label=com.docker.compose.project={PROJECT}",
        "--format",
        "{{.Names}} {{.Status}}",
    ).splitlines()
    assert len([one for one in states if " Up " in one]) == len(RUNNING), "\n".join(states)
    assert volumes_of_project() == volumes


def volumes_of_project() -> set[str]:
    label = f"label=com.docker.compose.project={PROJECT}"
    return set(docker("volume", "ls", "-q", "--filter", label).split())


def scratch() -> list[str]:
    """Return the containers and volumes that commands made for themselves."""
    label = f"label=stackctl.scratch={PROJECT}"
    return [
        *docker("ps", "-aq", "--filter", label).split(),
        *docker("volume", "ls", "-q", "--filter", label).split(),
    ]


def test_of_two_ups_at_once_one_is_told_of_the_other(stack: Stack) -> None:
    docker("rm", "--force", stack.container("grafana"))
    first = started(stack, "up")
    try:
        read_until(first, "starting the containers")
        # It has the lock, and keeps it for as long as it stands still.
        first.send_signal(signal.SIGSTOP)
        second = stack.run("up")
        first.send_signal(signal.SIGCONT)
        out, err = first.communicate(timeout=180)
    finally:
        first.kill()
    assert first.returncode == 0, out + err
    assert second.returncode == 1
    (line,) = [one for one in second.stderr.splitlines() if one.startswith("stackctl: ")]
    assert f"stackctl up (pid {first.pid}, since " in line
    assert "is changing this project" in line


def test_what_a_backup_that_was_killed_while_it_copied_has_left_goes_at_the_next_up(
    stack: Stack, tmp_path: Path
) -> None:
    # Its `docker cp` never ends, so that it is killed in the middle of the copy for certain.
    command, reached = tmp_path / "bin" / "docker", tmp_path / "reached"
    command.parent.mkdir()
    real = shutil.which("docker")
    command.write_text(
        f'#!/bin/sh\ncase "$1" in cp) echo $$ >{reached}.new; mv {reached}.new {reached}\n'
        f'  exec sleep 600;; esac\nexec {real} "$@"\n'
    )
    command.chmod(0o755)
    file = tmp_path / "backup.tar.gz"
    process = started(stack, "backup", str(file), PATH=f"{command.parent}:{os.environ['PATH']}")
    try:
        assert wait_until(reached.exists, 60)
    finally:
        process.kill()
    process.communicate()
    os.kill(int(reached.read_text()), signal.SIGKILL)
    assert scratch() != []
    done = stack.run("up", timeout=180)
    assert done.returncode == 0, done.stderr
    assert scratch() == []
    # Nor does the next backup leave what that one was writing.
    assert stack.run("chaos", "heal").returncode == 0
    assert stack.run("backup", str(file), timeout=180).returncode == 0
    assert temporary(tmp_path) == []
