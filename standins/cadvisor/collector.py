"""The metrics of cAdvisor (github.com/google/cadvisor/blob/v0.47.2/metrics/prometheus.go), as far as the engine has
them. As in cAdvisor, each value carries its time of measurement and the container's labels. Limits and the start time
carry no timestamp, so they disappear with the container while the other values linger.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any, Literal

from prometheus_client import Metric
from prometheus_client.registry import Collector

from standins.cadvisor import machine
from standins.cadvisor.housekeeping import Container, Housekeeping
from standins.shared.docker import label_name

_NANO = 1e-9
_MACHINE = {"id": "/", "image": "", "name": ""}
"""The labels of the machine as a whole, which cAdvisor counts as a container."""

Sample = tuple[dict[str, str], float]


@dataclass(frozen=True)
class Selection:
    """The metrics that the flags select."""

    labels: frozenset[str] | None = None
    """The container labels that become labels of their series; None for all."""
    metrics: frozenset[str] | None = None
    """The groups of metrics, by their names in the flags; None for all."""

    def includes(self, group: str) -> bool:
        """Return whether a group is exposed."""
        return self.metrics is None or group in self.metrics


@dataclass(frozen=True)
class _Family:
    name: str
    help: str
    samples: Callable[[Container], Iterable[Sample]]
    type: Literal["counter", "gauge"] = "gauge"
    timed: bool = True

    @property
    def group(self) -> str | None:
        """Its group of metrics; None for metrics that every container has."""
        _, kind, *_ = self.name.split("_")
        return kind if kind in {"cpu", "memory", "network"} else None


class Containers(Collector):
    """One family per kind of value, with one or more samples per container."""

    def __init__(
        self,
        housekeeping: Housekeeping,
        root: Path = machine.ROOT,
        selection: Selection = Selection(),
    ) -> None:
        self._housekeeping = housekeeping
        self._root = root
        self._selection = selection
        self._families = [
            family for family in _FAMILIES if not family.group or selection.includes(family.group)
        ]

    def describe(self) -> list[Metric]:
        """Return the families without samples, so that registration does not query the engine."""
        return [_metric(family) for family in self._families]

    def collect(self) -> Iterator[Metric]:
        """Yield the families with the values of the last housekeeping."""
        of_each_cpu = self._selection.includes("percpu")
        containers = [
            (one if of_each_cpu else _summed(one), _labels(one, self._selection))
            for one in self._housekeeping.containers
        ]
        of_machine, now = _machine(self._root, of_each_cpu=of_each_cpu), time.time()
        for family in self._families:
            metric = _metric(family)
            found = [
                ({**labels, **extra}, value, container.seen)
                for container, labels in containers
                for extra, value in family.samples(container)
            ]
            found += [
                ({**_MACHINE, **extra}, value, now)
                for extra, value in of_machine.get(family.name, ())
            ]
            for labels, value, seen in found:
                time_of = seen if family.timed else None
                metric.add_sample(family.name, labels, value, timestamp=time_of)
            if found:
                yield metric


def _machine(root: Path, *, of_each_cpu: bool) -> dict[str, list[Sample]]:
    """Return the machine's samples by family name; nothing if its files cannot be read."""
    found: dict[str, list[Sample]] = {}
    networks = machine.networks(root)
    if networks:
        for name, (figure, _) in _NETWORK.items():
            found[name] = _by_interface(networks, figure)
    if cpu := machine.cpu(root):
        found["container_cpu_usage_seconds_total"] = _by_cpu(
            cpu.usage if of_each_cpu else {"total": sum(cpu.usage.values())}
        )
        figures = {
            "container_cpu_user_seconds_total": cpu.user,
            "container_cpu_system_seconds_total": cpu.system,
            "container_start_time_seconds": cpu.boot,
            "container_spec_cpu_period": _CPU_PERIOD,
            "container_spec_cpu_shares": _CPU_SHARES,
        }
        found |= {name: [({}, float(value))] for name, value in figures.items()}
    if memory := machine.memory(root):
        used = memory["MemTotal"] - memory["MemFree"]
        figures = {
            "container_memory_usage_bytes": used,
            "container_memory_working_set_bytes": max(used - memory["Inactive(file)"], 0),
            "container_memory_rss": memory["AnonPages"],
            "container_memory_cache": memory["Cached"],
            "container_spec_memory_limit_bytes": 0,
            "container_spec_memory_swap_limit_bytes": 0,
        }
        found |= {name: [({}, float(value))] for name, value in figures.items()}
    if found:
        found["container_last_seen"] = [({}, float(int(time.time())))]
    return found


