"""The HTTP API of the demo's notification-sink (demo/README.md)."""

from __future__ import annotations

from typing import Literal

from stackctl.clients.base import HttpClient
from stackctl.clients.models import CamelModel


class Message(CamelModel):
    """A notification that Alertmanager sent.

    `channel` is the key of a notification channel; `target` is Slack's channel, PagerDuty's severity or an e-mail's
    recipients.
    """

    id: int
    channel: str
    target: str
    status: Literal["firing", "resolved"]
    title: str
    text: str


class SinkClient(HttpClient):
    """A client for the sink. Every method raises ServiceError if it does not respond as documented."""

    service = "notification-sink"

    async def messages(self, *, after: int = 0) -> list[Message]:
        """Return the messages with a higher number than `after`, oldest first."""
        return await self._json(list[Message], "GET", "/messages", params={"after": str(after)})

    async def last(self) -> int:
        """Return the number of the newest message; 0 if there is none."""
        return max((one.id for one in await self.messages()), default=0)
