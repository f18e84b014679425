"""The MongoDB stand-in with the real driver."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from pymongo.errors import OperationFailure

from standins.mongodb.commands import Server
from standins.mongodb.tests.running import PASSWORD, client, serving
from standins.mongodb.users import Users
from standins.shared.process import ConfigError


@pytest.fixture
def port(tmp_path: Path) -> Iterator[int]:
    """The port of a stand-in with the user `stackctl`."""
    users = Users(tmp_path)
    users.create("stackctl", PASSWORD)
    with serving(Server(tmp_path, users)) as number:
        yield number


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


def test_what_mongodb_exporter_asks(port: int) -> None:
    with client(port) as mongo:
        collected = mongo.admin.command("getDiagnosticData")["data"]
        assert collected["serverStatus"]["connections"]["available"] > 0
        assert collected["start"] <= collected["end"]
        assert "sharding" not in mongo.admin.command("getCmdLineOpts")["parsed"]
        assert mongo.admin.command("currentOp")["inprog"] == []
        assert set(mongo.admin.command("top")["totals"]) == {"note"}
        assert mongo["config"]["version"].find_one({}) is None
        assert list(mongo["local"]["oplog.rs"].find({}).sort("$natural", -1)) == []
        assert mongo["admin"].list_collection_names() == []
        assert list(mongo["admin"]["system.profile"].aggregate([{"$match": {}}])) == []
        free = mongo["admin"].command("dbStats", freeStorage=1)
        assert free["totalFreeStorageSize"] == 0


@pytest.mark.parametrize(
    ("command", "code"),
    [("insert", 59), ("replSetGetStatus", 76), ("replSetGetConfig", 76), ("find", 73)],
)
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
