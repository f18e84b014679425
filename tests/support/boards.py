"""Dashboards, the answers to their queries, and pages, as the tests of snapshots make and read them."""

from __future__ import annotations

import asyncio
import datetime as dt
from html.parser import HTMLParser
from typing import Any

from stackctl.clients.loki import LokiClient
from stackctl.clients.prometheus import PrometheusClient
from stackctl.snapshot import page, queries
from stackctl.snapshot.dashboard import Dashboard
from stackctl.snapshot.queries import Answer, Series
from stackctl.snapshot.timerange import TimeRange
from stackctl.snapshot.views import view
from stackctl.util import paths
from tests.support.http import Answer as Route
from tests.support.http import Reply, Server, as_json

NOW = dt.datetime(2026, 1, 2, 12, 0, tzinfo=dt.UTC)
HOUR = TimeRange(NOW - dt.timedelta(hours=1), NOW)
SHIPPED = paths.monitoring() / "grafana" / "dashboards"
EVIL = "<script>alert(1)</script>\"'&"


def board(*panels: dict[str, Any], **changes: Any) -> Dashboard:
    """A dashboard with these panels, from JSON as Grafana has it."""
    return Dashboard.model_validate({"uid": "test", "title": "Test", "panels": panels, **changes})


def panel(kind: str, *expressions: str, unit: str = "short", **changes: Any) -> dict[str, Any]:
    return {
        "type": kind,
        "title": f"A {kind}",
        "gridPos": {"x": 0, "y": 0, "w": 8, "h": 8},
        "datasource": {"type": "loki" if kind == "logs" else "prometheus"},
        "targets": [
            {"refId": ref, "expr": expr, "legendFormat": "{{name}}", "instant": kind in INSTANT}
            for ref, expr in zip("ABC", expressions or ("up",), strict=False)
        ],
        "fieldConfig": {"defaults": {"unit": unit}, "overrides": []},
        **changes,
    }


INSTANT = {"stat", "gauge", "piechart", "barchart", "table"}


JOB = {
    "name": "job",
    "allValue": "..*",
    "current": {"text": ["All"], "value": ["$__all"]},
}


def matrix(*series: tuple[dict[str, str], list[tuple[float, str]]]) -> Reply:
    result = [{"metric": labels, "values": values} for labels, values in series]
    return as_json({"status": "success", "data": {"resultType": "matrix", "result": result}})


def streams(*lines: str, **labels: str) -> Reply:
    values = [[str(int(NOW.timestamp()) * 10**9 - index), line] for index, line in enumerate(lines)]
    result = [{"stream": labels, "values": values}] if lines else []
    return as_json({"status": "success", "data": {"resultType": "streams", "result": result}})


def routes(prometheus: Route, loki: Route) -> dict[str, Route]:
    """Both programs on one server: their paths are different."""
    return {
        "/-/ready": Reply(b"ready"),
        "/api/v1/query_range": prometheus,
        "/loki/api/v1/query_range": loki,
    }


ONE = matrix(({"__name__": "up", "name": "one"}, [(NOW.timestamp(), "1")]))


def ask(found: Dashboard, server: Server, times: TimeRange = HOUR) -> list[Answer]:
    async def both() -> list[Answer]:
        async with PrometheusClient(server.url) as prometheus, LokiClient(server.url) as loki:
            return await queries.ask(found, times, prometheus, loki)

    return asyncio.run(both())


def series(name: str, *values: float, ref: str = "A", **labels: str) -> Series:
    """A series whose last value is at the end of the range."""
    end = NOW.timestamp()
    points = [(end - 15 * (len(values) - 1 - index), value) for index, value in enumerate(values)]
    return Series(ref, name, {"name": name, **labels}, points)


def defaults(**settings: Any) -> dict[str, Any]:
    return {"defaults": settings, "overrides": []}


class Document(HTMLParser):
    """Reads a page: its elements, its text, and whether every element is closed in its turn."""

    VOID: frozenset[str] = frozenset({"meta", "br", "img", "link", "input", "hr"})

    def __init__(self, content: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(content)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.text += data


KINDS = (*sorted(INSTANT), "timeseries", "histogram", "heatmap", "logs")


def render(found: Dashboard, answers: list[Answer]) -> str:
    views = [view(one, answer, HOUR) for one, answer in zip(found.panels, answers, strict=True)]
    return page.render(found, views, HOUR, "bot-core")
