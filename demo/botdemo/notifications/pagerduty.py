"""PagerDuty's Events API v2 (developer.pagerduty.com/docs/events-api-v2/trigger-events). Its key is not kept."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from botdemo.notifications.inbox import Parsed

_STATUS = {"trigger": "firing", "resolve": "resolved"}


def parse(body: Mapping[str, Any]) -> Parsed:
    """Parse an event. Raises ValueError, with the problem, for an event that PagerDuty would reject."""
    if not body.get("routing_key"):
        raise ValueError("'routing_key' is missing or blank")
    status = _STATUS.get(str(body.get("event_action")))
    if status is None:
        raise ValueError("'event_action' is none of trigger, resolve")
    payload = body.get("payload")
    if not isinstance(payload, dict) or not payload.get("summary"):
        raise ValueError("'payload.summary' is missing or blank")
    details = payload.get("custom_details")
    lines = (
        [f"{name}: {value}" for name, value in details.items()] if isinstance(details, dict) else []
    )
    return Parsed(
        channel="pagerduty",
        target=str(payload.get("severity", "")),
        status="firing" if status == "firing" else "resolved",
        title=str(payload["summary"]),
        text="\n".join(lines),
    )
