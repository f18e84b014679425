"""The commands: handshake, login, and mongod's status (mongodb.com/docs/v7.0/reference/command).

They include all that mongodb_exporter calls; it panics if currentOp is denied (0.40, `exporter/` at that tag).
"""

from __future__ import annotations

import logging
import os
import platform
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bson import Int64

from standins.mongodb import VERSION
from standins.mongodb.scram import AuthenticationError, Conversation
from standins.mongodb.users import Users
from standins.mongodb.wire import MAX_MESSAGE
from standins.shared.logs import fields

_MAX_CONNECTIONS = 1000
_MAX_DOCUMENT = 16 << 20
_WIRE_VERSION = 21  # MongoDB 7.0
_MECHANISM = "SCRAM-SHA-256"
_FREE_STORAGE = ("freeStorageSize", "indexFreeStorageSize", "totalFreeStorageSize")

_log = logging.getLogger("standins.mongodb.access")

Document = dict[str, Any]


class CommandError(Exception):
    """A failed command, with the number and name of MongoDB's error."""

    def __init__(self, message: str, code: int, name: str) -> None:
        super().__init__(message)
        self.code, self.name = code, name


@dataclass
class Session:
    """A connection, and the user that it is logged in as; empty before the login."""

    remote: str
    user: str = ""
    login: Conversation | None = None


class Server:
    """The state that all connections share: the users, and the counters of serverStatus."""

    def __init__(self, folder: Path, users: Users) -> None:
        self._folder = folder
        self._users = users
        self._began = time.monotonic()
        self._current = self._created = 0
        self._requests = self._bytes_out = 0
        self._commands = self._failed_logins = 0

    def opened(self) -> None:
        """Count a connection."""
        self._current += 1
        self._created += 1

    def closed(self) -> None:
        """Count the end of a connection."""
        self._current -= 1

    def count(self, size: int) -> None:
        """Count a response of this many bytes."""
        self._bytes_out += size

    def run(self, command: Mapping[str, Any], session: Session) -> Document:
        """Return the response to a command, whose name is its first key; an error is a response as well."""
        self._requests += 1
        name = next(iter(command))
        known = _COMMANDS.get(name.lower())
        try:
            if known is None:
                raise CommandError(f"no such command: '{name}'", 59, "CommandNotFound")
            if self._users.any and not session.user and not known.open:
                raise CommandError(f"Command {name} requires authentication", 13, "Unauthorized")
            self._commands += 1
            return {**known.run(self, command, session), "ok": 1.0}
        except CommandError as error:
            return {"ok": 0.0, "errmsg": str(error), "code": error.code, "codeName": error.name}

    def hello(self, command: Mapping[str, Any], _session: Session) -> Document:
        """Describe the server to a driver."""
        answer: Document = {
            "helloOk": True,
            "ismaster": True,
            "isWritablePrimary": True,
            "maxBsonObjectSize": _MAX_DOCUMENT,
            "maxMessageSizeBytes": MAX_MESSAGE,
            "maxWriteBatchSize": 100_000,
            "localTime": datetime.now(UTC),
            "logicalSessionTimeoutMinutes": 30,
            "connectionId": self._created,
            "minWireVersion": 0,
            "maxWireVersion": _WIRE_VERSION,
            "readOnly": False,
        }
        if command.get("saslSupportedMechs"):
            answer["saslSupportedMechs"] = [_MECHANISM]
        return answer

    def sasl_start(self, command: Mapping[str, Any], session: Session) -> Document:
        """Start a login."""
        if command.get("mechanism") != _MECHANISM:
            raise CommandError("Unsupported mechanism", 334, "MechanismUnavailable")
        conversation = Conversation(self._users.keys)
        payload = self._step(lambda: conversation.first(_payload(command)), session)
        session.login = conversation
        return {"conversationId": 1, "done": False, "payload": payload}

    def sasl_continue(self, command: Mapping[str, Any], session: Session) -> Document:
        """Continue a login; the message after the proof is empty."""
        if session.login is None:
            if session.user:
                return {"conversationId": 1, "done": True, "payload": b""}
            raise CommandError("No SASL session state found", 17, "ProtocolError")
        conversation, session.login = session.login, None
        payload = self._step(lambda: conversation.final(_payload(command)), session)
        session.user = conversation.user
        return {"conversationId": 1, "done": True, "payload": payload}

    def build_info(self, _command: Mapping[str, Any], _session: Session) -> Document:
        """Return the version; it says that this is a stand-in."""
        numbers = [int(part) for part in VERSION.split(".")]
        return {
            "version": VERSION,
            "gitVersion": "stackctl-standin",
            "modules": [],
            "versionArray": [*numbers, 0],
            "bits": 64,
            "debug": False,
            "maxBsonObjectSize": _MAX_DOCUMENT,
        }

    def server_status(self, _command: Mapping[str, Any], _session: Session) -> Document:
        """Return connections, counters, memory and network."""
        uptime = time.monotonic() - self._began
        return {
            "host": platform.node(),
            "version": VERSION,
            "process": "mongod",
            "pid": Int64(os.getpid()),
            "uptime": uptime,
            "uptimeMillis": Int64(uptime * 1000),
            "localTime": datetime.now(UTC),
            "asserts": {"regular": 0, "warning": 0, "msg": 0, "user": self._failed_logins},
            "connections": {
                "current": self._current,
                "available": _MAX_CONNECTIONS - self._current,
                "totalCreated": self._created,
                "active": self._current,
            },
            "network": {
                "bytesOut": Int64(self._bytes_out),
                "numRequests": Int64(self._requests),
            },
            "opcounters": {
                **dict.fromkeys(("insert", "query", "update", "delete", "getmore"), Int64(0)),
                "command": Int64(self._commands),
            },
            "mem": {"bits": 64, "resident": _resident() >> 20, "supported": True},
            # MongoDB 7.0 has no other; the stand-in's only data, its users, is on disk as well.
            "storageEngine": {"name": "wiredTiger", "persistent": True},
        }

    def diagnostic_data(self, command: Mapping[str, Any], session: Session) -> Document:
        """Return mongod's recent diagnostic data: outside of a replica set, its serverStatus."""
        start = datetime.now(UTC)
        status = self.server_status(command, session)
        return {"data": {"start": start, "serverStatus": status, "end": datetime.now(UTC)}}

    def command_line(self, _command: Mapping[str, Any], _session: Session) -> Document:
        """Return the command line options that other programs read: this server is not part of a cluster."""
        return {"argv": ["mongod"], "parsed": {"storage": {"dbPath": str(self._folder)}}}

    def db_stats(self, command: Mapping[str, Any], _session: Session) -> Document:
        """Return the size of a database, which is empty, and of the file system that it is on."""
        scale = max(int(command.get("scale") or 1), 1)
        disk = shutil.disk_usage(self._folder)
        empty = dict.fromkeys(
            ("collections", "views", "objects", "indexes", "dataSize", "storageSize", "indexSize"),
            Int64(0),
        )
        return {
            "db": str(command.get("$db", "")),
            **empty,
            "totalSize": 0.0,
            "scaleFactor": Int64(scale),
            "fsUsedSize": float(disk.used / scale),
            "fsTotalSize": float(disk.total / scale),
            **(dict.fromkeys(_FREE_STORAGE, 0.0) if command.get("freeStorage") else {}),
        }

    def list_databases(self, _command: Mapping[str, Any], _session: Session) -> Document:
        """Return the only database."""
        admin = {"name": "admin", "sizeOnDisk": Int64(0), "empty": False}
        return {"databases": [admin], "totalSize": Int64(0)}

    def no_documents(self, command: Mapping[str, Any], _session: Session) -> Document:
        """Return the cursor of a query that finds nothing, as there are no documents and no collections.

        Raises CommandError for a query without a namespace.
        """
        name, subject = next(iter(command.items()))
        collection = "$cmd.listCollections" if name == "listCollections" else subject
        if not isinstance(collection, str):
            raise CommandError(
                f"collection name has invalid type {type(subject).__name__}", 73, "InvalidNamespace"
            )
        namespace = f"{command.get('$db', '')}.{collection}"
        return {"cursor": {"firstBatch": [], "id": Int64(0), "ns": namespace}}

    def operations(self, _command: Mapping[str, Any], _session: Session) -> Document:
        """Return the running operations; only the one that asks is running."""
        return {"inprog": []}

    def top(self, _command: Mapping[str, Any], _session: Session) -> Document:
        """Return the time spent on each collection; there are no collections."""
        return {"totals": {"note": "all times in microseconds"}}

    def no_replication(self, _command: Mapping[str, Any], _session: Session) -> Document:
        """Fail as a mongod does that is not in a replica set."""
        raise CommandError("not running with --replSet", 76, "NoReplicationEnabled")

    def nothing(self, _command: Mapping[str, Any], _session: Session) -> Document:
        """Respond to ping and to the end of sessions."""
        return {}

    def _step(self, step: Callable[[], bytes], session: Session) -> bytes:
        try:
            return step()
        except AuthenticationError as error:
            self._failed_logins += 1
            _log.warning("Authentication failed", extra=fields(remote=session.remote, error=error))
            raise CommandError("Authentication failed.", 18, "AuthenticationFailed") from None


