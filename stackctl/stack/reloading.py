"""Which program reads which rendered files, and how it is told to read them again."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence

from stackctl.clients.alertmanager import AlertmanagerClient
from stackctl.clients.base import HttpClient
from stackctl.clients.prometheus import PrometheusClient
from stackctl.settings import Settings

_BY_ITSELF = ("grafana/dashboards/", "prometheus/targets/")
"""Folders whose reader looks for changes by itself. Prometheus must not even be told of changed targets: a reload
at the moment that a file of targets becomes empty keeps its old ones (prometheus/prometheus#12858)."""


class _BlackboxClient(HttpClient):
    """A client of the blackbox exporter (its README, "Reloading configuration")."""

    service = "blackbox-exporter"

    async def reload(self) -> None:
        """Have it read its configuration again; the old one stays if the new one is not valid."""
        await self._request("POST", "/-/reload")


_READERS: Mapping[
    str, tuple[str, Callable[[str], _BlackboxClient | PrometheusClient | AlertmanagerClient]]
] = {
    "prometheus": ("prometheus/", PrometheusClient),
    "alertmanager": ("alertmanager/", AlertmanagerClient),
    "blackbox-exporter": ("blackbox/", _BlackboxClient),
}


def reloadable(changed: Iterable[str]) -> list[str]:
    """Give the services that can read these changed files anew while they run."""
    return [
        service
        for service, (folder, _) in _READERS.items()
        if any(name.startswith(folder) and not name.startswith(_BY_ITSELF) for name in changed)
    ]


def unattended(changed: Iterable[str]) -> list[str]:
    """Give the changed files that their reader finds by itself."""
    return [name for name in changed if name.startswith(_BY_ITSELF)]


def waiting(changed: Iterable[str]) -> list[str]:
    """Give the changed files that are only read when a container starts."""
    known = (*_BY_ITSELF, *(folder for folder, _ in _READERS.values()))
    return [name for name in changed if not name.startswith(known)]


async def reload(settings: Settings, services: Sequence[str]) -> None:
    """Tell these services. Raises ServiceError for the first that does not take its configuration."""

    async def tell(service: str) -> None:
        _, client = _READERS[service]
        async with client(settings.url(service)) as one:
            await one.reload()

    steps: list[Awaitable[None]] = [tell(service) for service in services]
    await asyncio.gather(*steps)
