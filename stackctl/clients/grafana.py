"""Grafana's HTTP API (grafana.com/docs/grafana/latest/developers/http_api)."""

from __future__ import annotations

from typing import Any, Literal

from stackctl.clients.grafana_login import HEALTH_PATH, GrafanaLogin
from stackctl.clients.models import Model


class Health(Model):
    """Grafana's health; `database` is "ok" if its own database responds."""

    database: str
    version: str = ""


class DataSource(Model):
    """A data source: its uid and name, its type ("prometheus", "loki", …) and its URL."""

    uid: str
    name: str
    type: str
    url: str = ""


class DataSourceHealth(Model):
    """The result of Grafana's health check of a data source."""

    status: str
    message: str = ""


class Dashboard(Model):
    """A dashboard in a search result."""

    uid: str
    title: str
    url: str = ""


class _DashboardBody(Model):
    dashboard: dict[str, Any]


class GrafanaClient(GrafanaLogin):
    """A client of Grafana, by basic authentication: all of its API that the stack needs."""

    async def health(self) -> Health:
        """Return Grafana's health; needs no login."""
        return await self._json(Health, "GET", HEALTH_PATH)

    async def data_sources(self) -> list[DataSource]:
        """Return the data sources."""
        return await self._json(list[DataSource], "GET", "/api/datasources")

    async def data_source_health(self, source: DataSource) -> DataSourceHealth:
        """Let Grafana query a data source; raises ServiceError, with Grafana's message, if that fails.

        Grafana has no health check for Alertmanager (grafana/grafana#83794), so this requests its status through
        Grafana's proxy.
        """
        if source.type == "alertmanager":
            path = f"/api/datasources/proxy/uid/{source.uid}/api/v2/status"
            await self._json(dict[str, Any], "GET", path)
            return DataSourceHealth(status="OK")
        path = f"/api/datasources/uid/{source.uid}/health"
        return await self._json(DataSourceHealth, "GET", path)

    async def search(self, kind: Literal["dash-db", "dash-folder"] = "dash-db") -> list[Dashboard]:
        """Return all dashboards, or all folders."""
        return await self._json(
            list[Dashboard], "GET", "/api/search", params={"type": kind, "limit": "5000"}
        )

    async def dashboard(self, uid: str) -> dict[str, Any]:
        """Return a dashboard's JSON."""
        return (await self._json(_DashboardBody, "GET", f"/api/dashboards/uid/{uid}")).dashboard