@dataclass(frozen=True)
class _Command:
    run: Callable[[Server, Mapping[str, Any], Session], Document]
    open: bool = False
    """Whether it is allowed before the login."""


_COMMANDS = {
    "hello": _Command(Server.hello, open=True),
    "ismaster": _Command(Server.hello, open=True),
    "ping": _Command(Server.nothing, open=True),
    "buildinfo": _Command(Server.build_info, open=True),
    "saslstart": _Command(Server.sasl_start, open=True),
    "saslcontinue": _Command(Server.sasl_continue, open=True),
    "endsessions": _Command(Server.nothing, open=True),
    "serverstatus": _Command(Server.server_status),
    "dbstats": _Command(Server.db_stats),
    "listdatabases": _Command(Server.list_databases),
    "replsetgetstatus": _Command(Server.no_replication),
    "replsetgetconfig": _Command(Server.no_replication),
    "getdiagnosticdata": _Command(Server.diagnostic_data),
    "getcmdlineopts": _Command(Server.command_line),
    "currentop": _Command(Server.operations),
    "top": _Command(Server.top),
    "find": _Command(Server.no_documents),
    "aggregate": _Command(Server.no_documents),
    "listcollections": _Command(Server.no_documents),
}


def _payload(command: Mapping[str, Any]) -> bytes:
    payload = command.get("payload")
    if not isinstance(payload, bytes):
        raise AuthenticationError("no payload")
    return payload


def _resident() -> int:
    """Return the memory of this process in bytes (proc_pid_statm(5))."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")
