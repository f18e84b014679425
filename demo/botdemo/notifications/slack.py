"""Slack's incoming webhooks (api.slack.com/messaging/webhooks), as Alertmanager uses them: one attachment."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from botdemo.notifications.inbox import Parsed


def parse(body: Mapping[str, Any]) -> Parsed:
    """Parse a message. Raises ValueError if it has no attachment."""
    attachments = body.get("attachments")
    if not isinstance(attachments, list) or not attachments or not isinstance(attachments[0], dict):
        raise ValueError("no attachment")
    first = attachments[0]
    return Parsed(
        channel="slack",
        target=str(body.get("channel", "")),
        status="resolved" if first.get("color") == "good" else "firing",
        title=str(first.get("title", "")),
        text=str(first.get("text", "")),
    )
