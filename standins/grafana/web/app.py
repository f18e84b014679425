"""The routes: the handler of each address, and the role that it requires."""

from __future__ import annotations

import asyncio

from aiohttp import web

from standins.grafana import VERSION
from standins.grafana.provisioning.dashboards import Provider
from standins.grafana.state import State
from standins.grafana.web.boards import Boards
from standins.grafana.web.general import General
from standins.grafana.web.guard import Guard, Handler, Role
from standins.grafana.web.login import Login
from standins.grafana.web.notes import Notes
from standins.grafana.web.pages import Pages
from standins.grafana.web.queries import Queries
from standins.grafana.web.sources import Sources
from standins.shared import metrics, server

_MAX_BODY = 4 << 20
_TIMEOUT = 40.0


def application(state: State) -> web.Application:
    """Return the application; it scans the dashboards' folders while it runs."""
    app = server.application(
        metrics.registry("grafana", VERSION),
        duration_metric="grafana_http_request_duration_seconds",
        max_body=_MAX_BODY,
        timeout=_TIMEOUT,
    )
    app.cleanup_ctx.append(state.upstream.lifetime)

    async def scan(provider: Provider) -> None:
        while True:
            await asyncio.sleep(provider.interval)
            await asyncio.to_thread(state.dashboards.scan, provider)

    async def scan_all() -> None:
        async with asyncio.TaskGroup() as group:
            for provider in state.dashboards.providers:
                group.create_task(scan(provider))

    server.background(app, scan_all)
    _routes(app, state)
    return app


def _routes(app: web.Application, state: State) -> None:
    guard = Guard(state)
    general, login, pages = General(state), Login(state, guard), Pages(state)
    sources, boards, queries, notes = Sources(state), Boards(state), Queries(state), Notes(state)
    prefix = state.settings.sub_path

    def add(method: str, path: str, role: Role, handler: Handler, *, page: bool = False) -> None:
        app.router.add_route(method, prefix + path, guard(role, handler, page=page))

    add("GET", "/api/health", Role.ANYBODY, general.health)
    add("GET", "/login", Role.ANYBODY, login.form)
    add("POST", "/login", Role.ANYBODY, login.submit)
    add("GET", "/logout", Role.ANYBODY, login.logout)
    add("GET", "/", Role.VIEWER, pages.home, page=True)
    for path in ("/d/{uid}", "/d/{uid}/{slug}"):
        add("GET", path, Role.VIEWER, pages.dashboard, page=True)
    add("GET", "/api/user", Role.MEMBER, general.user)
    add("GET", "/api/org", Role.VIEWER, general.org)
    add("GET", "/api/frontend/settings", Role.VIEWER, general.frontend)
    add("GET", "/api/search", Role.VIEWER, boards.search)
    add("GET", "/api/dashboards/tags", Role.VIEWER, boards.tags)
    add("GET", "/api/dashboards/uid/{uid}", Role.VIEWER, boards.get)
    add("GET", "/api/folders", Role.VIEWER, boards.folders)
    add("GET", "/api/folders/{uid}", Role.VIEWER, boards.folder)
    add("GET", "/api/annotations", Role.VIEWER, notes.list)
    add("POST", "/api/annotations", Role.ADMIN, notes.add)
    add("DELETE", r"/api/annotations/{id:\d+}", Role.ADMIN, notes.remove)
    add("POST", "/api/ds/query", Role.VIEWER, queries.run)
    add("GET", "/api/datasources", Role.ADMIN, sources.list)
    for key in ("uid/{uid}", "name/{name}", r"{id:\d+}"):
        add("GET", f"/api/datasources/{key}", Role.ADMIN, sources.get)
    for key in ("uid/{uid}", r"{id:\d+}"):
        add("GET", f"/api/datasources/{key}/health", Role.VIEWER, sources.health)
        add("*", f"/api/datasources/proxy/{key}/{{tail:.*}}", Role.VIEWER, sources.proxy)
    reload = "/api/admin/provisioning/{}/reload"
    add("POST", reload.format("dashboards"), Role.ADMIN, boards.reload_dashboards)
    add("POST", reload.format("datasources"), Role.ADMIN, boards.reload_sources)
