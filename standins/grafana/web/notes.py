"""Annotations: GET, POST and DELETE /api/annotations."""

from __future__ import annotations

import time

from aiohttp import web

from standins.grafana.state import State
from standins.grafana.web.answers import answer, error, read_json, whole
from standins.grafana.web.guard import Visitor

_MAX_TEXT = 64 << 10


class Notes:
    """Handlers of annotations."""

    def __init__(self, state: State) -> None:
        self._state = state

    async def list(self, request: web.Request) -> web.Response:
        """GET /api/annotations with from, to, tags, matchAny, dashboardUID, panelId and limit."""
        asked = request.query
        found = self._state.annotations.find(
            start=whole(asked.get("from", ""), 0) or None,
            end=whole(asked.get("to", ""), 0) or None,
            tags=asked.getall("tags", []),
            match_any=asked.get("matchAny", "").lower() == "true",
            dashboard_uid=asked.get("dashboardUID", ""),
            panel_id=whole(asked.get("panelId", ""), 0),
            limit=whole(asked.get("limit", ""), 100) or 100,
        )
        return answer([one.json() for one in found])

    async def add(self, request: web.Request) -> web.Response:
        """POST /api/annotations with text, time, timeEnd, tags, dashboardUID and panelId."""
        body = await read_json(request)
        if body is None:
            return error(400, "bad request data")
        text, tags = body.get("text"), body.get("tags") or []
        now = int(time.time() * 1000)
        start = body.get("time") or now
        end = body.get("timeEnd") or start
        panel = body.get("panelId") or 0
        if not isinstance(text, str) or not 0 < len(text) <= _MAX_TEXT:
            return error(400, "Failed to save annotation")
        if not isinstance(tags, list) or not all(isinstance(n, int) for n in (start, end, panel)):
            return error(400, "bad request data")
        uid = str(body.get("dashboardUID") or "")
        board = self._state.dashboards.get(uid)
        if uid and board is None:
            return error(404, "Dashboard not found")
        visitor: Visitor = request["visitor"]
        new = self._state.annotations.add(
            text=text,
            tags=tuple(str(tag) for tag in tags),
            time=min(start, end),
            time_end=max(start, end),
            created=now,
            login=visitor.login,
            dashboard_uid=uid,
            dashboard_id=board.id if board else 0,
            panel_id=panel,
        )
        return answer({"message": "Annotation added", "id": new.id})

    async def remove(self, request: web.Request) -> web.Response:
        """DELETE /api/annotations/:id."""
        if not self._state.annotations.remove(int(request.match_info["id"])):
            return error(404, "Could not find annotation to delete")
        return answer({"message": "Annotation deleted"})
