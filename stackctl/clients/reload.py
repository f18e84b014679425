"""Asks a program to read its configuration again while it runs."""

from __future__ import annotations

from stackctl.clients.base import HttpClient


class ReloadClient(HttpClient):
    """A client of any program that reloads on POST /-/reload, as Prometheus and its family do.

    (prometheus.io/docs/prometheus/latest/management_api, and the READMEs of Alertmanager and the blackbox exporter.)
    """

    def __init__(self, service: str, base_url: str) -> None:
        super().__init__(base_url)
        self.service = service

    async def reload(self) -> None:
        """Make the program read its configuration again; it keeps the old one where the new one is not valid.

        Raises ServiceError with the program's own words where it rejects the configuration or does not answer.
        """
        await self._request("POST", "/-/reload")
