"""The stand-in of MongoDB's exporter, with the real driver and the stand-in of MongoDB."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from pymongo import MongoClient

from standins.mongodb.commands import Server
from standins.mongodb.tests.running import PASSWORD, Mongo, client, serving
from standins.mongodb.users import Users
from standins.mongodb_exporter.collector import Database
from standins.shared import metrics


@pytest.fixture
def port(tmp_path: Path) -> Iterator[int]:
    """The port of a stand-in with the user `stackctl`."""
    users = Users(tmp_path)
    users.create("stackctl", PASSWORD)
    with serving(Server(tmp_path, users)) as number:
        yield number


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
