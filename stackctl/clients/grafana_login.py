"""The admin's login to Grafana, without the rest of its HTTP API, which takes longer to load."""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import Any, Literal

from stackctl.clients.base import DEFAULT_TIMEOUT, HttpClient
from stackctl.errors import ServiceError
from stackctl.values.secret import Secret

REFUSED = "`stackctl up` resets the admin password to the current setting"
"""The remedy if Grafana rejects the admin password: Grafana's data keeps the first one."""

Login = Literal["accepted", "refused", "locked"]
"""Whether a password is right, wrong, or right while the user's account is locked."""

HEALTH_PATH = "/api/health"
_ADMIN = "admin"
_ADMIN_MAIL = "admin@localhost"
"""The address of Grafana's first user (conf/defaults.ini, `admin_email`), which is also accepted for login."""


class GrafanaLogin(HttpClient):
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
            # The password is the cause, so the log would not help.
            error.remedy = REFUSED
        return error

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
        """Return the name of the user that the client is logged in as, which shows that the password is right."""
        return await self._read(_name, "GET", "/api/user")


def _name(user: Any) -> str:
    name = user["login"]
    if not isinstance(name, str):
        raise TypeError
    return name
