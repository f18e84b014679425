"""The machine's network interfaces, as its first process sees them."""

from __future__ import annotations

from pathlib import Path

ROOT = Path("/rootfs")
"""Where the machine's file system is mounted."""

_IGNORED = ("lo", "veth", "docker")
_RECEIVED = ("rx_bytes", "rx_packets", "rx_errors")
_SENT = ("tx_bytes", "tx_packets", "tx_errors")
_SENT_FROM = 8
"""The column of the bytes sent; eight columns of what is received stand before it (proc_pid_net(5))."""


def networks(root: Path) -> dict[str, dict[str, int]]:
    """Give the figures of each interface, under the names that the engine has for a container's.

    cAdvisor reads the same file, and leaves the same interfaces out
    (github.com/google/cadvisor/blob/v0.47.2/container/libcontainer/handler.go). Nothing where it cannot be read.
    """
    try:
        text = (root / "proc/1/net/dev").read_text(encoding="ascii")
    except OSError:
        return {}
    found = {}
    for line in text.splitlines()[2:]:
        name, _, numbers = line.partition(":")
        values = [int(number) for number in numbers.split()]
        if not name.strip().startswith(_IGNORED):
            found[name.strip()] = dict(
                zip(
                    _RECEIVED + _SENT, values[:3] + values[_SENT_FROM : _SENT_FROM + 3], strict=True
                )
            )
    return found