def _metric(family: _Family) -> Metric:
    # Metric strips _total from a counter's name, and the exposition appends it again.
    return Metric(family.name.removesuffix("_total"), family.help, family.type)


def _summed(container: Container) -> Container:
    """Return a container without the times per CPU."""
    usage = {**container.stats["cpu_stats"]["cpu_usage"], "percpu_usage": None}
    cpu = {**container.stats["cpu_stats"], "cpu_usage": usage}
    return replace(container, stats={**container.stats, "cpu_stats": cpu})


def _labels(container: Container, selection: Selection) -> dict[str, str]:
    own = dict(container.labels)
    if container.restarts:
        # So every restart begins new series (container/docker/handler.go).
        own["restartcount"] = str(container.restarts)
    return {
        f"container_label_{label_name(key)}": value
        for key, value in own.items()
        if selection.labels is None or key in selection.labels
    } | {
        "id": f"/docker/{container.id}",
        "image": container.image,
        "name": container.name,
    }


def _get(stats: Any, *path: str) -> float:
    for name in path:
        stats = stats.get(name) or {} if isinstance(stats, Mapping) else {}
    return float(stats) if isinstance(stats, int | float) else 0.0


def _figure(*path: str, scale: float = 1.0) -> Callable[[Container], list[Sample]]:
    return lambda one: [({}, _get(one.stats, *path) * scale)]


def _memory(*names: str) -> Callable[[Container], list[Sample]]:
    """Return the first value that exists: cgroup 1 and 2 have different names for the same."""

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


def _cpu_usage(one: Container) -> list[Sample]:
    """Return the time of each CPU that has been used, under cgroup 1; cgroup 2 knows only the sum."""
    usage = one.stats["cpu_stats"]["cpu_usage"]
    each = {f"cpu{number:02}": time for number, time in enumerate(usage.get("percpu_usage") or ())}
    return _by_cpu(
        {cpu: time * _NANO for cpu, time in (each or {"total": usage["total_usage"]}).items()}
    )


def _by_cpu(usage: Mapping[str, float]) -> list[Sample]:
    return [({"cpu": cpu}, seconds) for cpu, seconds in usage.items() if seconds > 0]


def _with_quota(
    samples: Callable[[Container], list[Sample]],
) -> Callable[[Container], list[Sample]]:
    return lambda one: samples(one) if one.limits.cpu_quota else []


_THROTTLING = ("cpu_stats", "throttling_data")
_USAGE = ("cpu_stats", "cpu_usage")

_CPU_PERIOD, _CPU_SHARES = 100_000, 1024
"""The kernel's values for the machine as a whole: microseconds, and the default of cpu.shares."""

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
"""Metrics that the machine has as well: by family, the name in the engine's response and the help text."""

_FAMILIES = (
    _Family(
        "container_cpu_usage_seconds_total",
        "Cumulative cpu time consumed in seconds.",
        _cpu_usage,
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
        _with_quota(_figure(*_THROTTLING, "periods")),
        "counter",
    ),
    _Family(
        "container_cpu_cfs_throttled_periods_total",
        "Number of throttled period intervals.",
        _with_quota(_figure(*_THROTTLING, "throttled_periods")),
        "counter",
    ),
    _Family(
        "container_cpu_cfs_throttled_seconds_total",
        "Total time duration the container has been throttled.",
        _with_quota(_figure(*_THROTTLING, "throttled_time", scale=_NANO)),
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
        "container_last_seen",
        "Last time a container was seen by the exporter.",
        lambda one: [({}, float(int(one.seen)))],
    ),
    _Family(
        "container_start_time_seconds",
        "Start time of the container since unix epoch in seconds.",
        lambda one: [({}, float(int(one.created)))],
        timed=False,
    ),
    _Family(
        "container_spec_cpu_quota",
        "CPU quota of the container.",
        _with_quota(lambda one: [({}, float(one.limits.cpu_quota))]),
        timed=False,
    ),
    _Family(
        "container_spec_cpu_period",
        "CPU period of the container.",
        lambda one: [({}, float(one.limits.cpu_period))],
        timed=False,
    ),
    _Family(
        "container_spec_cpu_shares",
        "CPU share of the container.",
        lambda one: [({}, float(one.limits.cpu_shares))],
        timed=False,
    ),
    _Family(
        "container_spec_memory_limit_bytes",
        "Memory limit for the container.",
        lambda one: [({}, float(one.limits.memory))],
        timed=False,
    ),
    _Family(
        "container_spec_memory_swap_limit_bytes",
        "Memory swap limit for the container.",
        lambda one: [({}, float(one.limits.memory_swap))],
        timed=False,
    ),
)
