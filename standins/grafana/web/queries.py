"""POST /api/ds/query: the queries of a panel (grafana.com/docs/grafana/v10.2/developers/http_api/data_source)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from typing import Any

from aiohttp import web

from standins.grafana.provisioning.datasources import DataSource
from standins.grafana.query import times
from standins.grafana.query.kinds import KINDS
from standins.grafana.query.times import TimeRange
from standins.grafana.query.upstream import UpstreamError
from standins.grafana.state import State
from standins.grafana.web.answers import answer, error, read_json

_MAX_QUERIES = 100


class Queries:
    """The handler of queries."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._at_once = asyncio.Semaphore(8)

    async def run(self, request: web.Request) -> web.Response:
        """Run all queries at once; return 400 if any fails, with its error and the results of the others."""
        body = await read_json(request)
        queries = body.get("queries") if body else None
        if body is None or not isinstance(queries, list | None):
            return error(400, "bad request data")
        if not queries:
            return error(400, "No queries found", "query.noQueries")
        if len(queries) > _MAX_QUERIES:
            return error(400, f"more than {_MAX_QUERIES} queries")
        now = int(time.time() * 1000)
        try:
            start = times.moment(body.get("from", "now-6h"), now)
            when = TimeRange(start, times.moment(body.get("to", "now"), now))
        except ValueError as problem:
            return error(400, f"Query data error: {problem}")
        pairs: list[tuple[DataSource, Mapping[str, Any]]] = []
        for query in queries:
            if not isinstance(query, dict):
                return error(400, "bad request data")
            if query.get("hide"):
                continue
            source = self._source(query)
            if source is None:
                return error(404, "Data source not found")
            pairs.append((source, query))
        results = await asyncio.gather(*(self._one(*pair, when) for pair in pairs))
        names = (str(query.get("refId") or "A") for _, query in pairs)
        failed = any(result["status"] != 200 for result in results)
        return answer({"results": dict(zip(names, results, strict=True))}, 400 if failed else 200)

    def _source(self, query: Mapping[str, Any]) -> DataSource | None:
        named = query.get("datasource")
        if isinstance(named, dict) and named.get("uid"):
            return self._state.sources.find(uid=str(named["uid"]))
        if isinstance(named, str) and named:
            return self._state.sources.find(uid=named, name=named)
        if query.get("datasourceId"):
            return self._state.sources.find(number=query["datasourceId"])
        return self._state.sources.default()

    async def _one(
        self, source: DataSource, query: Mapping[str, Any], when: TimeRange
    ) -> dict[str, Any]:
        kind = KINDS.get(source.type)
        if kind is None:
            return {"error": "plugin unavailable", "status": 500, "frames": []}
        try:
            async with self._at_once:
                frames = await kind.run(self._state.upstream, source, query, when)
        except (UpstreamError, ValueError, TypeError) as problem:
            return {"error": str(problem), "status": 400, "frames": []}
        return {"status": 200, "frames": [frame.json() for frame in frames]}
