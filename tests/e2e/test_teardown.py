"""The end of the shared stack: what `down` removes, and what it must not."""

from __future__ import annotations

import contextlib
import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from stackctl.services.catalog import PUBLISHED_PORTS
from tests.e2e.conftest import PROJECT, RUNNING, Stack, containers, docker
from tests.support.http import wait_until

pytestmark = [pytest.mark.docker, pytest.mark.core]


@contextlib.contextmanager
def deaths(file: Path) -> Iterator[Callable[[], dict[str, str]]]:
    """Watch containers of the project end; yield a function that returns their exit codes by name.

    They are watched because the engine keeps only its last few hundred events, of all projects.
    """
    command = [
        *("docker", "events", "--filter", "event=die", "--format", "{{json .}}"),
        *("--filter", f"label=com.docker.compose.project={PROJECT}"),
    ]

    def seen() -> dict[str, str]:
        died = (json.loads(line)["Actor"]["Attributes"] for line in file.read_text().splitlines())
        return {one["name"]: one["exitCode"] for one in died}

    with file.open("w") as out, subprocess.Popen(command, stdout=out) as watching:
        try:
            yield seen
        finally:
            watching.terminate()


def test_down_keeps_the_data_and_down_volumes_removes_it(stack: Stack, tmp_path: Path) -> None:
    mine = f"label=com.docker.compose.project={PROJECT}"
    others = {
        docker(
            "volume", "create", *(f"--label=com.docker.compose.{label}" for label in labels)
        ).strip()
        for labels in (
            ("project=somebody-else",),
            # A bot-core that was started by itself under the same name.
            (f"project={PROJECT}", "volume=mongo-data"),
        )
    }
    network = docker("network", "create", f"{PROJECT}_theirs").strip()
    image = "stackctl/redis:local"
    beside = docker(
        *("run", "-d", "--network", network, "-v", f"{sorted(others)[0]}:/data"),
        *("--entrypoint", "sleep", image, "600"),
    ).strip()
    labels = (
        "--label",
        f"com.docker.compose.project={PROJECT}",
        "--label",
        "com.docker.compose.service=api",
    )
    stranger = docker("create", *labels, image, "true").strip()
    try:
        # Compose would take one that carries the project's name, whoever made it.
        before = containers()
        refused = stack.run("down", "--volumes", "--yes")
        assert refused.returncode == 1
        (line,) = [one for one in refused.stderr.splitlines() if one.startswith("stackctl: ")]
        assert "containers that stackctl did not create" in line
        assert containers() == before
        docker("rm", stranger)
        own = containers()
        with deaths(tmp_path / "events") as died:
            done = stack.run("down")
            assert done.returncode == 0, done.stderr
            assert wait_until(lambda: died().keys() == own.keys(), 10), died()
        # One that ignores its stop signal is killed ten seconds later.
        assert [name for name, code in died().items() if code == "137"] == []
        assert containers() == {}
        assert "prometheus_data" in docker("volume", "ls", "-q", "--filter", mine)
        refused = stack.run("down", "--volumes")
        assert refused.returncode == 1
        assert refused.stderr.splitlines()[-1].startswith(
            "stackctl: nothing was changed; add --yes"
        )
        assert "prometheus_data" in docker("volume", "ls", "-q", "--filter", mine)
        assert stack.run("down", "--volumes", "--yes").returncode == 0
        assert others <= set(docker("volume", "ls", "-q").split())
        assert set(docker("volume", "ls", "-q", "--filter", mine).split()) <= others
        assert "was not running" in stack.run("down").stdout
        assert beside in docker("ps", "-q", "--no-trunc")
        assert network in docker("network", "ls", "-q", "--no-trunc")
    finally:
        docker("rm", "--force", beside, stranger)
        docker("network", "rm", network)
        docker("volume", "rm", *others)


def test_every_published_port_is_free_again(stack: Stack) -> None:
    findings = json.loads(stack.run("doctor", "--format", "json").stdout)
    ports = [finding for finding in findings if finding["subject"] == "ports"]
    assert [finding["level"] for finding in ports] == ["ok"]
    published = len(PUBLISHED_PORTS.keys() & RUNNING)
    assert published == 16
    assert ports[0]["message"] == f"{published} ports free, or held by this project"
