"""One client's connection: its messages in order, and its user."""

from __future__ import annotations

import asyncio
import logging

from standins.mongodb import wire
from standins.mongodb.commands import Server, Session
from standins.shared.logs import fields

_IDLE = 600.0
"""Seconds without a message after which a connection is closed."""

_log = logging.getLogger("standins.mongodb.network")


async def serve_connection(
    server: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    """Serve until the client disconnects, sends an invalid message, or is silent for ten minutes."""
    peer = writer.get_extra_info("peername")
    remote = f"{peer[0]}:{peer[1]}" if peer else "unknown"
    session = Session(remote)
    server.opened()
    try:
        while True:
            async with asyncio.timeout(_IDLE):
                message = await wire.read(reader)
            if message is None:
                return
            # A login computes hashes for some milliseconds; nothing else here takes long.
            answer = server.run(message.body, session)
            if message.silent:
                continue
            data = wire.write(message, answer)
            server.count(len(data))
            writer.write(data)
            await writer.drain()
    except (wire.ProtocolError, ConnectionError, TimeoutError) as error:
        _log.warning(
            "Connection ended", extra=fields(remote=remote, error=error or type(error).__name__)
        )
    finally:
        server.closed()
        writer.close()
