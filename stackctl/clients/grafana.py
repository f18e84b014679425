"""Grafana's HTTP API (grafana.com/docs/grafana/latest/developers/http_api)."""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import Any, Literal

from pydantic import BaseModel, SecretStr, TypeAdapter

from stackctl.clients.base import DEFAULT_TIMEOUT, HttpClient
from stackctl.errors import ServiceError

REFUSED = "`stackctl up` sets the password that the settings have"
"""What helps where Grafana refuses the admin's password: it keeps that of its first start."""

Login = Literal["accepted", "refused", "locked"]
"""What Grafana makes of a password: right, wrong, or right while it refuses every login of that user."""

_ADMIN = "admin"
_ADMIN_MAIL = "admin@localhost"
"""The address that Grafana gives its first user (conf/defaults.ini, `admin_email`); it is a name to log in with too."""

_HEALTH_PATH = "/api/health"


class Health(BaseModel):
    """What it says of itself; `database` is "ok" where its own database answers."""

    database: str
    version: str = ""


class User(BaseModel):
    """The user that the client is logged in as."""

    login: str


class DataSource(BaseModel):
    """A data source: its identity, its type ("prometheus", "loki", …) and the address it is at."""

    uid: str
    name: str
    type: str
    url: str = ""


class DataSourceHealth(BaseModel):
    """What Grafana found when it asked the data source."""

    status: str
    message: str = ""


class Dashboard(BaseModel):
    """A dashboard as a search gives it."""

    uid: str
    title: str
    url: str = ""


class _DashboardBody(BaseModel):
    dashboard: dict[str, Any]


class GrafanaClient(HttpClient):
    """A client of Grafana, by basic authentication.

    Every method raises ServiceError where Grafana does not answer as documented; `status` is 401 for a password that is
    refused. That one is sent once only: after five wrong ones within five minutes Grafana refuses the right one too
    (pkg/services/loginattempt), so a command that asks for more would lock the admin out.
    """

    service = "grafana"

    def __init__(
        self,
        base_url: str,
        *,
        password: SecretStr | None,
        user: str = _ADMIN,
        timeout: float = DEFAULT_TIMEOUT,
    ) -> None:
        auth = None if password is None else (user, password.get_secret_value())
        super().__init__(base_url, timeout=timeout, auth=auth)
        self._password = password
        self._first = asyncio.Lock()
        self._asked = False
        self._refusal: ServiceError | None = None

    async def _request(self, method: str, path: str, **options: Any) -> bytes:
        if path == _HEALTH_PATH:
            return await super()._request(method, path, **options)
        async with self._first:
            if self._refusal is not None:
                raise self._refusal
            if not self._asked:
                self._asked = True
                try:
                    return await super()._request(method, path, **options)
                except ServiceError as error:
                    if error.status == HTTPStatus.UNAUTHORIZED:
                        self._refusal = error
                    raise
        return await super()._request(method, path, **options)

    def _error(self, url: str, what: str, *, status: int | None = None) -> ServiceError:
        error = super()._error(url, what, status=status)
        if status == HTTPStatus.UNAUTHORIZED:
            # Its log would not help: the password is the cause.
            error.remedy = REFUSED
        return error

    async def health(self) -> Health:
        """Return Grafana's own health; needs no login."""
        return await self._json(_HEALTH, "GET", _HEALTH_PATH)

    async def login(self) -> Login:
        """Return whether Grafana takes the password. Raises ServiceError if it does not answer.

        A user who is locked out gets the answer to a wrong password. The failures are counted by the name that was
        typed, so the admin can still log in by e-mail: as long as that address was not changed, it tells the two apart.
        """
        try:
            await self.current_user()
        except ServiceError as error:
            if error.status != HTTPStatus.UNAUTHORIZED:
                raise
        else:
            return "accepted"
        async with GrafanaClient(
            self.base_url, password=self._password, user=_ADMIN_MAIL, timeout=self._timeout
        ) as by_mail:
            try:
                await by_mail.current_user()
            except ServiceError as error:
                if error.status != HTTPStatus.UNAUTHORIZED:
                    raise
                return "refused"
        return "locked"

    async def current_user(self) -> User:
        """Return the user that the client is logged in as, which proves the password."""
        return await self._json(_USER, "GET", "/api/user")

    async def data_sources(self) -> list[DataSource]:
        """Return the data sources."""
        return await self._json(_DATA_SOURCES, "GET", "/api/datasources")

    async def data_source_health(self, source: DataSource) -> DataSourceHealth:
        """Make Grafana query a data source; if that fails, a ServiceError with Grafana's message is raised.

        Alertmanager's has no back end in Grafana that could check it (grafana/grafana#83794), so this asks
        for its status through Grafana's proxy.
        """
        if source.type == "alertmanager":
            path = f"/api/datasources/proxy/uid/{source.uid}/api/v2/status"
            await self._json(_ANY_OBJECT, "GET", path)
            return DataSourceHealth(status="OK")
        path = f"/api/datasources/uid/{source.uid}/health"
        return await self._json(_DATA_SOURCE_HEALTH, "GET", path)

    async def search(self, kind: Literal["dash-db", "dash-folder"] = "dash-db") -> list[Dashboard]:
        """Return all dashboards, or all folders."""
        return await self._json(
            _DASHBOARDS, "GET", "/api/search", params={"type": kind, "limit": "5000"}
        )

    async def dashboard(self, uid: str) -> dict[str, Any]:
        """Return a dashboard's JSON."""
        return (await self._json(_DASHBOARD, "GET", f"/api/dashboards/uid/{uid}")).dashboard


_HEALTH = TypeAdapter(Health)
_USER = TypeAdapter(User)
_DATA_SOURCES = TypeAdapter(list[DataSource])
_DATA_SOURCE_HEALTH = TypeAdapter(DataSourceHealth)
_ANY_OBJECT = TypeAdapter(dict[str, Any])
_DASHBOARDS = TypeAdapter(list[Dashboard])
_DASHBOARD = TypeAdapter(_DashboardBody)
