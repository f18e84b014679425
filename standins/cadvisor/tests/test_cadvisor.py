"""The cAdvisor stand-in before an engine's API, and before a machine's files."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer
from prometheus_client import CollectorRegistry
from prometheus_client.samples import Sample

from standins.cadvisor import machine, main
from standins.cadvisor.collector import Containers, Selection
from standins.cadvisor.housekeeping import Housekeeping
from standins.cadvisor.tests.running import CGROUP_2, LISTED, STATS, Engine, parsed
from standins.shared import metrics

NOWHERE = Path("/nowhere")

Scrape = Callable[[], Awaitable[list[Sample]]]


def exposed(housekeeping: Housekeeping, root: Path = NOWHERE) -> list[Sample]:
    registry = CollectorRegistry()
    registry.register(Containers(housekeeping, root))
    return parsed(metrics.render(registry).decode())


def looked_at(engine: Engine) -> tuple[Housekeeping, list[Sample]]:
    """Look at an engine once."""

    async def run() -> tuple[Housekeeping, list[Sample]]:
        async with engine.serving() as host, Housekeeping(host) as housekeeping:
            await housekeeping.look()
            return housekeeping, exposed(housekeeping)

    return asyncio.run(run())


def one_container(**inspected: Any) -> Engine:
    engine = Engine()
    engine.start("abc")
    engine.inspected["abc"] |= inspected
    return engine


def values(samples: list[Sample]) -> dict[str, float]:
    return {one.name: one.value for one in samples}


@pytest.mark.parametrize(
    ("stats", "cpus"),
    [(STATS, {"cpu00": 1.5, "cpu02": 1.0}), (CGROUP_2, {"total": 2.5})],
    ids=["cgroup 1", "cgroup 2"],
)
def test_the_figures_of_a_container(stats: dict[str, Any], cpus: dict[str, float]) -> None:
    engine = Engine()
    engine.start("abc", stats)
    housekeeping, samples = looked_at(engine)
    assert housekeeping.problem == ""
    expected = {
        "container_cpu_user_seconds_total": 2.0,
        "container_cpu_cfs_throttled_seconds_total": 0.5,
        "container_memory_usage_bytes": 5000,
        "container_memory_working_set_bytes": 4000,
        "container_memory_rss": 3000,
        "container_memory_cache": 1500,
        "container_network_receive_bytes_total": 11,
        "container_spec_cpu_quota": 25_000,
        "container_spec_cpu_period": 100_000,
        "container_spec_memory_limit_bytes": 128 << 20,
        "container_start_time_seconds": 1795428000,
    }
    found = values(samples)
    assert {name: found[name] for name in expected} == expected
    usage = {
        one.labels["cpu"]: one for one in samples if one.name == "container_cpu_usage_seconds_total"
    }
    assert {cpu: one.value for cpu, one in usage.items()} == cpus
    (some, *_) = usage.values()
    assert some.labels == {
        "container_label_com_docker_compose_project": "bot-core",
        "container_label_com_docker_compose_service": "redis",
        "cpu": next(iter(cpus)),
        "id": "/docker/abc",
        "image": "redis:7",
        "name": "redis",
    }
    assert {
        one.labels.get("interface") for one in samples if one.name.startswith("container_network")
    } == {"eth0"}


def test_limits_and_start_carry_no_time() -> None:
    housekeeping, samples = looked_at(one_container())
    (container,) = housekeeping.containers
    for one in samples:
        untimed = one.name.startswith(("container_spec_", "container_start_time"))
        seen = None if untimed else pytest.approx(container.seen, abs=0.01)
        assert one.timestamp == seen, one.name


def test_a_container_without_a_limit_has_no_quota_and_no_throttling() -> None:
    _, samples = looked_at(one_container(HostConfig={}))
    names = values(samples).keys()
    assert "container_spec_cpu_period" in names
    assert not {name for name in names if "_cfs_" in name or name.endswith("_quota")}


def test_each_restart_by_the_policy_begins_new_series() -> None:
    def label(count: int) -> set[str | None]:
        _, samples = looked_at(one_container(RestartCount=count))
        return {one.labels.get("container_label_restartcount") for one in samples}

    assert [label(count) for count in (0, 1, 2)] == [{None}, {"1"}, {"2"}]


def test_a_container_that_ends_meanwhile_is_left_out() -> None:
    ended = one_container()
    ended.stats["abc"]["cpu_stats"] = {"cpu_usage": {"total_usage": 0}}
    gone = one_container()
    del gone.inspected["abc"]
    for engine in (ended, gone):
        housekeeping, samples = looked_at(engine)
        assert housekeeping.problem == ""
        assert samples == []


def test_the_flags_leave_out_labels_groups_and_single_cpus(root: Path) -> None:
    engine = one_container(RestartCount=1)
    more = {"org.opencontainers.image.version": "1", "stackctl.reads": "2"}
    engine.listed["abc"] |= {"Labels": {**LISTED["Labels"], **more}}
    housekeeping, _ = looked_at(engine)
    registry = CollectorRegistry()
    kept = frozenset({"com.docker.compose.service", "restartcount"})
    selection = Selection(kept, frozenset({"cpu", "network"}))
    registry.register(Containers(housekeeping, root, selection))
    samples = parsed(metrics.render(registry).decode())
    labels = {label for one in samples for label in one.labels if label.startswith("container_")}
    assert labels == {
        "container_label_com_docker_compose_service",
        "container_label_restartcount",
    }
    assert {one.labels["cpu"] for one in samples if "cpu" in one.labels} == {"total"}
    names = values(samples).keys()
    assert not {name for name in names if name.startswith("container_memory_")}
    assert {
        "container_cpu_usage_seconds_total",
        "container_network_receive_bytes_total",
        "container_spec_memory_limit_bytes",
        "container_start_time_seconds",
    } <= names


def scraped(scenario: Callable[[Engine, Scrape], Awaitable[None]]) -> None:
    """Run a scenario before the whole program, whose housekeeping is a minute away from the second look."""

    async def run() -> None:
        engine = Engine()
        engine.start("abc")
        async with engine.serving() as host:
            app = main.application(Housekeeping(host), 60)
            async with TestClient(TestServer(app)) as client:

                async def scrape() -> list[Sample]:
                    answer = await client.get("/metrics")
                    assert answer.status == 200
                    found = parsed(await answer.text())
                    assert await (await client.get("/healthz")).text() == "ok"
                    return [one for one in found if one.labels.get("name")]

                await scenario(engine, scrape)

    asyncio.run(run())


def identities(samples: list[Sample]) -> set[str]:
    return {one.labels["id"] for one in samples}


def test_a_container_is_there_with_the_next_scrape_and_gone_with_it() -> None:
    async def scenario(engine: Engine, scrape: Scrape) -> None:
        assert identities(await scrape()) == {"/docker/abc"}
        engine.start("def")
        assert identities(await scrape()) == {"/docker/abc", "/docker/def"}
        del engine.listed["abc"]
        assert identities(await scrape()) == {"/docker/def"}

    scraped(scenario)


def test_an_engine_that_fails_or_hangs_takes_no_series_away() -> None:
    async def scenario(engine: Engine, scrape: Scrape) -> None:
        known = await scrape()
        engine.status = 503
        assert await scrape() == known
        engine.status, engine.seconds = 200, 30.0
        began = time.monotonic()
        assert await scrape() == known
        assert time.monotonic() - began < 5

    scraped(scenario)


def test_an_engine_that_fails_is_told(caplog: pytest.LogCaptureFixture) -> None:
    engine = one_container()
    engine.status = 500
    housekeeping, samples = looked_at(engine)
    assert "answers 500" in housekeeping.problem
    assert "answers 500" in caplog.text
    assert samples == []


def test_an_engine_that_is_late_is_never_found() -> None:
    async def run() -> list[Sample]:
        engine = one_container()
        engine.status = 503
        async with engine.serving() as host, Housekeeping(host) as housekeeping:
            await housekeeping.register()
            engine.status = 200
            await housekeeping.look()
            await housekeeping.refresh()
            return exposed(housekeeping)

    assert asyncio.run(run()) == []


NET_DEV = """Inter-| Receive                                        | Transmit
 face |bytes packets errs drop fifo frame compressed multicast|bytes packets errs drop fifo colls carrier compressed
    lo: 1328928766 141467 0 0 0 0 0 0 1328928766 141467 0 0 0 0 0 0
  eth0: 1013097771 23716 3 0 0 0 0 0 52341 10001 4 0 0 0 0 0
