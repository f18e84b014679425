"""Loki's HTTP API over the store."""

from __future__ import annotations

import asyncio
import functools
import json
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import yaml
from aiohttp import web
from multidict import MultiDict
from prometheus_client import CollectorRegistry, Gauge

from standins.loki import VERSION, ruler, rules
from standins.loki.config import Config
from standins.loki.evaluate import QueryError
from standins.loki.ingest import MAX_REQUEST, Ingester, PushError
from standins.loki.query import (
    Prepared,
    QueryTimeoutError,
    Request,
    bounds,
    instant_request,
    range_request,
)
from standins.loki.store import Store
from standins.shared import metrics, server
from standins.shared.labels import LabelSet
from standins.shared.logql.lexer import ParseError
from standins.shared.logql.parser import parse_matchers
from standins.shared.logs import fields
from standins.shared.units import NANOSECONDS

# A protobuf body is always compressed with Snappy, whatever its header says.
_ENCODINGS = {"", "identity", "gzip", "deflate", "snappy"}
_QUERIES_AT_ONCE = 4
_SEAL_EVERY = 5.0

_log = logging.getLogger("standins.loki.api")


def application(
    config: Config, store: Store, groups: Sequence[ruler.Group] = ()
) -> web.Application:
    """Return the application of an open store; it seals and expires segments and evaluates rules while it runs."""
    registry = metrics.registry("loki", VERSION)
    app = server.application(
        registry,
        duration_metric="loki_request_duration_seconds",
        max_body=MAX_REQUEST,
        timeout=config.limits.query_timeout / NANOSECONDS + 5,
    )
    served = _Api(config, store, registry, groups)
    served.register(app)
    server.background(app, lambda: _maintain(config, store))
    for group in groups:
        server.background(app, functools.partial(ruler.run, group, config.ruler, served.vector))
    return app


async def _maintain(config: Config, store: Store) -> None:
    expire_at = time.monotonic()
    while True:
        while full := store.full():
            store.replace(full, await asyncio.to_thread(full.seal))
            _log.debug("sealed a segment", extra=fields(segment=full.path.name))
        if time.monotonic() >= expire_at:
            expire_at += config.compaction_interval / NANOSECONDS
            if expired := store.expire(time.time_ns()):
                _log.info("deleted expired segments", extra=fields(segments=expired))
        await asyncio.sleep(_SEAL_EVERY)


