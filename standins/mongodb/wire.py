"""Messages on the wire: OP_MSG, and OP_QUERY for a driver's first hello.

mongodb.com/docs/manual/reference/mongodb-wire-protocol
"""

from __future__ import annotations

import asyncio
import struct
from dataclasses import dataclass
from typing import Any

import bson
from bson.errors import BSONError

MAX_MESSAGE = 48_000_000
"""Bytes; a server's maxMessageSizeBytes."""

_HEADER = struct.Struct("<iiii")  # length, request id, response to, operation
_OP_REPLY, _OP_QUERY, _OP_MSG = 1, 2004, 2013
_CHECKSUM_PRESENT, _MORE_TO_COME = 1, 2
_DOCUMENT, _SEQUENCE = 0, 1


class ProtocolError(Exception):
    """A message that this server does not understand."""


@dataclass(frozen=True)
class Message:
    """A command with its name as the first key. `silent` is set if the client wants no response."""

    request_id: int
    body: dict[str, Any]
    legacy: bool
    silent: bool = False


async def read(reader: asyncio.StreamReader) -> Message | None:
    """Read the next message; None at the end of the connection. Raises ProtocolError."""
    try:
        length, request_id, _, operation = _HEADER.unpack(await reader.readexactly(_HEADER.size))
        if not _HEADER.size < length <= MAX_MESSAGE:
            raise ProtocolError(f"a message of {length} bytes")
        body = await reader.readexactly(length - _HEADER.size)
    except asyncio.IncompleteReadError:
        return None
    try:
        if operation == _OP_MSG:
            return _modern(request_id, body)
        if operation == _OP_QUERY:
            return _legacy(request_id, body)
    except (BSONError, struct.error, IndexError, ValueError) as error:
        raise ProtocolError(f"a message that cannot be decoded: {error}") from None
    raise ProtocolError(f"operation {operation} is not supported")


def write(message: Message, answer: dict[str, Any]) -> bytes:
    """Return the response to a message as bytes."""
    document = bson.encode(answer)
    if message.legacy:
        # Flags: awaitCapable; then cursor, first document and their number.
        body = struct.pack("<iqii", 8, 0, 0, 1) + document
        operation = _OP_REPLY
    else:
        body = struct.pack("<IB", 0, _DOCUMENT) + document
        operation = _OP_MSG
    return _HEADER.pack(_HEADER.size + len(body), 0, message.request_id, operation) + body


def _modern(request_id: int, body: bytes) -> Message:
    (flags,) = struct.unpack_from("<I", body)
    end = len(body) - (4 if flags & _CHECKSUM_PRESENT else 0)
    position, command = 4, {}
    sequences: dict[str, list[dict[str, Any]]] = {}
    while position < end:
        kind = body[position]
        (size,) = struct.unpack_from("<i", body, position + 1)
        section = body[position + 1 : position + 1 + size]
        if size < 5 or len(section) != size:
            raise ValueError("a section is cut off")
        if kind == _DOCUMENT:
            command = bson.decode(section)
        elif kind == _SEQUENCE:
            name_end = section.index(b"\0", 4)
            sequences[section[4:name_end].decode()] = bson.decode_all(section[name_end + 1 :])
        else:
            raise ValueError(f"a section of kind {kind}")
        position += 1 + size
    if not command:
        raise ValueError("no command")
    return Message(request_id, {**command, **sequences}, False, bool(flags & _MORE_TO_COME))


def _legacy(request_id: int, body: bytes) -> Message:
    name_end = body.index(b"\0", 4)
    document = name_end + 1 + 8
    (size,) = struct.unpack_from("<i", body, document)
    command = bson.decode(body[document : document + size])
    command.setdefault("$db", body[4:name_end].decode().partition(".")[0])
    return Message(request_id, command, True)
