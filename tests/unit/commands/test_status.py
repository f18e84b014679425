"""`status` without Docker: what its table shows, and where."""

from __future__ import annotations

import json
from collections.abc import Sequence

import pytest

from stackctl.docker.models import FailedCheck, Usage
from stackctl.project.project import Project
from stackctl.services import catalog
from tests.support.cli import run_here
from tests.support.engine import MemoryEngine, container

LONG = f"registry.example.com:5000/a/long/path/to/loki:2.9.3@sha256:{'0' * 64}"


class RunningEngine(MemoryEngine):
    """Has Loki, of an image with a long name."""

    def usage(self, containers: Sequence[str]) -> dict[str, Usage]:
        return {name: Usage(1.0, 2**20, 2**21, 60.0) for name in containers}


pytestmark = pytest.mark.usefixtures("own_folders")


def test_in_a_pipe_nothing_is_cut_or_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    async def look(*_: object) -> dict[str, str]:
        return {one.name: "no container" for one in catalog.select()} | {"loki": "ready"}

    monkeypatch.setattr("stackctl.readiness.probes.probe_once", look)
    monkeypatch.setattr(Project, "engine", lambda *_: RunningEngine(container("loki", image=LONG)))
    done = run_here("status")
    assert done.returncode == 1
    head, *rows = done.stdout.splitlines()
    assert head.split() == [
        "service",
        "state",
        "ready",
        "up",
        "CPU",
        "%",
        "memory",
        "address",
        "image",
    ]
    (row,) = [one.split() for one in rows if one.startswith("loki ")]
    assert (row[0], row[1], row[2]) == ("loki", "running", "yes")
    assert row[-2:] == ["127.0.0.1:3100", LONG]


@pytest.mark.parametrize(
    ("windows", "says"),
    [
        ({"loki": 60.0, "grafana": 1.0}, "CPU %: mean over the last minute"),
        ({"loki": 600.0, "grafana": 70.0}, "CPU %: mean since each container started"),
        (
            {"loki": 60.0, "grafana": 600.0},
            "CPU %: mean over the last minute; since the container started: grafana",
        ),
        ({}, None),
    ],
)
def test_the_table_says_over_which_time_the_cpu_figures_are(
    monkeypatch: pytest.MonkeyPatch, windows: dict[str, float], says: str | None
) -> None:
    async def look(*_: object) -> dict[str, str]:
        return {one.name: "ready" for one in catalog.select()}

    async def measured(*_: object) -> dict[str, Usage]:
        return {name: Usage(1.0, 2**20, 2**21, window) for name, window in windows.items()}

    monkeypatch.setattr("stackctl.readiness.probes.probe_once", look)
    monkeypatch.setattr("stackctl.project.resource_usage.measure", measured)
    states = [container(name) for name in ("loki", "grafana")]
    monkeypatch.setattr(Project, "engine", lambda *_: RunningEngine(*states))
    lines = run_here("status").stdout.splitlines()
    assert [line for line in lines if line.startswith("CPU %")] == ([says] if says else [])


def test_a_failing_health_check_is_shown_without_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    async def look(*_: object) -> dict[str, str]:
        return {one.name: "ready" for one in catalog.select()}

    monkeypatch.setenv("GRAFANA_PASSWORD", "marked-secret")
    monkeypatch.setattr("stackctl.readiness.probes.probe_once", look)
    check = FailedCheck(1, "refused marked-secret")
    states = [container("loki", failed_check=check), container("redis", standin=True)]
    monkeypatch.setattr(Project, "engine", lambda *_: RunningEngine(*states))
    done = run_here("status")
    assert done.stdout.splitlines()[-3:] == [
        "loki: health check failed, exit code 1: refused ****",
        "* stand-in for the real program",
        "CPU %: mean over the last minute",
    ]
    rows = {
        one["service"]: one for one in json.loads(run_here("status", "--format", "json").stdout)
    }
    assert rows["loki"]["health_check"] == "health check failed, exit code 1: refused ****"
    assert rows["redis"]["health_check"] is None
