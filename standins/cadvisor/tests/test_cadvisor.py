"""The cAdvisor stand-in before an engine's API."""

from __future__ import annotations

import asyncio
import copy
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families

from standins.cadvisor.collector import Containers
from standins.cadvisor.housekeeping import Housekeeping
from standins.shared import metrics

LISTED = {
    "Id": "abc",
    "Names": ["/redis"],
    "Image": "redis:7",
    "Labels": {"com.docker.compose.service": "redis"},
}
INSPECTED = {
    "Created": "2026-11-23T10:00:00.123456789Z",
    "HostConfig": {"NanoCpus": 250_000_000, "Memory": 128 << 20, "MemorySwap": 256 << 20},
}
CGROUP_1 = {
    "usage": 5000,
    "stats": {"total_inactive_file": 1000, "total_rss": 3000, "total_cache": 1500},
}
CGROUP_2 = {"usage": 5000, "stats": {"inactive_file": 1000, "anon": 3000, "file": 1500}}
STATS = {
    "cpu_stats": {
        "cpu_usage": {"total_usage": 2_500_000_000, "usage_in_usermode": 2_000_000_000},
        "throttling_data": {"periods": 7, "throttled_periods": 2, "throttled_time": 500_000_000},
    },
    "memory_stats": CGROUP_1,
    "networks": {"eth0": {"rx_bytes": 11, "tx_bytes": 12}},
    "blkio_stats": {
        "io_service_bytes_recursive": [{"op": "Read", "value": 40}, {"op": "read", "value": 2}]
    },
    "pids_stats": {"current": 3},
}


def look(stats: Any, *, inspected: int = 200) -> tuple[Housekeeping, dict[str, Any]]:
    """Have it look at an engine with one container once, and give the samples by name."""

    async def answer(request: web.Request) -> web.Response:
        if request.path == "/containers/json":
            return web.json_response([LISTED])
        if request.path == "/containers/abc/json":
            return web.json_response(INSPECTED, status=inspected)
        assert request.path == "/containers/abc/stats"
        assert request.query == {"stream": "false", "one-shot": "true"}
        return web.json_response(stats)

    async def run() -> Housekeeping:
        app = web.Application()
        app.router.add_get("/{tail:.*}", answer)
        async with TestServer(app) as engine:
            housekeeping = Housekeeping(f"tcp://{engine.host}:{engine.port}")
            async with housekeeping:
                await housekeeping.look()
            return housekeeping

    housekeeping = asyncio.run(run())
    registry = CollectorRegistry()
    registry.register(Containers(housekeeping))
    text = metrics.render(registry).decode()
    families = text_string_to_metric_families(text)
    return housekeeping, {sample.name: sample for family in families for sample in family.samples}


@pytest.mark.parametrize("memory", [CGROUP_1, CGROUP_2], ids=["cgroup 1", "cgroup 2"])
def test_the_figures_of_a_container(memory: dict[str, Any]) -> None:
    housekeeping, samples = look({**STATS, "memory_stats": memory})
    assert housekeeping.problem == ""
    expected = {
        "container_cpu_usage_seconds_total": 2.5,
        "container_cpu_cfs_throttled_seconds_total": 0.5,
        "container_memory_usage_bytes": 5000,
        "container_memory_working_set_bytes": 4000,
        "container_memory_rss": 3000,
        "container_memory_cache": 1500,
        "container_network_receive_bytes_total": 11,
        "container_fs_reads_bytes_total": 42,
        "container_processes": 3,
        "container_spec_cpu_quota": 25_000,
        "container_spec_cpu_period": 100_000,
        "container_spec_memory_limit_bytes": 128 << 20,
        "container_start_time_seconds": 1795428000,
    }
    assert {name: samples[name].value for name in expected} == expected
    usage = samples["container_cpu_usage_seconds_total"]
    assert usage.labels == {
        "container_label_com_docker_compose_service": "redis",
        "cpu": "total",
        "id": "/docker/abc",
        "image": "redis:7",
        "name": "redis",
    }
    assert usage.timestamp == pytest.approx(housekeeping.containers[0].seen, abs=0.01)
    assert samples["container_network_receive_bytes_total"].labels["interface"] == "eth0"


def test_a_container_that_ends_meanwhile_is_left_out() -> None:
    ended = copy.deepcopy(STATS)
    ended["cpu_stats"] = {"cpu_usage": {"total_usage": 0}}
    for stats, status in ((ended, 200), (STATS, 404)):
        housekeeping, samples = look(stats, inspected=status)
        assert housekeeping.problem == ""
        assert samples == {}


def test_an_engine_that_fails_is_told() -> None:
    housekeeping, samples = look(STATS, inspected=500)
    assert "answers 500" in housekeeping.problem
    assert samples == {}


NET_DEV = """Inter-| Receive                                        | Transmit
 face |bytes packets errs drop fifo frame compressed multicast|bytes packets errs drop fifo colls carrier compressed
    lo: 1328928766 141467 0 0 0 0 0 0 1328928766 141467 0 0 0 0 0 0
  eth0: 1013097771 23716 3 0 0 0 0 0 52341 10001 4 0 0 0 0 0
docker0: 165478 2668 0 0 0 0 0 0 999999 2345 0 0 0 0 0 0
veth1a2b: 165478 2668 0 0 0 0 0 0 999999 2345 0 0 0 0 0 0
"""


def test_the_machines_interfaces_are_those_of_its_first_process(tmp_path: Path) -> None:
    (tmp_path / "proc/1/net").mkdir(parents=True)
    (tmp_path / "proc/1/net/dev").write_text(NET_DEV)
    found = {
        sample.name: (sample.labels, sample.value)
        for metric in Containers(Housekeeping("tcp://127.0.0.1:1"), tmp_path).collect()
        for sample in metric.samples
    }
    labels = {"id": "/", "image": "", "name": "", "interface": "eth0"}
    assert found == {
        "container_network_receive_bytes_total": (labels, 1013097771),
        "container_network_receive_packets_total": (labels, 23716),
        "container_network_receive_errors_total": (labels, 3),
        "container_network_transmit_bytes_total": (labels, 52341),
        "container_network_transmit_packets_total": (labels, 10001),
        "container_network_transmit_errors_total": (labels, 4),
    }


def test_without_the_machines_files_there_is_nothing_of_it(tmp_path: Path) -> None:
    assert list(Containers(Housekeeping("tcp://127.0.0.1:1"), tmp_path).collect()) == []
