"""The server around a role: its endpoints, its clock, and a shutdown within a second of SIGTERM."""

from __future__ import annotations

import asyncio
import logging
import signal
import time
from collections.abc import Awaitable, Callable
from contextvars import ContextVar

from aiohttp import web

from botdemo import logs
from botdemo.control import InvalidSwitchError
from botdemo.roles.base import Role

CONTROL_PATH = "/demo/control"

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_STEP_SECONDS = 0.5
_SHUTDOWN_SECONDS = 0.3
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})

_started: ContextVar[float] = ContextVar("started")
"""The start of the request that this task handles, by `time.perf_counter`."""

log = logging.getLogger("botdemo.http")


class Server:
    """The endpoints that every role has, and the handling of each request."""

    def __init__(self, role: Role) -> None:
        self._role = role
        self._exempt = {
            *role.health_paths,
            *role.unfailing_paths,
            role.metrics_path,
            CONTROL_PATH,
            "/ws",
        }

    def application(self) -> web.Application:
        """Return the role's web application."""
        role = self._role
        app = web.Application(middlewares=[self._faults])
        app.on_response_prepare.append(self._answered)
        app.add_routes(
            [
                *(web.get(path, self._health) for path in role.health_paths),
                web.get(role.metrics_path, self._metrics),
                web.get(CONTROL_PATH, self._show_switches),
                web.put(CONTROL_PATH, self._set_switches),
                web.delete(CONTROL_PATH, self._reset_switches),
            ]
        )
        role.mount(app)
        return app

    @web.middleware
    async def _faults(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        _started.set(time.perf_counter())
        switches = self._role.switches
        if _endpoint(request) not in self._exempt:
            await asyncio.sleep(switches.latency_seconds)
            if self._role.rng.random() < switches.error_ratio:
                log.error("%s %s failed: internal error", request.method, request.path_qs)
                return web.json_response({"error": "internal error"}, status=500)
        return await handler(request)

    async def _answered(self, request: web.Request, response: web.StreamResponse) -> None:
        if request.path == self._role.metrics_path:
            # Only here: aiohttp has added a Content-Type to a response without one by now.
            response.headers.popall("Content-Type", None)
            if self._role.content_type is not None:
                response.headers["Content-Type"] = self._role.content_type
        took = time.perf_counter() - _started.get()
        if self._role.http:
            method = request.method if request.method in _METHODS else "OTHER"
            self._role.http.observe(method, _endpoint(request), response.status, took)
        logs.request_line(log, request.method, request.path_qs, response.status, took)

    async def _health(self, request: web.Request) -> web.Response:
        if self._role.switches.unhealthy:
            answer = {"status": "unhealthy", "service": self._role.name}
            return web.json_response(answer, status=503)
        return web.json_response(self._role.health())

    async def _metrics(self, request: web.Request) -> web.Response:
        return web.Response(body=self._role.exposition())

    async def _show_switches(self, request: web.Request) -> web.Response:
        control = self._role.control
        return web.json_response(
            control.describe() if "help" in request.query else control.values()
        )

    async def _set_switches(self, request: web.Request) -> web.Response:
        try:
            changes = await request.json()
            if not isinstance(changes, dict):
                raise InvalidSwitchError("expected a JSON object of switches and their values")
            self._role.control.update(changes)
        except ValueError as error:
            return web.json_response({"error": str(error)}, status=400)
        log.warning("demo switches set: %s", changes)
        return self._refreshed()

    async def _reset_switches(self, request: web.Request) -> web.Response:
        self._role.control.reset()
        log.warning("demo switches reset")
        return self._refreshed()

    def _refreshed(self) -> web.Response:
        self._role.advance(0.0)
        return web.json_response(self._role.control.values())


async def serve(role: Role) -> None:
    """Serve a role on its port, with its clock and its links running, until SIGTERM or SIGINT."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)

    role.advance(0.0)
    runner = web.AppRunner(
        Server(role).application(), access_log=None, shutdown_timeout=_SHUTDOWN_SECONDS
    )
    await runner.setup()
    await web.TCPSite(runner, port=role.port).start()
    log.info("%s listens on port %d", role.name, role.port)
    try:
        async with asyncio.TaskGroup() as background:
            tasks = [background.create_task(link.run()) for link in role.links()]
            tasks.append(background.create_task(_clock(role)))
            await stop.wait()
            for task in tasks:
                task.cancel()
    finally:
        await runner.cleanup()
    log.info("%s stopped", role.name)


async def _clock(role: Role) -> None:
    """Advance a role by the wall clock, so that its days begin at midnight."""
    last = time.time()
    while True:
        await asyncio.sleep(_STEP_SECONDS)
        now = time.time()
        role.advance(max(0.0, now - last))
        last = now


def _endpoint(request: web.Request) -> str:
    """Return the template of the route that a request matched; unknown paths share one name."""
    resource = request.match_info.route.resource
    return resource.canonical if resource else "unmatched"
