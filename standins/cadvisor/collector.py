"""The metrics of cAdvisor (github.com/google/cadvisor/blob/v0.47.2/docs/storage/prometheus.md), as far as the engine
gives them. As there, each sample carries the time of the look that it comes from, and a container's labels.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Literal

from prometheus_client import Metric
from prometheus_client.registry import Collector

from standins.cadvisor import machine
from standins.cadvisor.housekeeping import Container, Housekeeping
from standins.shared.docker import label_name

_NANO = 1e-9
_CPU_TOTAL = {"cpu": "total"}
_MACHINE = {"id": "/", "image": "", "name": ""}
"""The labels of the machine as a whole, which cAdvisor counts as a container."""

Sample = tuple[dict[str, str], float]


@dataclass(frozen=True)
class _Family:
    name: str
    help: str
    samples: Callable[[Container], Iterable[Sample]]
    type: Literal["counter", "gauge"] = "gauge"


class Containers(Collector):
    """One family a kind of figure, one sample a container, or several."""

    def __init__(self, housekeeping: Housekeeping, root: Path = machine.ROOT) -> None:
        self._housekeeping = housekeeping
        self._root = root

    def describe(self) -> list[Metric]:
        """Give the families without samples, so that registering asks no engine."""
        return [_metric(family) for family in _FAMILIES]

    def collect(self) -> Iterator[Metric]:
        """Give the families with what the last look found."""
        containers = [(one, _labels(one)) for one in self._housekeeping.containers]
        for family in _FAMILIES:
            metric = _metric(family)
            for container, labels in containers:
                for extra, value in family.samples(container):
                    metric.add_sample(
                        family.name, {**labels, **extra}, value, timestamp=container.seen
                    )
            for extra, value in self._of_machine(family):
                metric.add_sample(family.name, {**_MACHINE, **extra}, value)
            if metric.samples:
                yield metric

    def _of_machine(self, family: _Family) -> list[Sample]:
        if family.name not in _NETWORK:
            return []
        figure, _ = _NETWORK[family.name]
        return _by_interface(machine.networks(self._root), figure)


def _metric(family: _Family) -> Metric:
    # Metric strips the _total of a counter's name, and the exposition puts it back.
    return Metric(family.name.removesuffix("_total"), family.help, family.type)


def _labels(container: Container) -> dict[str, str]:
    labels = {
        f"container_label_{label_name(key)}": value for key, value in container.labels.items()
    }
    return labels | {
        "id": f"/docker/{container.id}",
        "image": container.image,
        "name": container.name,
    }


def _get(stats: Any, *path: str) -> float:
    for name in path:
        stats = stats.get(name) or {} if isinstance(stats, Mapping) else {}
    return float(stats) if isinstance(stats, int | float) else 0.0


def _figure(*path: str, scale: float = 1.0, **extra: str) -> Callable[[Container], list[Sample]]:
    return lambda one: [(extra, _get(one.stats, *path) * scale)]


def _memory(*names: str) -> Callable[[Container], list[Sample]]:
    """Give the first figure that there is: cgroup 1 and 2 have other names for the same."""

    def samples(one: Container) -> list[Sample]:
        details = one.stats.get("memory_stats", {}).get("stats") or {}
        known = (float(details[name]) for name in names if name in details)
        return [({}, value) for value in islice(known, 1)]

    return samples


def _working_set(one: Container) -> list[Sample]:
    details = one.stats.get("memory_stats", {}).get("stats") or {}
    inactive = details.get("total_inactive_file", details.get("inactive_file", 0))
    return [({}, max(_get(one.stats, "memory_stats", "usage") - inactive, 0.0))]


def _network(figure: str) -> Callable[[Container], list[Sample]]:
    return lambda one: _by_interface(one.stats.get("networks") or {}, figure)


def _by_interface(networks: Mapping[str, Mapping[str, int]], figure: str) -> list[Sample]:
    return [
        ({"interface": interface}, float(figures.get(figure) or 0))
        for interface, figures in sorted(networks.items())
    ]


def _disk(operation: str) -> Callable[[Container], list[Sample]]:
    def samples(one: Container) -> list[Sample]:
        entries = (one.stats.get("blkio_stats") or {}).get("io_service_bytes_recursive") or []
        found = [float(entry["value"]) for entry in entries if entry["op"].lower() == operation]
        return [({}, sum(found))] if found else []

    return samples


def _cpu_limit(value: Callable[[Container], float]) -> Callable[[Container], list[Sample]]:
    return lambda one: [({}, value(one))] if one.limits.cpu_quota else []


_THROTTLING = ("cpu_stats", "throttling_data")
_USAGE = ("cpu_stats", "cpu_usage")

_NETWORK = {
    "container_network_receive_bytes_total": ("rx_bytes", "Cumulative count of bytes received."),
    "container_network_receive_packets_total": (
        "rx_packets",
        "Cumulative count of packets received.",
    ),
    "container_network_receive_errors_total": (
        "rx_errors",
        "Cumulative count of errors encountered while receiving.",
    ),
    "container_network_transmit_bytes_total": (
        "tx_bytes",
        "Cumulative count of bytes transmitted.",
    ),
    "container_network_transmit_packets_total": (
        "tx_packets",
        "Cumulative count of packets transmitted.",
    ),
    "container_network_transmit_errors_total": (
        "tx_errors",
        "Cumulative count of errors encountered while transmitting.",
    ),
}
"""What the machine has too: by family, the figure's name in the engine's answer, and the help."""

_FAMILIES = (
    _Family(
        "container_cpu_usage_seconds_total",
        "Cumulative cpu time consumed in seconds.",
        _figure(*_USAGE, "total_usage", scale=_NANO, **_CPU_TOTAL),
        "counter",
    ),
    _Family(
        "container_cpu_user_seconds_total",
        "Cumulative user cpu time consumed in seconds.",
        _figure(*_USAGE, "usage_in_usermode", scale=_NANO),
        "counter",
    ),
    _Family(
        "container_cpu_system_seconds_total",
        "Cumulative system cpu time consumed in seconds.",
        _figure(*_USAGE, "usage_in_kernelmode", scale=_NANO),
        "counter",
    ),
    _Family(
        "container_cpu_cfs_periods_total",
        "Number of elapsed enforcement period intervals.",
        _figure(*_THROTTLING, "periods"),
        "counter",
    ),
    _Family(
        "container_cpu_cfs_throttled_periods_total",
        "Number of throttled period intervals.",
        _figure(*_THROTTLING, "throttled_periods"),
        "counter",
    ),
    _Family(
        "container_cpu_cfs_throttled_seconds_total",
        "Total time duration the container has been throttled.",
        _figure(*_THROTTLING, "throttled_time", scale=_NANO),
        "counter",
    ),
    _Family(
        "container_memory_usage_bytes",
        "Current memory usage in bytes, including all memory regardless of when it was accessed.",
        _figure("memory_stats", "usage"),
    ),
    _Family("container_memory_working_set_bytes", "Current working set in bytes.", _working_set),
    _Family("container_memory_rss", "Size of RSS in bytes.", _memory("total_rss", "anon")),
    _Family(
        "container_memory_cache",
        "Number of bytes of page cache memory.",
        _memory("total_cache", "file"),
    ),
    *(
        _Family(name, text, _network(figure), "counter")
        for name, (figure, text) in _NETWORK.items()
    ),
    _Family(
        "container_fs_reads_bytes_total",
        "Cumulative count of bytes read.",
        _disk("read"),
        "counter",
    ),
    _Family(
        "container_fs_writes_bytes_total",
        "Cumulative count of bytes written.",
        _disk("write"),
        "counter",
    ),
    _Family(
        "container_processes",
        "Number of processes running inside the container.",
        _figure("pids_stats", "current"),
    ),
    _Family(
        "container_last_seen",
        "Last time a container was seen by the exporter.",
        lambda one: [({}, float(int(one.seen)))],
    ),
    _Family(
        "container_start_time_seconds",
        "Start time of the container since unix epoch in seconds.",
        lambda one: [({}, float(int(one.created)))],
    ),
    _Family(
        "container_spec_cpu_quota",
        "CPU quota of the container.",
        _cpu_limit(lambda one: float(one.limits.cpu_quota)),
    ),
    _Family(
        "container_spec_cpu_period",
        "CPU period of the container.",
        lambda one: [({}, float(one.limits.cpu_period))],
    ),
    _Family(
        "container_spec_cpu_shares",
        "CPU share of the container.",
        lambda one: [({}, float(one.limits.cpu_shares))],
    ),
    _Family(
        "container_spec_memory_limit_bytes",
        "Memory limit for the container.",
        lambda one: [({}, float(one.limits.memory))],
    ),
    _Family(
        "container_spec_memory_swap_limit_bytes",
        "Memory swap limit for the container.",
        lambda one: [({}, float(one.limits.memory_swap))],
    ),
)
