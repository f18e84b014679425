"""notification-sink: receives and shows what Alertmanager would send to Slack, PagerDuty and a mail server."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from html import escape
from typing import Any

from aiohttp import web

from botdemo import logs
from botdemo.control import Control
from botdemo.link import Background
from botdemo.metrics import SinkMetrics
from botdemo.notifications import mail, pagerduty, slack
from botdemo.notifications.inbox import Inbox, Message
from botdemo.roles.base import Role
from botdemo.settings import Settings
from botdemo.switches import HttpSwitches

_SHOWN = 100


class NotificationSink(Role):
    """An inbox that replaces three services; `error_ratio` makes it reject messages sent by HTTP."""

    name = "notification-sink"
    port = 8025
    log_format = logs.node
    health_paths = ("/health",)
    unfailing_paths = ("/messages", "/")

    control: Control[HttpSwitches]

    def __init__(self, settings: Settings, start: datetime) -> None:
        super().__init__(settings, start)
        self.control = Control(HttpSwitches)
        self.inbox = Inbox(SinkMetrics(self.registry))

    def simulate(self, seconds: float, activity: float) -> None:
        """Do nothing: messages arrive from outside."""

    def links(self) -> Sequence[Background]:
        """Return the SMTP server, which runs next to the web server."""
        return (mail.Server(self.inbox),)

    def mount(self, app: web.Application) -> None:
        """Add the endpoints of the three services and of the inbox."""
        app.add_routes(
            [
                web.post("/slack", self._slack),
                web.post("/v2/enqueue", self._pagerduty),
                web.get("/messages", self._messages),
                web.delete("/messages", self._clear),
                web.get("/", self._page),
            ]
        )

    async def _slack(self, request: web.Request) -> web.Response:
        body = await _object(request)
        try:
            self.inbox.put(**slack.parse(body))
        except ValueError:
            return web.Response(status=400, text="invalid_payload")
        return web.Response(text="ok")

    async def _pagerduty(self, request: web.Request) -> web.Response:
        body = await _object(request)
        try:
            self.inbox.put(**pagerduty.parse(body))
        except ValueError as error:
            answer = {"status": "invalid event", "message": "Event object is invalid"}
            return web.json_response({**answer, "errors": [str(error)]}, status=400)
        done = {"status": "success", "message": "Event processed"}
        return web.json_response({**done, "dedup_key": body.get("dedup_key", "")}, status=202)

    async def _messages(self, request: web.Request) -> web.Response:
        after = request.query.get("after", "0")
        if not after.isdecimal():
            return web.json_response({"error": "after is not the number of a message"}, status=400)
        return web.json_response([one.as_json() for one in self.inbox.after(int(after))])

    async def _clear(self, _request: web.Request) -> web.Response:
        self.inbox.clear()
        return web.json_response([])

    async def _page(self, _request: web.Request) -> web.Response:
        rows = "".join(map(_row, reversed(self.inbox.after(0)[-_SHOWN:])))
        text = (
            '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Notifications</title>'
            "<style>body{font:15px system-ui;margin:1rem}td{padding:.2rem .8rem;vertical-align:top}"
            "pre{margin:0;white-space:pre-wrap}</style></head><body><h1>Notifications</h1>"
            f"<p>What Alertmanager sent here instead of to people, the last {_SHOWN}.</p>"
            f"<table>{rows}</table></body></html>"
        )
        return web.Response(text=text, content_type="text/html")


def _row(message: Message) -> str:
    cells = (message.received, message.channel, message.target, message.status)
    shown = "".join(f"<td>{escape(cell)}</td>" for cell in cells)
    body = f"<td><b>{escape(message.title)}</b><pre>{escape(message.text)}</pre></td>"
    return f"<tr>{shown}{body}</tr>"


async def _object(request: web.Request) -> dict[str, Any]:
    """Return a body's JSON object, or an empty one if it has none."""
    try:
        body = await request.json()
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}
