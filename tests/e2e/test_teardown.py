"""The end of the shared stack: what `down` removes, and what it must not."""

from __future__ import annotations

import json

import pytest

from stackctl.settings import PUBLISHED_PORTS
from tests.e2e.conftest import PROJECT, Stack, containers, docker

pytestmark = pytest.mark.docker


def test_down_keeps_the_data_and_down_volumes_removes_it(stack: Stack) -> None:
    other = docker(
        "volume", "create", "--label", "com.docker.compose.project=somebody-else"
    ).strip()
    try:
        done = stack.run("down")
        assert done.returncode == 0, done.stderr
        assert containers() == {}
        mine = f"label=com.docker.compose.project={PROJECT}"
        assert "prometheus_data" in docker("volume", "ls", "-q", "--filter", mine)
        refused = stack.run("down", "--volumes")
        assert refused.returncode != 0
        assert "prometheus_data" in docker("volume", "ls", "-q", "--filter", mine)
        assert stack.run("down", "--volumes", "--yes").returncode == 0
        assert docker("volume", "ls", "-q", "--filter", mine).strip() == ""
        assert other in docker("volume", "ls", "-q")
        assert "was not up" in stack.run("down").stdout
    finally:
        docker("volume", "rm", other)


def test_every_published_port_is_free_again(stack: Stack) -> None:
    findings = json.loads(stack.run("doctor", "--format", "json").stdout)
    ports = [finding for finding in findings if finding["subject"] == "ports"]
    assert [finding["level"] for finding in ports] == ["ok"]
    assert len(PUBLISHED_PORTS) == 16