docker0: 165478 2668 0 0 0 0 0 0 999999 2345 0 0 0 0 0 0
veth1a2b: 165478 2668 0 0 0 0 0 0 999999 2345 0 0 0 0 0 0
"""
STAT = """cpu  300 100 200 9000 50 20 30 10 0 0
cpu0 200 100 100 4000 25 20 30 10 0 0
cpu1 100 0 100 5000 25 0 0 0 0 0
intr 123 0 1
btime 1795428000
"""
MEMINFO = """MemTotal:        1000 kB
MemFree:          400 kB
Cached:           250 kB
AnonPages:        300 kB
Inactive(file):   100 kB
HugePages_Total:    0
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A machine's root with what the kernel tells of it."""
    (tmp_path / "proc/1/net").mkdir(parents=True)
    (tmp_path / "proc/1/net/dev").write_text(NET_DEV)
    (tmp_path / "proc/stat").write_text(STAT)
    (tmp_path / "proc/meminfo").write_text(MEMINFO)
    return tmp_path


def test_the_machine_is_a_container_with_all_that_others_have(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine.os, "sysconf", lambda _: 100)
    samples = exposed(Housekeeping("tcp://127.0.0.1:1"), root)
    assert {(one.labels["id"], one.labels["image"], one.labels["name"]) for one in samples} == {
        ("/", "", "")
    }
    assert {one.labels["interface"] for one in samples if "interface" in one.labels} == {"eth0"}
    assert {one.labels["cpu"]: one.value for one in samples if "cpu" in one.labels} == (
        pytest.approx({"cpu00": 4.6, "cpu01": 2.0})
    )
    found = values(samples)
    assert {name: value for name, value in found.items() if "network" in name} == {
        "container_network_receive_bytes_total": 1013097771,
        "container_network_receive_packets_total": 23716,
        "container_network_receive_errors_total": 3,
        "container_network_transmit_bytes_total": 52341,
        "container_network_transmit_packets_total": 10001,
        "container_network_transmit_errors_total": 4,
    }
    assert found["container_memory_usage_bytes"] == 600 * 1024
    assert found["container_memory_working_set_bytes"] == 500 * 1024
    assert found["container_spec_memory_limit_bytes"] == 0
    assert found["container_start_time_seconds"] == 1795428000
    _, of_container = looked_at(one_container())
    only_with_a_quota = {name for name in values(of_container) if "_cfs_" in name}
    assert values(of_container).keys() - found.keys() == {
        *only_with_a_quota,
        "container_spec_cpu_quota",
    }
    assert {one.name for one in samples if one.timestamp is None} == {
        name for name in found if name.startswith(("container_spec_", "container_start_time"))
    }


def test_the_machine_has_one_sum_of_its_cpus_under_cgroup_2(root: Path) -> None:
    (root / "sys/fs/cgroup").mkdir(parents=True)
    (root / "sys/fs/cgroup/cgroup.controllers").touch()
    samples = exposed(Housekeeping("tcp://127.0.0.1:1"), root)
    assert {one.labels["cpu"] for one in samples if "cpu" in one.labels} == {"total"}


def test_without_the_machines_files_there_is_nothing_of_it() -> None:
    assert exposed(Housekeeping("tcp://127.0.0.1:1")) == []
