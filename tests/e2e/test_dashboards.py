"""The dashboards on the running stack: every query has data, every series that is read is there, their snapshots."""

from __future__ import annotations

import json
import re
from pathlib import Path

import httpx
import pytest

from stackctl.snapshot import dashboard as dashboards
from stackctl.util import paths
from tests.config.contract import SCRAPED, SERIES
from tests.e2e.conftest import MARK, Stack, docker
from tests.support.docs import GUIDE
from tests.support.http import wait_until

pytestmark = pytest.mark.docker


def query(stack: Stack, expr: str) -> list[dict[str, str]]:
    """Return the labels of what Prometheus finds now."""
    url = f"{stack.settings.url('prometheus')}/api/v1/query"
    found = httpx.get(url, params={"query": expr}).json()["data"]["result"]
    return [one["metric"] for one in found]


def test_every_query_of_every_dashboard_has_data(stack: Stack) -> None:
    done = stack.run("verify", "dashboards", "--format", "json", "--timeout", "120", timeout=240)
    report = json.loads(done.stdout)
    assert [check for check in report["checks"] if not check["ok"]] == []
    assert {check["id"] for check in report["checks"]} == {
        f"dashboards.{name}" for name in paths.dashboards()
    }
    assert all(
        re.match(r"[1-9]\d* panels with data(;|$)", check["seen"]) for check in report["checks"]
    )


def test_every_series_that_is_read_is_there(stack: Stack) -> None:
    url = f"{stack.settings.url('prometheus')}/api/v1/label/__name__/values"
    missing: set[str] = set()

    def complete() -> bool:
        nonlocal missing
        missing = (SCRAPED | SERIES.keys()) - set(httpx.get(url).json()["data"])
        return not missing

    assert wait_until(complete, 60), missing


def test_the_machines_network_is_not_that_of_a_container(stack: Stack) -> None:
    def both_ways() -> bool:
        found = query(stack, "instance:node_network_throughput_bytes:rate5m")
        return {one["direction"] for one in found} == {"receive", "transmit"}

    assert wait_until(both_ways, 120)
    interfaces = {
        one["interface"] for one in query(stack, 'container_network_receive_bytes_total{id="/"}')
    }
    table = docker(
        *("run", "--rm", "--network", "host", "--entrypoint", "cat"),
        *("stackctl/base:local", "/proc/net/dev"),
    )
    names = {line.partition(":")[0].strip() for line in table.splitlines()[2:]}
    assert {
        name for name in names if not name.startswith(("lo", "veth", "docker", "br-"))
    } <= interfaces
    assert query(stack, "node_network_receive_bytes_total") == []


def test_a_deployment_as_the_guide_tells_it_is_found_by_the_dashboards_tag(stack: Stack) -> None:
    (body,) = re.findall(r"-d '([^']*)' \S+/api/annotations", GUIDE)
    url = f"{stack.settings.url('grafana')}/api/annotations"
    with httpx.Client(auth=("admin", f"{MARK}-grafana_password")) as client:
        posted = client.post(url, content=body, headers={"Content-Type": "application/json"})
        assert posted.status_code == 200, posted.text
        found = client.get(url, params={"tags": "deployment", "type": "annotation"}).json()
    assert json.loads(body)["text"] in [one["text"] for one in found]


@pytest.mark.parametrize("name", paths.dashboards())
def test_a_snapshot_shows_every_panel(stack: Stack, name: str, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    done = stack.run("snapshot", name, "--from", "now-10m", "-o", str(page))
    assert done.returncode == 0, done.stderr
    folder = paths.monitoring() / "grafana" / "dashboards"
    panels = [one for one in dashboards.load(name, folder).panels if one.type != "row"]
    excused = {
        one.title
        for one in panels
        if one.targets and all(one.if_empty(target.ref_id) for target in one.targets)
    }
    counted, _, rest = " ".join(done.stdout.split()).removeprefix(f"{page}: ").partition("; ")
    assert counted == f"{len(panels)} panels"
    empty = set(rest.removeprefix("no data for ").split(", ")) - {""}
    assert empty <= excused
    text = page.read_text(encoding="utf-8")
    assert text.count("<section ") == len(panels)
    assert text.count("<svg ") >= sum(one.type == "timeseries" for one in panels) - len(excused)
