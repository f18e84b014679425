"""The Docker daemon restarts while stackctl is at work: one line, no traceback, and the next command goes on."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import warnings
from collections.abc import Iterator

import httpx
import pytest

from tests.e2e.conftest import Stack
from tests.support import daemon
from tests.support.http import wait_until

pytestmark = pytest.mark.docker


@pytest.fixture(autouse=True)
def _it_may_be_restarted() -> None:
    if reason := daemon.why_not():
        warnings.warn(f"NO RESTART OF DOCKER: {reason}", stacklevel=1)
        pytest.skip(reason)


@contextlib.contextmanager
def started(stack: Stack, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-m", "stackctl", *stack.command(*arguments)],
        env={**os.environ, **stack.environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


CHECKS = (
    *("prometheus", "applications", "grafana", "loki", "notifications", "end-to-end.dashboards"),
    *("alertmanager.status", "alertmanager.receivers"),
)
"""All that is quick, but whether critical alerts are active: what was restarted and damaged just now is rightly told of
for a quarter of an hour."""


def all_is_well_again(stack: Stack) -> None:
    up = stack.run("up", timeout=240)
    assert up.returncode == 0, up.stderr
    verified = stack.run("verify", *CHECKS, "--timeout", "90", timeout=180)
    assert verified.returncode == 0, verified.stdout


def said(stderr: str) -> list[str]:
    """Return the lines for the user."""
    assert "Traceback" not in stderr, stderr
    lines = [line for line in stderr.splitlines() if line.startswith("stackctl: ")]
    assert not any("internal error" in line for line in lines), lines
    return lines


def test_a_restart_during_up(stack: Stack) -> None:
    assert stack.run("down", timeout=180).returncode == 0
    with started(stack, "up") as process:
        assert process.stderr is not None
        assert any("starting the containers" in line for line in process.stderr)
        daemon.stop()
        try:
            _, stderr = process.communicate(timeout=180)
        finally:
            daemon.start()
    assert process.returncode == 1, stderr
    (line,) = said(stderr)
    assert "Docker" in line or "docker" in line
    all_is_well_again(stack)


def test_a_restart_during_verify(stack: Stack) -> None:
    sink = f"{stack.settings.url('notification-sink')}/messages"
    before = len(httpx.get(sink).json())
    with started(stack, "verify", "--all", "--timeout", "20") as process:
        # Its test alerts are notified for half a minute.
        assert wait_until(lambda: len(httpx.get(sink).json()) > before, 90)
        daemon.stop()
        daemon.start()
        stdout, stderr = process.communicate(timeout=300)
    # What had just been stopped or started again by then is not told as broken.
    assert process.returncode in {1, 3, 4}, stdout + stderr
    assert said(stderr) == []
    assert "expected" in stdout
    assert "checks passed" in stdout
    all_is_well_again(stack)
