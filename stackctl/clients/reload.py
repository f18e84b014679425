"""Tells a program to reload its configuration."""

from __future__ import annotations

from stackctl.clients.base import HttpClient


class ReloadClient(HttpClient):
    """A client for any program that reloads on POST /-/reload, as Prometheus and related programs do.

    (prometheus.io/docs/prometheus/latest/management_api, and the READMEs of Alertmanager and the blackbox exporter.)
    """

    def __init__(self, service: str, base_url: str) -> None:
        super().__init__(base_url)
        self.service = service

    async def reload(self) -> None:
        """Let the program reload its configuration; it keeps the old one if the new one is invalid.

        Raises ServiceError, with the program's message, if it rejects the configuration or does not respond.
        """
        await self._request("POST", "/-/reload")