class _Api:
    def __init__(
        self,
        config: Config,
        store: Store,
        registry: CollectorRegistry,
        groups: Sequence[ruler.Group],
    ) -> None:
        self._groups = groups
        self._config = config
        self._store = store
        self._ingester = Ingester(store, config.limits, registry, time.time_ns)
        self._slots = asyncio.Semaphore(_QUERIES_AT_ONCE)
        gauges: tuple[tuple[str, str, Callable[[], float]], ...] = (
            ("ingester_memory_streams", "Streams written to.", lambda: store.active_streams),
            ("standin_stored_lines", "Lines in all segments.", lambda: store.lines),
            ("standin_segments", "Segment files.", lambda: store.segments),
        )
        for name, text, read in gauges:
            Gauge(f"loki_{name}", text, registry=registry).set_function(read)

    def register(self, app: web.Application) -> None:
        add = app.router.add_route
        add("GET", "/ready", _text("ready\n"))
        add("GET", "/services", _text("server => Running\nstandin => Running\n"))
        add("GET", "/config", self._show_config)
        add("GET", "/loki/api/v1/status/buildinfo", _build_info)
        add("GET", "/loki/api/v1/rules", self._rules)
        add("GET", "/prometheus/api/v1/rules", self._evaluated)
        add("GET", "/prometheus/api/v1/alerts", self._alerts)
        add("POST", "/loki/api/v1/push", self._push)
        reads: Mapping[str, Callable[[Mapping[str, str], web.Request], Awaitable[Any]]] = {
            "query": self._query,
            "query_range": self._query_range,
            "label": self._labels,
            "labels": self._labels,
            "label/{name}/values": self._values,
            "series": self._series,
        }
        for path, handler in reads.items():
            for method in ("GET", "POST"):
                add(method, f"/loki/api/v1/{path}", _answering(handler))

    async def _push(self, request: web.Request) -> web.Response:
        # aiohttp's content_type has a default for a missing header, in which case Loki expects protobuf.
        content_type = request.headers.get("Content-Type", "").partition(";")[0].strip().lower()
        try:
            self._ingester.push(await _body(request), content_type)
        except PushError as error:
            _log.warning("push refused", extra=fields(status=error.status, err=error))
            return web.Response(status=error.status, text=f"{error}\n")
        return web.Response(status=204)

    async def _query(self, form: Mapping[str, str], _request: web.Request) -> Any:
        return await self._run(instant_request(form, time.time_ns()))

    async def _query_range(self, form: Mapping[str, str], _request: web.Request) -> Any:
        return await self._run(range_request(form, time.time_ns()))

    async def vector(self, expression: str, at: int) -> ruler.Vector:
        """Evaluate an expression at a time in nanoseconds. Raises the errors of a query."""
        request = instant_request({"query": expression, "time": str(at)}, at)
        vector: ruler.Vector = (await self._run(request))["result"]
        return vector

    async def _run(self, request: Request) -> Any:
        async with self._slots:
            prepared = Prepared(request, self._store, self._config.limits, self._config.align_steps)
            try:
                return await asyncio.to_thread(prepared.run)
            finally:
                prepared.cancel()

    async def _labels(self, form: Mapping[str, str], _request: web.Request) -> Any:
        return sorted({name for labels in self._sets(form) for name, _ in labels}) or None

    async def _values(self, form: Mapping[str, str], request: web.Request) -> Any:
        wanted = request.match_info["name"]
        sets = self._sets(form)
        return (
            sorted({value for labels in sets for name, value in labels if name == wanted}) or None
        )

    async def _series(self, form: Mapping[str, str], request: web.Request) -> Any:
        selectors = [*_all(form, "match[]"), *_all(form, "match")]
        sets = set[LabelSet]()
        for selector in selectors or ["{}"]:
            sets |= self._sets({**form, "query": selector})
        return [dict(labels) for labels in sorted(sets)]

    def _sets(self, form: Mapping[str, str]) -> set[LabelSet]:
        times = bounds(form, time.time_ns())
        query = form.get("query", "").strip()
        matchers = parse_matchers(query) if query and query != "{}" else ()
        return self._store.label_sets(matchers, times.start, times.end)

    async def _rules(self, _request: web.Request) -> web.Response:
        try:
            groups = rules.groups(self._config.ruler.folder)
        except (OSError, ValueError) as error:
            return web.Response(status=500, text=f"{error}\n")
        if not groups:
            return web.Response(status=404, text="no rule groups found\n")
        return _yaml(groups)

    async def _evaluated(self, _request: web.Request) -> web.Response:
        return _prometheus({"groups": [group.state() for group in self._groups]})

    async def _alerts(self, _request: web.Request) -> web.Response:
        rules_of = (rule for group in self._groups for rule in group.rules)
        return _prometheus({"alerts": [alert for rule in rules_of for alert in rule.alerts()]})

    async def _show_config(self, _request: web.Request) -> web.Response:
        return _yaml(self._config.document)


async def _body(request: web.Request) -> bytes:
    """Return the body as aiohttp decompresses it, with a limit on the result. Raises PushError."""
    encoding = request.headers.get("Content-Encoding", "").strip().lower()
    if encoding not in _ENCODINGS:
        raise PushError(400, f'Content-Encoding "{encoding}" not supported')
    try:
        return await request.read()
    except web.RequestPayloadError:
        raise PushError(400, f"{encoding}: invalid header") from None


def _answering(
    handler: Callable[[Mapping[str, str], web.Request], Awaitable[Any]],
) -> server.Handler:
    """Read the parameters from the address and a form, and return the data or the error as Loki does."""

    async def handle(request: web.Request) -> web.StreamResponse:
        form = MultiDict(request.query)
        if request.method == "POST":
            posted = await request.post()
            form.extend({name: value for name, value in posted.items() if isinstance(value, str)})
        try:
            data = await handler(form, request)
        except (ParseError, QueryError, ValueError) as error:
            return web.Response(status=400, text=f"{error}\n")
        except QueryTimeoutError as error:
            return web.Response(status=504, text=f"{error}\n")
        answer: dict[str, Any] = {"status": "success"}
        if data is not None:
            answer["data"] = data
        return web.json_response(answer, dumps=_dumps)

    return handle


def _all(form: Mapping[str, str], name: str) -> list[str]:
    getall = getattr(form, "getall", None)
    return list(getall(name, [])) if getall else []


def _dumps(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def _text(text: str) -> server.Handler:
    async def handle(_request: web.Request) -> web.StreamResponse:
        return web.Response(text=text)

    return handle


def _prometheus(data: Any) -> web.Response:
    answer = {"status": "success", "data": data, "errorType": "", "error": ""}
    return web.json_response(answer, dumps=_dumps)


def _yaml(document: Any) -> web.Response:
    text = yaml.safe_dump(document, sort_keys=False, allow_unicode=True)
    return web.Response(text=text, content_type="application/yaml")


async def _build_info(_request: web.Request) -> web.Response:
    return web.json_response(
        {
            "version": VERSION,
            "revision": "stand-in",
            "branch": "stand-in",
            "buildDate": "",
            "buildUser": "stackctl",
            "goVersion": "",
            "edition": "stackctl stand-in",
        }
    )
