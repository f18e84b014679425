"""Splits the log stream of the Docker Engine into messages.

Without a terminal, the engine sends frames: a byte for the stream (1 stdout, 2 stderr), three zeros, the length in
four bytes, big end first, then so many bytes (Engine API, "ContainerAttach", stream format). With one, it sends the
bytes as they are. A frame is one log message; a line over 16 KiB is split into several. Only the last of them ends with
a line feed, and each begins with its own time. As in Promtail 2.9, the times of all but the first stay in the line.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from standins.shared import units

_HEADER = struct.Struct(">BxxxI")
_STREAMS = {1: "stdout", 2: "stderr"}
_MAX_FRAME = 4 << 20
_MAX_LINE = 1 << 20


class ProtocolError(Exception):
    """The engine sends something other than a log stream."""


@dataclass(frozen=True, slots=True)
class Message:
    """A line with its stream and the time, in nanoseconds since 1970, at which the engine received it."""

    stream: str
    time: int
    line: str


class Demultiplexer:
    """Collects chunks of any size and returns the messages that are complete.

    `errors` counts the lines without a time, which are skipped.
    """

    def __init__(self, *, terminal: bool) -> None:
        self._terminal = terminal
        self._rest = bytearray()
        self._partial: dict[str, bytes] = {}
        self.errors = 0

    def feed(self, chunk: bytes) -> Iterator[Message]:
        """Return the messages that a chunk completes. Raises ProtocolError."""
        self._rest += chunk
        records = self._lines() if self._terminal else self._frames()
        for stream, content in records:
            message = self._message(stream, content)
            if message is not None:
                yield message

    def _frames(self) -> Iterator[tuple[str, bytes]]:
        at = 0
        try:
            while len(self._rest) - at >= _HEADER.size:
                number, length = _HEADER.unpack_from(self._rest, at)
                if number not in _STREAMS or length > _MAX_FRAME:
                    raise ProtocolError("not a frame of a log stream")
                end = at + _HEADER.size + length
                if len(self._rest) < end:
                    break
                content = bytes(self._rest[at + _HEADER.size : end])
                at = end
                yield _STREAMS[number], content
        finally:
            del self._rest[:at]

    def _lines(self) -> Iterator[tuple[str, bytes]]:
        *whole, last = bytes(self._rest).split(b"\n")
        self._rest = bytearray(last[-_MAX_LINE:])
        for line in whole:
            yield "stdout", line.rstrip(b"\r") + b"\n"

    def _message(self, stream: str, content: bytes) -> Message | None:
        began = self._partial.pop(stream, b"")
        content = began + content
        if not content.endswith(b"\n") and len(content) < _MAX_LINE:
            self._partial[stream] = content
            return None
        stamp, _, text = content.partition(b" ")
        try:
            time = units.rfc3339(stamp.decode("ascii"))
        except (ValueError, UnicodeDecodeError):
            self.errors += 1
            return None
        return Message(stream, time, text.rstrip(b"\r\n").decode(errors="replace"))
