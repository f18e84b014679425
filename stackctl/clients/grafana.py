"""Grafana's HTTP API (grafana.com/docs/grafana/latest/developers/http_api)."""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import Any, Literal

from pydantic import BaseModel, SecretStr, TypeAdapter

from stackctl.clients.base import DEFAULT_TIMEOUT, HttpClient
from stackctl.errors import ServiceError

REFUSED = "`stackctl up` resets the admin password to the current setting"
"""The remedy if Grafana rejects the admin password: Grafana's data keeps the first one."""

Login = Literal["accepted", "refused", "locked"]
"""Whether a password is right, wrong, or right while the user's account is locked."""

_ADMIN = "admin"
_ADMIN_MAIL = "admin@localhost"
"""The address of Grafana's first user (conf/defaults.ini, `admin_email`), which is also accepted for login."""

_HEALTH_PATH = "/api/health"


class Health(BaseModel):
    """Grafana's health; `database` is "ok" if its own database responds."""

    database: str
    version: str = ""


class User(BaseModel):
    """The user that the client is logged in as."""

    login: str


class DataSource(BaseModel):
    """A data source: its uid and name, its type ("prometheus", "loki", …) and its URL."""

    uid: str
    name: str
    type: str
    url: str = ""


class DataSourceHealth(BaseModel):
    """The result of Grafana's health check of a data source."""

    status: str
    message: str = ""


class Dashboard(BaseModel):
    """A dashboard in a search result."""

    uid: str
    title: str
    url: str = ""


class _DashboardBody(BaseModel):
    dashboard: dict[str, Any]


class GrafanaClient(HttpClient):
    """A client for Grafana, with basic authentication.

    Every method raises ServiceError if Grafana does not respond as documented; its `status` is 401 for a rejected
    password. A rejected password is sent only once: after five wrong ones within five minutes Grafana locks the account
    (pkg/services/loginattempt), so a command with many requests would lock the admin out.
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
            # The password is the cause, so the log would not help.
            error.remedy = REFUSED
        return error

    async def health(self) -> Health:
        """Return Grafana's health; needs no login."""
        return await self._json(_HEALTH, "GET", _HEALTH_PATH)

    async def login(self) -> Login:
        """Return whether Grafana accepts the password. Raises ServiceError if it does not respond.

        For a locked account, Grafana responds as for a wrong password. It counts failures by the name that was entered,
        so the admin can still log in by e-mail address, which distinguishes the two unless that address was changed.
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
        """Return the user that the client is logged in as, which shows that the password is right."""
        return await self._json(_USER, "GET", "/api/user")

    async def data_sources(self) -> list[DataSource]:
        """Return the data sources."""
        return await self._json(_DATA_SOURCES, "GET", "/api/datasources")

    async def data_source_health(self, source: DataSource) -> DataSourceHealth:
        """Let Grafana query a data source; raises ServiceError, with Grafana's message, if that fails.

        Grafana has no health check for Alertmanager (grafana/grafana#83794), so this requests its status through
        Grafana's proxy.
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
