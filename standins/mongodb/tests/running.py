"""A MongoDB stand-in that runs in a thread, and the real driver as its client."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Iterator
from typing import Any

from pymongo import MongoClient

from standins.mongodb.commands import Server
from standins.mongodb.connection import serve_connection

PASSWORD = "p@ss:word"

Mongo = MongoClient[dict[str, Any]]


@contextlib.contextmanager
def serving(server: Server, port: int = 0) -> Iterator[int]:
    """Serve in a thread, because the driver blocks, and yield the port; any that is free for 0."""
    loop = asyncio.new_event_loop()
    bound: list[asyncio.Server] = []
    ready = threading.Event()

    async def run() -> None:
        bound.append(
            await asyncio.start_server(
                lambda reader, writer: serve_connection(server, reader, writer),
                "127.0.0.1",
                port,
            )
        )
        ready.set()

    thread = threading.Thread(target=lambda: (loop.create_task(run()), loop.run_forever()))
    thread.start()
    assert ready.wait(5)
    try:
        yield bound[0].sockets[0].getsockname()[1]
    finally:

        async def end() -> None:
            bound[0].close()
            others = asyncio.all_tasks() - {asyncio.current_task()}
            for task in others:
                task.cancel()
            await asyncio.gather(*others, return_exceptions=True)
            loop.stop()

        asyncio.run_coroutine_threadsafe(end(), loop)
        thread.join(5)
        loop.close()


@contextlib.contextmanager
def client(port: int, password: str | None = PASSWORD) -> Iterator[Mongo]:
    login = {} if password is None else {"username": "stackctl", "password": password}
    with MongoClient[dict[str, Any]](
        "127.0.0.1", port, directConnection=True, serverSelectionTimeoutMS=2000, **login
    ) as one:
        yield one
