"""The machine as a whole, which cAdvisor treats as a container, from the kernel's files (proc(5))."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path("/rootfs")
"""The mount point of the machine's file system."""

_IGNORED = ("lo", "veth", "docker")
_RECEIVED = ("rx_bytes", "rx_packets", "rx_errors")
_SENT = ("tx_bytes", "tx_packets", "tx_errors")
_SENT_FROM = 8
"""The column of the bytes sent; the eight columns before it are about received data (proc_pid_net(5))."""

_USER = (0, 1)
_SYSTEM = (2, 5, 6)
_STEAL = 7
"""The columns of a /proc/stat line that count as used time (proc_stat(5)); 3 and 4 are idle."""


@dataclass(frozen=True)
class Cpu:
    """Seconds of CPU time, `usage` by cAdvisor's name of the CPU, and the boot time since 1970."""

    usage: dict[str, float] = field(default_factory=dict)
    user: float = 0.0
    system: float = 0.0
    boot: float = 0.0


def networks(root: Path) -> dict[str, dict[str, int]]:
    """Return the statistics of each interface, under the names that the engine uses for containers.

    cAdvisor reads the same file and leaves out the same interfaces
    (github.com/google/cadvisor/blob/v0.47.2/container/libcontainer/handler.go). Empty if it cannot be read.
    """
    found = {}
    for line in _lines(root / "proc/1/net/dev")[2:]:
        name, _, numbers = line.partition(":")
        values = [int(number) for number in numbers.split()]
        if not name.strip().startswith(_IGNORED):
            found[name.strip()] = dict(
                zip(
                    _RECEIVED + _SENT, values[:3] + values[_SENT_FROM : _SENT_FROM + 3], strict=True
                )
            )
    return found


def cpu(root: Path) -> Cpu | None:
    """Return the CPU time since boot: of each CPU under cgroup 1, their sum under cgroup 2, as cAdvisor does."""
    usage, user, system, boot = dict[str, float](), 0.0, 0.0, 0.0
    tick = 1 / os.sysconf("SC_CLK_TCK")
    unified = (root / "sys/fs/cgroup/cgroup.controllers").exists()
    for line in _lines(root / "proc/stat"):
        name, *columns = line.split()
        if name == "btime":
            boot = float(columns[0])
        if not name.startswith("cpu"):
            continue
        ticks = [int(column) for column in columns]
        of_user, of_system = (
            sum(ticks[column] for column in columns_of) * tick for columns_of in (_USER, _SYSTEM)
        )
        if name == "cpu":
            user, system = of_user, of_system
        if (name == "cpu") == unified:
            label = "total" if unified else f"cpu{int(name.removeprefix('cpu')):02}"
            usage[label] = of_user + of_system + ticks[_STEAL] * tick
    return Cpu(usage, user, system, boot) if usage else None


def memory(root: Path) -> dict[str, float]:
    """Return /proc/meminfo, in bytes by name. Empty if it cannot be read."""
    found = {}
    for line in _lines(root / "proc/meminfo"):
        name, _, value = line.partition(":")
        number, *unit = value.split()
        found[name] = float(number) * (1024 if unit else 1)
    return found


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="ascii").splitlines()
    except OSError:
        return []
