"""The pages for a reader: the list of dashboards, and a dashboard as its panels' titles and queries."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from aiohttp import web

from standins.grafana.state import State
from standins.grafana.web import html
from standins.grafana.web.guard import Visitor
from standins.grafana.web.html import Markup, element


class Pages:
    """Handlers of pages."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._base = state.settings.sub_path

    async def home(self, request: web.Request) -> web.Response:
        """GET /: the dashboards."""
        rows = [
            element(
                "li",
                element("a", board.title, href=self._base + board.url),
                f" · {board.folder.title if board.folder else 'General'}",
            )
            for board in self._state.dashboards
        ]
        content = element("ul", *rows) if rows else element("p", "No dashboard is provisioned.")
        return self._page(request, "Dashboards", content)

    async def dashboard(self, request: web.Request) -> web.Response:
        """GET /d/:uid and /d/:uid/:slug: a dashboard."""
        board = self._state.dashboards.get(request.match_info["uid"])
        if board is None:
            message = element("p", "No dashboard has this address.")
            return self._page(request, "Dashboard not found", message, status=404)
        panels = element("div", *_panels(board.model.get("panels")), class_="panels")
        return self._page(request, board.title, panels)

    def _page(
        self, request: web.Request, title: str, content: Markup, status: int = 200
    ) -> web.Response:
        visitor: Visitor = request["visitor"]
        return html.page(title, content, base=self._base, status=status, user=visitor.login)


def _panels(panels: Any) -> Iterator[Markup]:
    for panel in panels if isinstance(panels, list) else ():
        if not isinstance(panel, dict):
            continue
        title = str(panel.get("title") or "")
        if panel.get("type") == "row":
            yield element("h2", title)
            yield from _panels(panel.get("panels"))
        else:
            yield _panel(title, panel)


def _panel(title: str, panel: Mapping[str, Any]) -> Markup:
    targets = panel.get("targets")
    queries = [
        element("code", str(target["expr"]))
        for target in (targets if isinstance(targets, list) else ())
        if isinstance(target, dict) and target.get("expr")
    ]
    kind = element("span", str(panel.get("type") or ""), class_="kind")
    about = element("p", element("small", str(panel.get("description") or "")))
    return element("div", element("h3", title), kind, about, *queries, class_="panel")
