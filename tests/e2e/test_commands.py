"""The command line on a running stack: files to begin with, views that go on, load, pages."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.conftest import Stack, containers
from tests.support.cli import stackctl

pytestmark = pytest.mark.docker


def test_after_init_an_up_changes_nothing(stack: Stack, tmp_path: Path) -> None:
    before = containers()

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return stackctl(*stack.command(*arguments), cwd=tmp_path, env=stack.environment)

    assert stackctl("init", cwd=tmp_path, env=stack.environment).returncode == 0
    try:
        done = run("up")
        assert done.returncode == 0, done.stderr
        assert "nothing to change" in done.stdout
    finally:
        (tmp_path / "stackctl.override.yml").unlink()
        assert run("up").returncode == 0
    assert containers() == before


@pytest.mark.parametrize(
    ("command", "wanted"),
    [("status", "notification-sink"), ("alerts", "alert"), ("verify", "checks passed")],
)
def test_a_view_goes_on_until_ctrl_c_which_is_130_without_a_word(
    stack: Stack, command: str, wanted: str
) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "stackctl", *stack.command(command, "--watch", "1")],
        env={**os.environ, **stack.environment, "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        for _ in range(2):
            assert any(wanted in line for line in process.stdout)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=30)
    assert (process.returncode, errors) == (130, "")


def test_load_is_answered_and_counted(stack: Stack) -> None:
    done = stack.run("load", "-n", "200", "-c", "10", "--format", "json")
    assert done.returncode == 0, done.stdout
    found = json.loads(done.stdout)
    assert found["answers"] == {"200": 200}
    assert found["url"] == f"{stack.settings.url('rust-core-engine')}/api/health"
    assert 0 < found["latency_ms"]["p50"] <= found["latency_ms"]["max"]
    assert stack.run("load", f"{stack.settings.url('grafana')}/nowhere", "-n", "5").returncode == 1


def test_open_knows_every_page(stack: Stack) -> None:
    for service in ("grafana", "prometheus", "notification-sink"):
        done = stackctl(
            *stack.command("open", service),
            env={**stack.environment, "PATH": "/nonexistent", "BROWSER": "/nonexistent"},
        )
        assert (done.returncode, done.stdout) == (0, f"{stack.settings.url(service)}/\n")
