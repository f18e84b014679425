"""Data sources: the list, their health, and the proxy to them."""

from __future__ import annotations

import logging

from aiohttp import web

from standins.grafana.provisioning.datasources import DataSource
from standins.grafana.query.kinds import KINDS
from standins.grafana.query.upstream import UpstreamError, bounded
from standins.grafana.state import State
from standins.grafana.web.answers import answer, error
from standins.grafana.web.guard import Role, Visitor
from standins.shared.logs import fields

_PASSED_ON = ("Accept", "Accept-Language", "Content-Type", "User-Agent")
_GIVEN_BACK = ("Content-Type", "Cache-Control", "ETag", "Last-Modified")
_READING = {"GET", "HEAD"}

_log = logging.getLogger("standins.grafana.data-proxy-log")


class Sources:
    """Handlers of /api/datasources."""

    def __init__(self, state: State) -> None:
        self._state = state

    async def list(self, _request: web.Request) -> web.Response:
        """GET /api/datasources."""
        return answer([source.summary() for source in self._state.sources])

    async def get(self, request: web.Request) -> web.Response:
        """GET /api/datasources/uid/:uid, /name/:name and /:id."""
        source = self._find(request)
        return answer(source.details()) if source else error(404, "Data source not found")

    async def health(self, request: web.Request) -> web.Response:
        """GET /api/datasources/uid/:uid/health: queries the data source.

        A type without a back end, such as Alertmanager, has no health check in Grafana either
        (github.com/grafana/grafana/issues/83794).
        """
        source = self._find(request)
        if source is None:
            return error(404, "Data source not found")
        kind = KINDS.get(source.type)
        if kind is None:
            return error(500, "Plugin unavailable", "plugin.unavailable")
        try:
            return answer(
                {"status": "OK", "message": await kind.health(self._state.upstream, source)}
            )
        except (UpstreamError, ValueError) as problem:
            _log.error("health check failed", extra=fields(datasource=source.name, error=problem))
            return answer({"status": "ERROR", "message": kind.failure(problem)}, 400)

    async def proxy(self, request: web.Request) -> web.Response:
        """Forward a request to a data source and return its response; visitors without a login may only read."""
        source = self._find(request)
        if source is None:
            return error(404, "Unable to find datasource")
        visitor: Visitor = request["visitor"]
        if request.method not in _READING and visitor.role < Role.ADMIN:
            return error(403, "access to this datasource route is not allowed")
        prefix = request.match_info.route.resource
        tail = request.rel_url.raw_path.split("/", _segments(prefix.canonical if prefix else ""))[
            -1
        ]
        headers = {name: request.headers[name] for name in _PASSED_ON if name in request.headers}
        body = await request.read() if request.can_read_body else None
        try:
            async with self._state.upstream.request(
                source,
                request.method,
                tail,
                query=request.rel_url.raw_query_string,
                data=body,
                headers=headers,
            ) as passed:
                content = await bounded(passed)
        except UpstreamError as problem:
            _log.error("Proxy request failed", extra=fields(datasource=source.name, error=problem))
            return error(502, "Bad Gateway")
        back = {name: passed.headers[name] for name in _GIVEN_BACK if name in passed.headers}
        back["Content-Security-Policy"] = "sandbox"
        return web.Response(body=content, status=passed.status, headers=back)

    def _find(self, request: web.Request) -> DataSource | None:
        found = request.match_info
        number = found.get("id", "")
        return self._state.sources.find(
            uid=found.get("uid"),
            name=found.get("name"),
            number=int(number) if number else None,
        )


def _segments(pattern: str) -> int:
    """Return the number of slashes before the `{tail}` of a route's pattern."""
    return pattern.partition("{tail")[0].count("/")
