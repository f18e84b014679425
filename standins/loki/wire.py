"""Reads the pushes of log agents: a PushRequest in protocol buffers, compressed with Snappy.

Of a stream the message has field 1, its labels as text, and 2, its entries; of an entry 1, a Timestamp (1 seconds,
2 nanoseconds), 2, the line, and 3, structured metadata. The request has field 1, the streams (Loki 2.9,
pkg/push/push.proto; https://protobuf.dev/programming-guides/encoding/; Snappy's format_description.txt).

The reader is our own: generated code is tied to a release of the library, and Debian's is not the tests' one.
"""

from __future__ import annotations

from collections.abc import Iterator

import snappy  # type: ignore[import-untyped]

from standins.shared.units import NANOSECONDS

PushedStream = tuple[str, list[tuple[int, str, bool]]]
"""Labels as text, and the entries: nanoseconds since 1970, the line, whether it has metadata."""


def push_request(body: bytes, limit: int) -> list[PushedStream]:
    """Return the streams of a request. Raises ValueError if it is invalid or exceeds `limit` bytes decompressed."""
    return [_stream(value) for number, value in _messages(_unpacked(body, limit)) if number == 1]


def _unpacked(body: bytes, limit: int) -> bytes:
    try:
        size, _ = _varint(body, 0)
        if size > limit:
            raise ValueError(f"snappy: {size} bytes are more than the limit of {limit}")
        unpacked: bytes = snappy.uncompress(body)
    except (IndexError, snappy.UncompressError):
        raise ValueError("snappy: corrupt input") from None
    return unpacked


def _stream(message: bytes) -> PushedStream:
    labels, entries = "", []
    for number, value in _messages(message):
        if number == 1:
            labels = value.decode(errors="replace")
        elif number == 2:
            entries.append(_entry(value))
    return labels, entries


def _entry(message: bytes) -> tuple[int, str, bool]:
    time, line, metadata = 0, "", False
    for number, value in _messages(message):
        if number == 1:
            parts = dict(_fields(value))
            time = _signed(parts.get(1, 0)) * NANOSECONDS + _signed(parts.get(2, 0))
        elif number == 2:
            # An agent that truncated a line may have split a character.
            line = value.decode(errors="replace")
        elif number == 3:
            metadata = True
    return time, line, metadata


def _messages(message: bytes) -> Iterator[tuple[int, bytes]]:
    return ((number, value) for number, value in _fields(message) if isinstance(value, bytes))


def _fields(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Yield a message's fields by number. Raises ValueError for an invalid message."""
    at = 0
    try:
        while at < len(message):
            key, at = _varint(message, at)
            number, kind = key >> 3, key & 7
            if kind == 0:
                value, at = _varint(message, at)
                yield number, value
                continue
            if kind == 2:
                length, at = _varint(message, at)
            elif kind in {1, 5}:
                length = 8 if kind == 1 else 4
            else:
                raise ValueError(f"proto: illegal wireType {kind}")
            if at + length > len(message):
                raise ValueError("unexpected EOF")
            yield number, message[at : at + length]
            at += length
    except IndexError:
        raise ValueError("unexpected EOF") from None


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """Read a varint (seven bits per byte, low ones first), and return it with the position after it."""
    value = 0
    for shift in range(0, 70, 7):
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise ValueError("proto: integer overflow")


def _signed(value: int | bytes) -> int:
    if isinstance(value, bytes):
        raise ValueError("proto: wrong wireType for field Timestamp")
    return value - (1 << 64) if value >= 1 << 63 else value
