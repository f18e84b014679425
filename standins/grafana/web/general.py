"""Health, user, organisation and the settings of the front end."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from standins.grafana import COMMIT, FULL_VERSION
from standins.grafana.state import State
from standins.grafana.web.answers import answer
from standins.grafana.web.guard import Visitor
from standins.shared.process import ConfigError


class General:
    """Handlers for information about Grafana itself."""

    def __init__(self, state: State) -> None:
        self._state = state

    async def health(self, _request: web.Request) -> web.Response:
        """GET /api/health: whether the data folder, its database, can be read."""
        database, status = "ok", 200
        try:
            self._state.account.read()
        except ConfigError:
            database, status = "failing", 503
        return answer({"commit": COMMIT, "database": database, "version": FULL_VERSION}, status)

    async def user(self, request: web.Request) -> web.Response:
        """GET /api/user: who is logged in."""
        visitor: Visitor = request["visitor"]
        return answer(
            {
                "id": 1,
                "email": "admin@localhost",
                "name": "",
                "login": visitor.login,
                "theme": "",
                "orgId": 1,
                "isGrafanaAdmin": True,
                "isDisabled": False,
                "isExternal": False,
                "isExternallySynced": False,
                "isGrafanaAdminExternallySynced": False,
                "authLabels": [],
                "avatarUrl": "",
            }
        )

    async def org(self, _request: web.Request) -> web.Response:
        """GET /api/org: the one organisation."""
        address = dict.fromkeys(("address1", "address2", "city", "zipCode", "state", "country"), "")
        return answer({"id": 1, "name": "Main Org.", "address": address})

    async def frontend(self, _request: web.Request) -> web.Response:
        """GET /api/frontend/settings, as far as programs use it."""
        settings, default = self._state.settings, self._state.sources.default()
        sources: dict[str, Any] = {
            source.name: {
                "id": source.id,
                "uid": source.uid,
                "name": source.name,
                "type": source.type,
                "isDefault": source.is_default,
                "access": source.access,
                "jsonData": source.json_data,
                "readOnly": not source.editable,
                "url": f"/api/datasources/proxy/uid/{source.uid}",
            }
            for source in self._state.sources
        }
        return answer(
            {
                "appUrl": f"{settings.root_url}/",
                "appSubUrl": settings.sub_path,
                "anonymousEnabled": settings.anonymous,
                "disableUserSignUp": not settings.allow_sign_up,
                "defaultDatasource": default.name if default else "",
                "datasources": sources,
                "buildInfo": {
                    "version": FULL_VERSION,
                    "commit": COMMIT,
                    "edition": "stackctl stand-in",
                    "env": "production",
                },
            }
        )
