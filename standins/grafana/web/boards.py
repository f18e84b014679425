"""Dashboards and folders: search, the dashboards themselves, and reloading the provisioning."""

from __future__ import annotations

import logging
from typing import Any

from aiohttp import web

from standins.grafana.provisioning.dashboards import Dashboard, Folder
from standins.grafana.state import State
from standins.grafana.web.answers import answer, error, whole
from standins.shared.logs import fields
from standins.shared.process import ConfigError

_LIMIT = 1000
_MAX_LIMIT = 5000

_log = logging.getLogger("standins.grafana.provisioning")


class Boards:
    """Handlers of dashboards."""

    def __init__(self, state: State) -> None:
        self._state = state

    async def search(self, request: web.Request) -> web.Response:
        """GET /api/search with query, type, tag, dashboardUIDs, folderUIDs, limit and page."""
        asked = request.query
        text, kind = asked.get("query", "").lower(), asked.get("type", "")
        tags = set(asked.getall("tag", []))
        boards, folders = asked.getall("dashboardUIDs", []), asked.getall("folderUIDs", [])
        hits: list[dict[str, Any]] = []
        if kind in {"", "dash-folder"} and not (tags or boards or folders):
            hits += [
                _folder_hit(one)
                for one in self._state.dashboards.folders
                if text in one.title.lower()
            ]
        if kind in {"", "dash-db"} and asked.get("starred", "").lower() != "true":
            hits += [
                _hit(one)
                for one in self._state.dashboards
                if text in one.title.lower()
                and tags <= set(one.tags)
                and (not boards or one.uid in boards)
                and (not folders or (one.folder.uid if one.folder else "general") in folders)
            ]
        limit = min(whole(asked.get("limit", ""), _LIMIT) or _LIMIT, _MAX_LIMIT)
        first = (max(whole(asked.get("page", ""), 1), 1) - 1) * limit
        return answer(hits[first : first + limit])

    async def get(self, request: web.Request) -> web.Response:
        """GET /api/dashboards/uid/:uid."""
        board = self._state.dashboards.get(request.match_info["uid"])
        if board is None:
            return error(404, "Dashboard not found")
        return answer({"meta": _meta(board), "dashboard": board.model})

    async def tags(self, _request: web.Request) -> web.Response:
        """GET /api/dashboards/tags: each tag, and how many dashboards have it."""
        counts: dict[str, int] = {}
        for board in self._state.dashboards:
            for tag in board.tags:
                counts[tag] = counts.get(tag, 0) + 1
        return answer([{"term": tag, "count": count} for tag, count in sorted(counts.items())])

    async def folders(self, _request: web.Request) -> web.Response:
        """GET /api/folders."""
        found = self._state.dashboards.folders
        return answer([{"id": one.id, "uid": one.uid, "title": one.title} for one in found])

    async def folder(self, request: web.Request) -> web.Response:
        """GET /api/folders/:uid."""
        found = self._state.dashboards.folder(request.match_info["uid"])
        if found is None:
            return answer({"message": "folder not found", "status": "not-found"}, 404)
        return answer(
            {"id": found.id, "uid": found.uid, "title": found.title, "url": found.url, "version": 1}
        )

    async def reload_dashboards(self, _request: web.Request) -> web.Response:
        """POST /api/admin/provisioning/dashboards/reload."""
        try:
            self._state.dashboards.reload()
        except ConfigError as problem:
            return _not_reloaded(problem)
        return answer({"message": "Dashboards config reloaded"})

    async def reload_sources(self, _request: web.Request) -> web.Response:
        """POST /api/admin/provisioning/datasources/reload."""
        try:
            self._state.sources.reload()
        except ConfigError as problem:
            return _not_reloaded(problem)
        return answer({"message": "Datasources config reloaded"})


def _not_reloaded(problem: ConfigError) -> web.Response:
    _log.error("Failed to provision", extra=fields(error=problem))
    return error(500, str(problem))


def _hit(board: Dashboard) -> dict[str, Any]:
    hit: dict[str, Any] = {
        "id": board.id,
        "uid": board.uid,
        "title": board.title,
        "uri": f"db/{board.slug}",
        "url": board.url,
        "slug": "",
        "type": "dash-db",
        "tags": list(board.tags),
        "isStarred": False,
        "sortMeta": 0,
    }
    if board.folder:
        hit |= {
            "folderId": board.folder.id,
            "folderUid": board.folder.uid,
            "folderTitle": board.folder.title,
            "folderUrl": board.folder.url,
        }
    return hit


def _folder_hit(folder: Folder) -> dict[str, Any]:
    return {
        "id": folder.id,
        "uid": folder.uid,
        "title": folder.title,
        "uri": f"db/{folder.slug}",
        "url": folder.url,
        "slug": "",
        "type": "dash-folder",
        "tags": [],
        "isStarred": False,
        "sortMeta": 0,
    }


def _meta(board: Dashboard) -> dict[str, Any]:
    changed = board.changed.strftime("%Y-%m-%dT%H:%M:%SZ")
    return {
        "type": "db",
        "canSave": False,
        "canEdit": False,
        "canAdmin": False,
        "canStar": False,
        "canDelete": False,
        "slug": board.slug,
        "url": board.url,
        "expires": "0001-01-01T00:00:00Z",
        "created": changed,
        "updated": changed,
        "updatedBy": "Anonymous",
        "createdBy": "Anonymous",
        "version": board.version,
        "hasAcl": False,
        "isFolder": False,
        "folderId": board.folder.id if board.folder else 0,
        "folderUid": board.folder.uid if board.folder else "",
        "folderTitle": board.folder.title if board.folder else "General",
        "folderUrl": board.folder.url if board.folder else "",
        "provisioned": True,
        "provisionedExternalId": board.file,
    }
