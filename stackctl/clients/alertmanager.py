"""Alertmanager's HTTP API v2 (its api/v2/openapi.yaml)."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Literal
from urllib.parse import quote

import yaml
from pydantic import ConfigDict, Field, ValidationError

from stackctl.clients.base import HttpClient
from stackctl.clients.fields import Duration
from stackctl.clients.models import CamelModel, Model
from stackctl.util import yaml_text


class _Name(Model):
    name: str


class _State(CamelModel):
    state: Literal["unprocessed", "active", "suppressed"]
    silenced_by: tuple[str, ...] = ()
    inhibited_by: tuple[str, ...] = ()


class Alert(CamelModel):
    """An alert in Alertmanager, with the receivers to which it is routed."""

    labels: Mapping[str, str]
    annotations: Mapping[str, str] = {}
    starts_at: dt.datetime
    ends_at: dt.datetime
    status: _State
    receivers: tuple[_Name, ...] = ()


class _Version(Model):
    version: str


class _Config(Model):
    original: str


class Route(Model):
    """A route: the alerts that match it, how long their groups wait, and its child routes. None means inherited."""

    receiver: str | None = None
    matchers: tuple[str, ...] = ()
    group_wait: Duration | None = None
    group_interval: Duration | None = None
    routes: tuple[Route, ...] = ()


class _Cluster(Model):
    status: str


class Status(CamelModel):
    """Alertmanager's status. `started` is when it first loaded its configuration."""

    version_info: _Version
    config: _Config
    cluster: _Cluster
    started: dt.datetime = Field(alias="uptime")


class Receiver(Model):
    """A receiver of the loaded configuration."""

    model_config = ConfigDict(extra="allow")

    name: str

    @property
    def settings(self) -> Mapping[str, Any]:
        """Everything but its name: a list for each kind of channel, such as `slack_configs`."""
        return self.model_extra or {}


class _Configuration(Model):
    route: Route = Route()
    receivers: list[Receiver] = Field(default_factory=list)


class Matcher(CamelModel):
    """A condition on one label of the alerts that a silence applies to."""

    name: str
    value: str
    is_regex: bool = False
    is_equal: bool = True


class _SilenceState(Model):
    state: Literal["active", "pending", "expired"]


class Silence(CamelModel):
    """A silence: alerts that match all of its matchers notify nobody from `starts_at` to `ends_at`."""

    id: str
    status: _SilenceState
    matchers: tuple[Matcher, ...]
    starts_at: dt.datetime
    ends_at: dt.datetime
    created_by: str
    comment: str


class _SilenceId(Model):
    id: str = Field(alias="silenceID")


class AlertmanagerClient(HttpClient):
    """A client for Alertmanager. Every method raises ServiceError if it does not respond as documented."""

    service = "alertmanager"

    async def ready(self) -> None:
        """Return if it serves requests."""
        await self._request("GET", "/-/ready")

    async def status(self) -> Status:
        """Return the version, the loaded configuration and the start time."""
        return await self._json(Status, "GET", "/api/v2/status")

    async def route(self) -> Route:
        """Return the root route of the loaded configuration, with its child routes."""
        return (await self._configuration()).route

    async def alerts(self) -> list[Alert]:
        """Return the active alerts, silenced and inhibited ones included."""
        return await self._json(list[Alert], "GET", "/api/v2/alerts")

    async def receivers(self) -> list[str]:
        """Return the names of the configured receivers."""
        return [one.name for one in await self._json(list[_Name], "GET", "/api/v2/receivers")]

    async def receiver_configs(self) -> list[Receiver]:
        """Return the receivers of the loaded configuration, with their channels."""
        return (await self._configuration()).receivers

    async def _configuration(self) -> _Configuration:
        text = (await self.status()).config.original
        try:
            return _Configuration.model_validate(yaml_text.load(text))
        except (yaml.YAMLError, ValidationError):
            raise self._error(
                f"{self.base_url}/api/v2/status", "it returned an invalid configuration"
            ) from None

    async def post_alerts(self, alerts: list[Mapping[str, object]]) -> None:
        """Send alerts, as Prometheus does: objects with `labels`, `annotations`, `startsAt`, `endsAt`."""
        await self._request("POST", "/api/v2/alerts", body=alerts)

    async def silences(self) -> list[Silence]:
        """Return the silences, including recently expired ones."""
        return await self._json(list[Silence], "GET", "/api/v2/silences")

    async def silence(
        self,
        matchers: Sequence[Matcher],
        *,
        starts_at: dt.datetime,
        ends_at: dt.datetime,
        created_by: str,
        comment: str,
    ) -> str:
        """Add a silence and return its ID."""
        body = {
            "matchers": [matcher.model_dump(by_alias=True) for matcher in matchers],
            "startsAt": starts_at.isoformat(),
            "endsAt": ends_at.isoformat(),
            "createdBy": created_by,
            "comment": comment,
        }
        return (await self._json(_SilenceId, "POST", "/api/v2/silences", body=body)).id

    async def expire(self, silence: str) -> None:
        """End a silence now; the error's `status` is 404 if the ID is unknown."""
        await self._request("DELETE", f"/api/v2/silence/{quote(silence, safe='')}")

    async def delivered(self) -> Counter[str]:
        """Return how many notifications each integration has accepted since Alertmanager's start, from its /metrics.

        That is `alertmanager_notification_requests_total` minus `alertmanager_notification_requests_failed_total`: both
        count a request once it was answered, while `alertmanager_notifications_total` counts it earlier.
        """
        found: Counter[str] = Counter()
        for name, sign in (("", 1), ("_failed", -1)):
            metric = f"alertmanager_notification_requests{name}_total"
            for sample in await self._counters("/metrics", metric):
                found[sample.labels.get("integration", "")] += sign * int(sample.value)
        return found
