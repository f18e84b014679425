"""mongod's command line and the image's variables; the server."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path

from standins.mongodb import VERSION
from standins.mongodb.commands import Server
from standins.mongodb.connection import serve_connection
from standins.mongodb.users import Users
from standins.shared import flags, logs
from standins.shared.logs import fields
from standins.shared.process import ConfigError, UsageError

_FLAGS: dict[str, str | bool] = {
    "dbpath": "/data/db",
    "bind_ip": "0.0.0.0",  # noqa: S104 — a container's own network
    "bind_ip_all": False,
    "port": "27017",
    "version": False,
}

_log = logging.getLogger("standins.mongodb.network")


def main(arguments: list[str]) -> None:
    """Serve until SIGTERM. Raises ConfigError."""
    values = flags.parse([word for word in arguments if word != "mongod"], _FLAGS)
    if values["version"]:
        sys.stdout.write(f"db version v{VERSION} (stackctl stand-in)\n")
        return
    port = str(values["port"])
    if not port.isdecimal():
        raise UsageError(f"Bad digit while parsing --port {port}")
    logs.configure(logs.mongod, sys.stdout)
    folder = Path(str(values["dbpath"]))
    if not folder.is_dir():
        raise ConfigError(f"Data directory {folder} not found")
    users = Users(folder)
    login = _root(os.environ)
    if login and users.create(*login):
        _log.info("Root user created", extra=fields(user=login[0]))
    asyncio.run(_serve(Server(folder, users), str(values["bind_ip"]), int(port)))


async def _serve(server: Server, host: str, port: int) -> None:
    ending = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, ending.set)
    connections: set[asyncio.Task[None]] = set()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(serve_connection(server, reader, writer))
        connections.add(task)
        task.add_done_callback(connections.discard)

    try:
        listener = await asyncio.start_server(accept, host, port)
    except OSError as error:
        raise ConfigError(f"cannot listen on {host}:{port}: {error.strerror or error}") from None
    _log.info("Waiting for connections", extra=fields(port=port, standin=True, version=VERSION))
    await ending.wait()
    listener.close()
    for task in connections:
        task.cancel()
    await asyncio.gather(*connections, return_exceptions=True)
    _log.info("Shutting down")


def _root(environment: Mapping[str, str]) -> tuple[str, str] | None:
    """Return name and password of the first user, as the image's entry point does; None without authentication."""
    values = {}
    for name in ("MONGO_INITDB_ROOT_USERNAME", "MONGO_INITDB_ROOT_PASSWORD"):
        values[name] = environment.get(name, "")
        file = environment.get(f"{name}_FILE", "")
        if values[name] and file:
            raise ConfigError(f"{name} and {name}_FILE are set, but are exclusive")
        if file:
            try:
                values[name] = Path(file).read_text().rstrip("\n")
            except (OSError, UnicodeDecodeError) as error:
                raise ConfigError(f"{name}_FILE: cannot read {file}: {error}") from None
    user, password = values.values()
    if bool(user) != bool(password):
        raise ConfigError("both MONGO_INITDB_ROOT_USERNAME and …_PASSWORD must be set, or none")
    return (user, password) if user else None
