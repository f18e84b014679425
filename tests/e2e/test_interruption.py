"""Killed in the middle: whatever was running, the next command finds a state that it can go on from."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from stackctl.stack.services import SERVICES
from tests.e2e.conftest import PROJECT, Stack, docker

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
    (("chaos", "stop", "kong", "--for", "10m"), "Ctrl-C heals", 0.0, KILL),
    (("backup", "FILE"), "copying", 0.7, KILL),
    (("backup", "FILE"), "packing", 0.0, TERM),
]
"""Command, what it has just said, seconds after that, and the signal."""


def interrupt(
    stack: Stack, command: tuple[str, ...], said: str, seconds: float, number: signal.Signals
) -> str:
    """Run a command, kill it at the point, and give what it wrote to stderr."""
    process = subprocess.Popen(
        [sys.executable, "-m", "stackctl", *stack.command(*command)],
        env={**os.environ, **stack.environment},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    lines: list[str] = []
    for line in process.stderr:
        lines.append(line)
        if said in line:
            # The point itself is a time after the line: there is nothing to poll for.
            time.sleep(seconds)
            process.send_signal(number)
            break
    _, rest = process.communicate(timeout=120)
    return "".join(lines) + rest


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
    # A container of its own is missing, so that `up` has something to do.
    docker("rm", "--force", stack.container("blackbox-exporter"))
    text = interrupt(stack, command, said, seconds, number)
    assert "Traceback" not in text
    state = stack.folder / "state" / PROJECT
    # A write that was cut off leaves a temporary file at most, which no reader takes for the file.
    for path in state.rglob("*.json"):
        assert path.name.startswith(".") or path.read_text().strip().endswith(("}", "]"))
    assert not file.exists()
    if number == KILL:
        healed = stack.run("chaos", "heal")
        assert healed.returncode == 0, healed.stderr
        assert ("healed: stop of kong" in healed.stdout) == (command[0] == "chaos")
    done = stack.run("up", timeout=180)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "unhealed" not in stack.run("urls").stderr
    states = docker(
        "ps",
        "-a",
        "--filter",
        f"label=com.docker.compose.project={PROJECT}",
        "--format",
        "{{.Names}} {{.Status}}",
    ).splitlines()
    assert len([one for one in states if " Up " in one]) == len(SERVICES), "\n".join(states)
    assert volumes_of_project() == volumes


def volumes_of_project() -> set[str]:
    label = f"label=com.docker.compose.project={PROJECT}"
    return set(docker("volume", "ls", "-q", "--filter", label).split())


def test_two_ups_at_once_do_not_meet(stack: Stack) -> None:
    docker("rm", "--force", stack.container("grafana"))
    first, second = (
        subprocess.Popen(
            [sys.executable, "-m", "stackctl", *stack.command("up")],
            env={**os.environ, **stack.environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    )
    results = [
        (process.communicate(timeout=120), process.returncode) for process in (first, second)
    ]
    codes = sorted(code for _, code in results)
    assert codes in ([0, 0], [0, 1]), results
    for (_, stderr), code in results:
        assert "Traceback" not in stderr
        if code:
            assert "is at work on this project" in stderr
            assert "pid" in stderr
