"""Authentication and authorization: sessions, basic authentication, anonymous visitors, roles."""

from __future__ import annotations

import asyncio
import binascii
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import IntEnum
from urllib.parse import quote, urlsplit

import aiohttp
from aiohttp import web

from standins.grafana import sessions
from standins.grafana.state import State
from standins.grafana.web.answers import error

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_SAFE = {"GET", "HEAD", "OPTIONS"}


class Role(IntEnum):
    """The role that a route requires. ANYBODY needs no login, MEMBER one that is not anonymous."""

    ANYBODY = 0
    VIEWER = 1
    MEMBER = 2
    ADMIN = 3


@dataclass(frozen=True)
class Visitor:
    """The user of a request; an anonymous one has no login."""

    login: str
    role: Role
    by_cookie: bool = False


class Guard:
    """Passes requests to handlers, or responds with 401, 403 or a redirect to the login."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._hashing = asyncio.Lock()

    async def check(self, login: str, password: str) -> bool:
        """Return whether login and password are correct; one hash at a time, concurrently with other requests."""
        async with self._hashing:
            return await asyncio.to_thread(self._state.account.check, login, password)

    def __call__(self, role: Role, handler: Handler, *, page: bool = False) -> Handler:
        """Return a handler that requires at least this role. `page` redirects others to the login."""

        async def guarded(request: web.Request) -> web.StreamResponse:
            if role is Role.ANYBODY:
                return await handler(request)
            header = request.headers.get("Authorization", "")
            if header.lower().startswith("basic "):
                visitor = await self._basic(header)
                if visitor is None:
                    return refused()
            else:
                visitor = self._by_cookie(request) or self._anonymous()
            if visitor is None or (visitor.role is Role.VIEWER and role is Role.MEMBER):
                return self._to_login(request) if page else error(401, "Unauthorized")
            if visitor.role < role:
                return error(
                    403,
                    "You'll need additional permissions to perform this action.",
                    title="Access denied",
                )
            if visitor.by_cookie and not _same_origin(request):
                return error(403, "origin not allowed")
            request["visitor"] = visitor
            return await handler(request)

        return guarded

    def logged_in(self, request: web.Request) -> bool:
        """Return whether a request has a valid session."""
        return self._by_cookie(request) is not None

    async def _basic(self, header: str) -> Visitor | None:
        try:
            given = aiohttp.BasicAuth.decode(header, encoding="utf-8")
        except (ValueError, binascii.Error):
            return None
        right = await self.check(given.login, given.password)
        return Visitor(given.login, Role.ADMIN) if right else None

    def _by_cookie(self, request: web.Request) -> Visitor | None:
        token = request.cookies.get(sessions.COOKIE, "")
        if not token or not self._state.sessions.valid(token):
            return None
        return Visitor(self._state.account.read(), Role.ADMIN, by_cookie=True)

    def _anonymous(self) -> Visitor | None:
        return Visitor("", Role.VIEWER) if self._state.settings.anonymous else None

    def _to_login(self, request: web.Request) -> web.Response:
        response = web.Response(status=302)
        response.headers["Location"] = f"{self._state.settings.sub_path}/login"
        response.set_cookie(
            "redirect_to",
            quote(request.rel_url.raw_path_qs, safe="/?=&%"),
            max_age=600,
            httponly=True,
            samesite="Lax",
        )
        return response


def refused() -> web.Response:
    """Respond as Grafana does to a wrong password."""
    return error(401, "Invalid username or password", "password-auth.failed")


def _same_origin(request: web.Request) -> bool:
    """Return whether a modifying request comes from Grafana's own pages, or not from a browser."""
    origin = request.headers.get("Origin")
    return request.method in _SAFE or origin is None or urlsplit(origin).netloc == request.host
