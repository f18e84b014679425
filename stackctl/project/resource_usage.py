"""The resource usage of containers: from Prometheus or, if it has no data, from one reading of the engine."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING

from stackctl.clients.prometheus_values import PrometheusValues
from stackctl.docker.models import Usage
from stackctl.errors import ServiceError

if TYPE_CHECKING:
    from stackctl.docker.engine import Engine

_WINDOW_SECONDS = 60
_TIMEOUT_SECONDS = 1.0
"""A slower response would be useless, because the engine's reading takes no longer."""
_QUERIES = (
    f'100 * sum by (name) (rate(container_cpu_usage_seconds_total{{name!=""}}[{_WINDOW_SECONDS}s]))',
    'max by (name) (container_memory_working_set_bytes{name!=""})',
    'max by (name) (container_spec_memory_limit_bytes{name!=""})',
)


async def measure(
    engine: Engine, prometheus_url: str | None, names: Sequence[str]
) -> dict[str, Usage]:
    """Return the resource usage of running containers, by name; those with unknown usage are left out.

    cAdvisor's figures are asked of Prometheus at `prometheus_url`, where it runs. Raises EngineError where the engine
    does not answer for the rest.
    """
    recorded = await _recorded(prometheus_url) if prometheus_url and names else {}
    found = {name: recorded[name] for name in names if name in recorded}
    rest = [name for name in names if name not in found]
    return found | await asyncio.to_thread(engine.usage, rest)


async def _recorded(url: str) -> dict[str, Usage]:
    """Return the usage of containers that Prometheus has recorded, by name; empty if it does not respond."""
    async with PrometheusValues(url, timeout=_TIMEOUT_SECONDS) as prometheus:
        try:
            cpu, memory, limit = await asyncio.gather(
                *(prometheus.by_label(query, "name") for query in _QUERIES)
            )
        except ServiceError:
            return {}
    return {
        name: Usage(
            cpu_percent=cpu[name],
            memory_bytes=int(memory[name]),
            memory_limit_bytes=int(limit[name]),
            window=_WINDOW_SECONDS,
        )
        for name in cpu.keys() & memory.keys() & limit.keys()
        # A container without a limit is limited by the machine's memory, which the engine reports.
        if limit[name]
    }
