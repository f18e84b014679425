"""The MongoDB stand-in with the real driver, and the exporter's stand-in before it."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from pymongo import MongoClient
from pymongo.errors import OperationFailure

from standins.mongodb.commands import Server
from standins.mongodb.connection import serve_connection
from standins.mongodb.users import Users
from standins.mongodb_exporter.collector import Database
from standins.shared import metrics
from standins.shared.process import ConfigError

PASSWORD = "p@ss:word"

Mongo = MongoClient[dict[str, Any]]


@contextlib.contextmanager
def serving(server: Server) -> Iterator[int]:
    """Serve in a thread, for the driver blocks; give the port."""
    loop = asyncio.new_event_loop()
    bound: list[asyncio.Server] = []
    ready = threading.Event()

    async def run() -> None:
        bound.append(
            await asyncio.start_server(
                lambda reader, writer: serve_connection(server, reader, writer), "127.0.0.1", 0
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


@pytest.fixture
def port(tmp_path: Path) -> Iterator[int]:
    """The port of a stand-in with the user `stackctl`."""
    users = Users(tmp_path)
    users.create("stackctl", PASSWORD)
    with serving(Server(tmp_path, users)) as number:
        yield number


@contextlib.contextmanager
def client(port: int, password: str | None = PASSWORD) -> Iterator[Mongo]:
    login = {} if password is None else {"username": "stackctl", "password": password}
    with MongoClient[dict[str, Any]](
        "127.0.0.1", port, directConnection=True, serverSelectionTimeoutMS=2000, **login
    ) as one:
        yield one


def test_the_driver_logs_in_and_asks(port: int) -> None:
    with client(port) as mongo:
        status = mongo.admin.command("serverStatus")
        assert status["connections"]["current"] >= 1
        assert status["opcounters"]["command"] > 0
        assert mongo.list_database_names() == ["admin"]
        statistics = mongo["admin"].command("dbStats", scale=1024)
        assert 0 < statistics["fsUsedSize"] <= statistics["fsTotalSize"]
        assert mongo.admin.command("ping")["ok"] == 1


@pytest.mark.parametrize(
    ("password", "code"), [("wrong", 18), (None, 13)], ids=["wrong password", "no login"]
)
def test_who_is_kept_out(port: int, password: str | None, code: int) -> None:
    with client(port, password) as mongo, pytest.raises(OperationFailure) as caught:
        mongo.admin.command("serverStatus")
    assert caught.value.code == code


@pytest.mark.parametrize(("command", "code"), [("insert", 59), ("replSetGetStatus", 76)])
def test_what_it_cannot_do_fails_as_in_mongodb(port: int, command: str, code: int) -> None:
    with client(port) as mongo, pytest.raises(OperationFailure) as caught:
        mongo.admin.command(command)
    assert caught.value.code == code


def test_bytes_that_are_no_message_end_the_connection(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=5) as raw:
        raw.sendall(b"GET / HTTP/1.1\r\n\r\n")
        assert raw.recv(1) == b""


def test_the_first_password_stays(tmp_path: Path) -> None:
    assert Users(tmp_path).create("stackctl", "first")
    again = Users(tmp_path)
    assert not again.create("stackctl", "second")
    file = tmp_path / "standin-users.json"
    assert file.stat().st_mode & 0o077 == 0
    assert "first" not in file.read_text()
    with serving(Server(tmp_path, again)) as number, client(number, "first") as mongo:
        assert mongo.admin.command("serverStatus")["ok"] == 1


def test_a_broken_file_of_users_is_named(tmp_path: Path) -> None:
    (tmp_path / "standin-users.json").write_text("[]")
    with pytest.raises(ConfigError, match=r"standin-users\.json"):
        Users(tmp_path)


def exposition(mongo: Mongo) -> str:
    registry = CollectorRegistry()
    database = Database(mongo, compatible=True)
    registry.register(database)
    database.ask()
    return metrics.render(registry).decode()


def test_the_exporter_tells_what_the_server_tells(port: int) -> None:
    with client(port) as mongo:
        text = exposition(mongo)
    lines = text.splitlines()
    assert "mongodb_up 1" in lines
    for start in (
        'mongodb_ss_connections{conn_type="current"} ',
        'mongodb_ss_connections{conn_type="available"} ',
        'mongodb_op_counters_total{type="command"} ',
        'mongodb_dbstats_fsUsedSize{database="admin"} ',
        "mongodb_ss_uptime ",
    ):
        assert any(line.startswith(start) for line in lines), start


def test_the_exporter_says_that_a_server_is_down() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        address = unused.getsockname()
    with MongoClient[dict[str, Any]](*address, serverSelectionTimeoutMS=50) as mongo:
        text = exposition(mongo)
    assert [line for line in text.splitlines() if not line.startswith("#")] == ["mongodb_up 0"]


def test_the_exporter_says_that_a_login_is_refused(port: int) -> None:
    with client(port, "wrong") as mongo:
        assert "mongodb_up 0" in exposition(mongo).splitlines()
