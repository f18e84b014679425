"""Responses other than pages: JSON, and errors in Grafana's words."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from aiohttp import web


def answer(content: Any, status: int = 200) -> web.Response:
    """Return a JSON response."""
    text = json.dumps(content, ensure_ascii=False)
    return web.Response(text=text, status=status, content_type="application/json")


def error(status: int, message: str, message_id: str = "", **more: Any) -> web.Response:
    """Return an error response; with an id, in the longer form of Grafana's numbered errors."""
    content: dict[str, Any] = {"message": message} | more
    if message_id:
        content |= {"messageId": message_id, "statusCode": status, "traceID": ""}
    return answer(content, status)


async def read_json(request: web.Request) -> Mapping[str, Any] | None:
    """Return a body's JSON object, or None if it has none."""
    try:
        content = json.loads(await request.read())
    except (ValueError, RecursionError):
        return None
    return content if isinstance(content, dict) else None


def whole(text: str, default: int) -> int:
    """Read a number from a query string as Grafana does: the default if it is not a number."""
    return int(text) if text.isdecimal() and len(text) < 16 else default
