"""From the plan's releases to the current ones on the same data, and not back: a stack of its own."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from tests.e2e.conftest import docker, free_offset
from tests.support.http import wait_until
from tests.support.side_stack import UP_SECONDS, SideStack

pytestmark = pytest.mark.docker

PROJECT = "stackctl-e2e-versions"


@dataclass(frozen=True)
class Moving(SideStack):
    """A stack that goes from one release to another."""

    PROJECT = PROJECT

    def samples_before(self, moment: float) -> int:
        """Return how many samples Prometheus has from before a time, of its own `up`."""
        found = httpx.get(
            f"{self.settings.url('prometheus')}/api/v1/query",
            params={
                "query": 'sum(count_over_time(up{job="prometheus"}[30m]))',
                "time": str(moment),
            },
            timeout=10,
        ).json()["data"]["result"]
        return int(found[0]["value"][1]) if found else 0

    def versions(self) -> dict[str, str]:
        """Return the versions that the programs themselves say."""
        prometheus = f"{self.settings.url('prometheus')}/api/v1/status/buildinfo"
        alertmanager = f"{self.settings.url('alertmanager')}/api/v2/status"
        return {
            "prometheus": httpx.get(prometheus, timeout=10).json()["data"]["version"],
            "alertmanager": httpx.get(alertmanager, timeout=10).json()["versionInfo"]["version"],
        }

    def containers(self) -> set[str]:
        """Return the IDs of the stack's containers."""
        label = f"label=com.docker.compose.project={PROJECT}"
        return set(docker("ps", "-aq", "--filter", label).split())


@pytest.fixture(scope="module")
def moving(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Moving]:
    """Bring a stack of the plan's releases up, and take it down with its data at the end."""
    stack = Moving(tmp_path_factory.mktemp("versions"), free_offset())
    try:
        stack.up("plan")
        yield stack
    finally:
        stack.remove()


def plan_of(stack: Moving, *arguments: str) -> dict[str, Any]:
    done = stack.run("up", "--dry-run", "--format", "json", *arguments)
    plan: dict[str, Any] = json.loads(done.stdout)
    assert done.returncode == (0 if plan["ok"] else 1), done.stderr
    return plan


def test_the_current_releases_open_the_data_of_the_plans(moving: Moving) -> None:
    before = moving.versions()
    assert before["prometheus"].startswith("2.")
    added = moving.run("alerts", "silence", "add", "HighCPUUsage", "--for", "2h")
    assert added.returncode == 0, added.stderr
    assert wait_until(lambda: moving.samples_before(time.time()) > 0, 60)
    moment = time.time()
    kept = moving.samples_before(moment)

    planned = plan_of(moving, "--versions", "current")
    assert planned["changes"]
    upgraded = {one["volume"].removeprefix(f"{PROJECT}_") for one in planned["volumes"]["upgrade"]}
    assert upgraded == {"prometheus_data", "alertmanager_data"}
    assert [one["service"] for one in planned["volumes"]["reset"]] == ["rabbitmq"]
    assert moving.versions() == before

    done = moving.run("up", "--versions", "current", timeout=UP_SECONDS)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"recreating {PROJECT}_rabbitmq_data" in done.stderr
    assert "moving from the plan's release to the current one: alertmanager, " in done.stderr
    assert "this cannot be undone" in done.stderr
    after = moving.versions()
    assert after["prometheus"].startswith("3.")
    assert after["alertmanager"] != before["alertmanager"]
    assert moving.samples_before(moment) >= kept
    listed = json.loads(moving.run("alerts", "silence", "list", "--format", "json").stdout)
    assert "HighCPUUsage" in json.dumps(listed)


def test_the_current_releases_pass_every_check_and_an_alert_arrives(moving: Moving) -> None:
    verified = moving.run("verify")
    assert verified.returncode == 0, verified.stdout + verified.stderr
    drilled = moving.run(
        "chaos", "stop", "rust-core-engine", "--expect", "ServiceDown", timeout=400
    )
    assert drilled.returncode == 0, drilled.stdout + drilled.stderr


def test_what_runs_is_kept_without_being_asked_for(moving: Moving) -> None:
    before = moving.containers()
    done = moving.run("up")
    assert done.returncode == 0, done.stderr
    assert "nothing to change" in done.stdout
    checked = moving.run("render", "--check")
    assert checked.returncode == 0, checked.stdout
    assert moving.containers() == before


def test_the_way_back_is_refused_before_anything_is_done(moving: Moving) -> None:
    before, versions = moving.containers(), moving.versions()
    done = moving.run("up", "--versions", "plan")
    assert done.returncode == 1
    (line,) = [one for one in done.stderr.splitlines() if one.startswith("stackctl: ")]
    assert f"{PROJECT}_prometheus_data contains the metrics of version 3." in line
    assert "--versions current" in line
    assert "stackctl down --volumes" in line
    planned = plan_of(moving, "--versions", "plan")
    assert not planned["ok"]
    assert f"{PROJECT}_prometheus_data" in planned["failures"][0]["message"]
    assert moving.containers() == before
    assert moving.versions() == versions


def test_with_nothing_to_lose_the_way_back_is_open(moving: Moving) -> None:
    done = moving.run("down", "--volumes", "--yes")
    assert done.returncode == 0, done.stderr
    assert plan_of(moving, "--versions", "plan")["ok"]
    assert plan_of(moving)["images"]["releases"]["prometheus"] == "current"
