"""The admin's login to Grafana, without the rest of its HTTP API, which takes longer to load."""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import Any, Literal

from stackctl.clients.base import DEFAULT_TIMEOUT, HttpClient
from stackctl.errors import ServiceError
from stackctl.values.secret import Secret

REFUSED = "`stackctl up` sets the password that the settings have"
"""What helps where Grafana refuses the admin's password: it keeps that of its first start."""

Login = Literal["accepted", "refused", "locked"]
"""What Grafana makes of a password: right, wrong, or right while it refuses every login of that user."""

HEALTH_PATH = "/api/health"
_ADMIN = "admin"
_ADMIN_MAIL = "admin@localhost"
"""The address that Grafana gives its first user (conf/defaults.ini, `admin_email`); it is a name to log in with too."""


class GrafanaLogin(HttpClient):
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
        password: Secret | None,
        user: str = _ADMIN,
        timeout: float = DEFAULT_TIMEOUT,
        shared_seconds: float = 0.0,
    ) -> None:
        auth = None if password is None else (user, password.reveal())
        super().__init__(base_url, timeout=timeout, auth=auth, shared_seconds=shared_seconds)
        self._password = password
        self._first = asyncio.Lock()
        self._asked = False
        self._refusal: ServiceError | None = None

    async def _request(self, method: str, path: str, **options: Any) -> bytes:
        if path == HEALTH_PATH:
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
        async with GrafanaLogin(
            self.base_url, password=self._password, user=_ADMIN_MAIL, timeout=self._timeout
        ) as by_mail:
            try:
                await by_mail.current_user()
            except ServiceError as error:
                if error.status != HTTPStatus.UNAUTHORIZED:
                    raise
                return "refused"
        return "locked"

    async def current_user(self) -> str:
        """Return the name of the user that the client is logged in as, which proves the password."""
        return await self._read(_name, "GET", "/api/user")


def _name(user: Any) -> str:
    name = user["login"]
    if not isinstance(name, str):
        raise TypeError
    return name
