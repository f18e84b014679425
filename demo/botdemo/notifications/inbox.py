"""The received messages: the last thousand, in memory."""

from __future__ import annotations

from collections import deque
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Literal, TypedDict

from botdemo.metrics import SinkMetrics

_KEPT = 1000

Channel = Literal["slack", "pagerduty", "email"]
Status = Literal["firing", "resolved"]


class Parsed(TypedDict):
    """The content of a service's message."""

    channel: Channel
    target: str
    status: Status
    title: str
    text: str


@dataclass(frozen=True)
class Message:
    """A message. `target` is where it would have gone: Slack's channel, PagerDuty's severity, a mail's recipient."""

    id: int
    received: str
    channel: Channel
    target: str
    status: Status
    title: str
    text: str

    def as_json(self) -> dict[str, object]:
        """Return the message as an entry of the list of messages."""
        return asdict(self)


class Inbox:
    """Messages by number, starting with 1."""

    def __init__(self, metrics: SinkMetrics) -> None:
        self._metrics = metrics
        self._messages: deque[Message] = deque(maxlen=_KEPT)
        self._last = 0

    def put(self, *, channel: Channel, target: str, status: Status, title: str, text: str) -> None:
        """Add a message."""
        self._last += 1
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        self._messages.append(Message(self._last, now, channel, target, status, title, text))
        self._metrics.received.labels(channel, status).inc()

    def after(self, number: int) -> list[Message]:
        """Return the messages with a higher number than this, oldest first."""
        return [one for one in self._messages if one.id > number]

    def clear(self) -> None:
        """Delete all messages; their numbers are not reused."""
        self._messages.clear()
