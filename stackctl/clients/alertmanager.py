"""Alertmanager's HTTP API v2 (its api/v2/openapi.yaml)."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Literal

from pydantic import BaseModel, Field, TypeAdapter

from stackctl.clients.base import CamelModel, HttpClient


class _Name(BaseModel):
    name: str


class _State(CamelModel):
    state: Literal["unprocessed", "active", "suppressed"]
    silenced_by: tuple[str, ...] = ()
    inhibited_by: tuple[str, ...] = ()


class Alert(CamelModel):
    """An alert as Alertmanager holds it, with the receivers that it goes to."""

    labels: Mapping[str, str]
    annotations: Mapping[str, str] = {}
    starts_at: dt.datetime
    ends_at: dt.datetime
    status: _State
    receivers: tuple[_Name, ...] = ()


class _Version(BaseModel):
    version: str


class _Config(BaseModel):
    original: str


class _Cluster(BaseModel):
    status: str


class Status(CamelModel):
    """What it says of itself. `started` is when it read its configuration first."""

    version_info: _Version
    config: _Config
    cluster: _Cluster
    started: dt.datetime = Field(alias="uptime")


class AlertmanagerClient(HttpClient):
    """A client of Alertmanager. Every method raises ServiceError where it does not answer as documented."""

    service = "alertmanager"

    async def ready(self) -> None:
        """Return if it serves requests."""
        await self._request("GET", "/-/ready")

    async def status(self) -> Status:
        """Give its version, its configuration as loaded, and since when it runs."""
        return await self._json(_STATUS, "GET", "/api/v2/status")

    async def alerts(self) -> list[Alert]:
        """Give the alerts that have not ended, silenced and inhibited ones too."""
        return await self._json(_ALERTS, "GET", "/api/v2/alerts")

    async def receivers(self) -> list[str]:
        """Give the names of the configured receivers."""
        return [one.name for one in await self._json(_RECEIVERS, "GET", "/api/v2/receivers")]

    async def post_alerts(self, alerts: list[Mapping[str, object]]) -> None:
        """Hand alerts in, as Prometheus does: objects with `labels`, `annotations`, `startsAt`, `endsAt`."""
        await self._request("POST", "/api/v2/alerts", body=alerts)

    async def reload(self) -> None:
        """Have it read its configuration again; the old one stays if the new one is not valid."""
        await self._request("POST", "/-/reload")


_STATUS = TypeAdapter(Status)
_ALERTS = TypeAdapter(list[Alert])
_RECEIVERS = TypeAdapter(list[_Name])
