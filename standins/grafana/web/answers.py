"""The shapes of answers that are no page: JSON, and errors as Grafana words them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from aiohttp import web


def answer(content: Any, status: int = 200) -> web.Response:
    """Answer with JSON."""
    text = json.dumps(content, ensure_ascii=False)
    return web.Response(text=text, status=status, content_type="application/json")


def error(status: int, message: str, message_id: str = "", **more: Any) -> web.Response:
    """Answer with an error. With an id it has the longer shape of the errors that Grafana knows by one."""
    content: dict[str, Any] = {"message": message} | more
    if message_id:
        content |= {"messageId": message_id, "statusCode": status, "traceID": ""}
    return answer(content, status)


async def read_json(request: web.Request) -> Mapping[str, Any] | None:
    """Give the JSON object of a body, or None where there is none."""
    try:
        content = json.loads(await request.read())
    except (ValueError, RecursionError):
        return None
    return content if isinstance(content, dict) else None


def whole(text: str, default: int) -> int:
    """Read a number of a query string as Grafana does: the default for one that is none."""
    return int(text) if text.isdecimal() and len(text) < 16 else default
