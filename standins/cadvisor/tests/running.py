"""An engine's API with containers that tests change, and what the cAdvisor stand-in exposes of it."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestServer
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

LISTED = {
    "Names": ["/redis"],
    "Image": "sha256:5c9b9cc6",
    "Labels": {"com.docker.compose.service": "redis", "com.docker.compose.project": "bot-core"},
}
INSPECTED = {
    "Config": {"Image": "redis:7"},
    "Created": "2026-11-23T10:00:00.123456789Z",
    "RestartCount": 0,
    "HostConfig": {"NanoCpus": 250_000_000, "Memory": 128 << 20, "MemorySwap": 256 << 20},
}
STATS = {
    "cpu_stats": {
        "cpu_usage": {
            "total_usage": 2_500_000_000,
            "percpu_usage": [1_500_000_000, 0, 1_000_000_000],
            "usage_in_usermode": 2_000_000_000,
            "usage_in_kernelmode": 400_000_000,
        },
        "throttling_data": {"periods": 7, "throttled_periods": 2, "throttled_time": 500_000_000},
    },
    "memory_stats": {
        "usage": 5000,
        "stats": {"total_inactive_file": 1000, "total_rss": 3000, "total_cache": 1500},
    },
    "networks": {"eth0": {"rx_bytes": 11, "tx_bytes": 12}},
}
"""Under cgroup 1."""

CGROUP_2 = {
    "cpu_stats": {
        "cpu_usage": {"total_usage": 2_500_000_000, "usage_in_usermode": 2_000_000_000},
        "throttling_data": STATS["cpu_stats"]["throttling_data"],
    },
    "memory_stats": {"usage": 5000, "stats": {"inactive_file": 1000, "anon": 3000, "file": 1500}},
    "networks": STATS["networks"],
}


class Engine:
    """Containers by their ID, each with what the engine says of it; `status` is that of every answer."""

    def __init__(self) -> None:
        self.listed: dict[str, dict[str, Any]] = {}
        self.inspected: dict[str, dict[str, Any]] = {}
        self.stats: dict[str, dict[str, Any]] = {}
        self.status = 200
        self.seconds = 0.0

    def start(self, identity: str, stats: dict[str, Any] = STATS) -> None:
        """Have a container run."""
        self.listed[identity] = {"Id": identity, **LISTED}
        self.inspected[identity] = copy.deepcopy(INSPECTED)
        self.stats[identity] = copy.deepcopy(stats)

    async def answer(self, request: web.Request) -> web.Response:
        """Answer as the engine's API does."""
        await asyncio.sleep(self.seconds)
        if self.status != 200:
            return web.json_response({"message": "no"}, status=self.status)
        if request.path == "/containers/json":
            return web.json_response(list(self.listed.values()))
        _, _, identity, kind = request.path.split("/")
        known = {"json": self.inspected, "stats": self.stats}[kind]
        if kind == "stats":
            assert request.query == {"stream": "false", "one-shot": "true"}
        if identity not in known:
            return web.json_response({"message": "No such container"}, status=404)
        return web.json_response(known[identity])

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[str]:
        """Serve, and yield the host for `-docker`."""
        app = web.Application()
        app.router.add_get("/{tail:.*}", self.answer)
        async with TestServer(app) as server:
            yield f"tcp://{server.host}:{server.port}"


def parsed(text: str) -> list[Sample]:
    """Return the samples of an exposition."""
    return [one for family in text_string_to_metric_families(text) for one in family.samples]
