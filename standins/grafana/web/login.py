"""Logging in and out: POST /login as JSON by programs or as a form from the page, GET /logout."""

from __future__ import annotations

from urllib.parse import unquote

from aiohttp import web

from standins.grafana import sessions
from standins.grafana.state import State
from standins.grafana.web import html
from standins.grafana.web.answers import answer, error, read_json
from standins.grafana.web.guard import Guard, refused

_REDIRECT = "redirect_to"


class Login:
    """Handlers of the session."""

    def __init__(self, state: State, guard: Guard) -> None:
        self._state = state
        self._guard = guard

    async def form(self, request: web.Request) -> web.Response:
        """GET /login: the form."""
        if self._guard.logged_in(request):
            return _see_other(f"{self._state.settings.sub_path}/")
        return html.login(self._state.settings.sub_path)

    async def submit(self, request: web.Request) -> web.Response:
        """POST /login with `user` and `password`."""
        by_form = request.content_type == "application/x-www-form-urlencoded"
        given = await request.post() if by_form else await read_json(request)
        if given is None:
            return error(400, "bad login data")
        login, password = str(given.get("user", "")), str(given.get("password", ""))
        if not await self._guard.check(login, password):
            return html.login(self._state.settings.sub_path, failed=True) if by_form else refused()
        target = self._target(request)
        response = (
            _see_other(target)
            if by_form
            else answer({"message": "Logged in", "redirectUrl": target})
        )
        settings = self._state.settings
        response.set_cookie(
            sessions.COOKIE,
            self._state.sessions.begin(),
            path=settings.sub_path or "/",
            max_age=sessions.LIFETIME,
            httponly=True,
            secure=settings.secure,
            samesite="Lax",
        )
        response.del_cookie(_REDIRECT)
        return response

    async def logout(self, request: web.Request) -> web.Response:
        """GET /logout."""
        self._state.sessions.end(request.cookies.get(sessions.COOKIE, ""))
        response = _see_other(f"{self._state.settings.sub_path}/login")
        response.del_cookie(sessions.COOKIE, path=self._state.settings.sub_path or "/")
        return response

    def _target(self, request: web.Request) -> str:
        """Return the page to show after the login: the one that required it, if it is one of ours."""
        path = unquote(request.cookies.get(_REDIRECT, ""))
        ours = path.startswith("/") and not path.startswith("//") and path.isprintable()
        return path if ours and "\\" not in path else f"{self._state.settings.sub_path}/"


def _see_other(location: str) -> web.Response:
    return web.Response(status=302, headers={"Location": location})
