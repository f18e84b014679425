"""The web server of the stand-ins: limited bodies and times, request metrics, a shutdown within a second."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable

from aiohttp import web
from prometheus_client import CollectorRegistry, Histogram

from standins.shared import metrics
from standins.shared.process import ConfigError

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_log = logging.getLogger("standins.web")
_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 25.0)


def application(
    registry: CollectorRegistry,
    *,
    duration_metric: str | None,
    max_body: int,
    timeout: float,
    more: Callable[[web.Request], Awaitable[str]] | None = None,
) -> web.Application:
    """Return an application that serves /metrics and counts its requests in the histogram `duration_metric`, if any.

    `more` returns a scrape's own part of the exposition, which follows the registry's. A body over `max_body` bytes is
    rejected with 413, a request that takes over `timeout` seconds with 504.
    """
    histogram = duration_metric and Histogram(
        duration_metric,
        "Seconds that requests took.",
        ["method", "route", "status_code"],
        buckets=_BUCKETS,
        registry=registry,
    )

    @web.middleware
    async def measure(request: web.Request, handler: Handler) -> web.StreamResponse:
        began = time.monotonic()
        status = 500
        try:
            async with asyncio.timeout(None if _is_websocket(request) else timeout):
                response = await handler(request)
            status = response.status
        except web.HTTPException as answer:
            status = answer.status
            raise
        except TimeoutError:
            status = 504
            return web.Response(status=504, text="request timed out\n")
        finally:
            route = request.match_info.route.resource
            labels = (request.method, route.canonical if route else "other", str(status))
            if histogram:
                histogram.labels(*labels).observe(time.monotonic() - began)
        return response

    app = web.Application(client_max_size=max_body, middlewares=[measure])

    async def expose(request: web.Request) -> web.Response:
        own = (await more(request)).encode() if more else b""
        body = metrics.render(registry) + own
        return web.Response(body=body, headers={"Content-Type": metrics.CONTENT_TYPE})

    app.router.add_get("/metrics", expose)
    return app


def background(app: web.Application, work: Callable[[], Awaitable[None]]) -> None:
    """Run `work` next to the server, from its start to its end. If it fails, the process ends."""

    async def context(_app: web.Application) -> AsyncIterator[None]:
        task = asyncio.ensure_future(work())
        task.add_done_callback(_end_on_failure)
        yield
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    app.cleanup_ctx.append(context)


def serve(app: web.Application, host: str, port: int) -> None:
    """Serve until SIGTERM or SIGINT. Raises ConfigError if the address cannot be listened on."""
    try:
        web.run_app(
            app,
            host=host,
            port=port,
            print=None,
            access_log=None,
            shutdown_timeout=0.3,
            handler_cancellation=True,
        )
    except OSError as error:
        raise ConfigError(f"cannot listen on {host}:{port}: {error.strerror or error}") from None


def _is_websocket(request: web.Request) -> bool:
    return request.headers.get("Upgrade", "").lower() == "websocket"


def _end_on_failure(task: asyncio.Future[None]) -> None:
    if task.cancelled():
        return
    error = task.exception()
    if error is not None:
        _log.error("background work failed, ending", exc_info=error)
        asyncio.get_running_loop().call_soon(_raise_exit)


def _raise_exit() -> None:
    raise SystemExit(1)
