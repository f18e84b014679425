"""Ports of this machine for settings under test."""

from __future__ import annotations

import contextlib
import random
import socket

from stackctl.services.catalog import PUBLISHED_PORTS


def free_ports(count: int) -> list[int]:
    """Return different ports that nothing holds.

    They are below those that the system gives to whoever asks for any, so that no server or connection of a test that
    runs beside this one gets them in the meantime.
    """
    found: list[int] = []
    with contextlib.ExitStack() as held:
        for port in random.sample(range(20_000, 32_000), 12_000):
            probe = held.enter_context(socket.socket())
            with contextlib.suppress(OSError):
                probe.bind(("127.0.0.1", port))
                found.append(port)
            if len(found) == count:
                return found
    raise AssertionError("no port is free")


def free_port_settings() -> dict[str, str]:
    """Return the settings of the stack's ports, each with one that is free."""
    names = [port.setting for port in PUBLISHED_PORTS.values()]
    return dict(zip(names, map(str, free_ports(len(names))), strict=True))
