"""The stand-in of MongoDB's exporter, with the real driver and the stand-in of MongoDB.

How the original behaves was seen at v0.40.0, run against the same stand-in of MongoDB.
"""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from aiohttp.test_utils import TestClient, TestServer
from bson import Int64, Timestamp
from prometheus_client.parser import text_string_to_metric_families

from standins.mongodb import commands
from standins.mongodb.commands import CommandError, Server
from standins.mongodb.tests.running import PASSWORD, serving
from standins.mongodb.users import Users
from standins.mongodb_exporter.collector import COLLECTORS, Database, Options
from standins.mongodb_exporter.main import application
from standins.mongodb_exporter.naming import Sample, exposition, replica_set, samples

OPTIONS = Options(frozenset(COLLECTORS), compatible=True, connect_timeout=1)


def address(port: int, password: str = PASSWORD) -> str:
    return f"mongodb://stackctl:{quote(password)}@127.0.0.1:{port}"


@pytest.fixture
def server(tmp_path: Path) -> Server:
    """A stand-in of MongoDB with the user `stackctl`."""
    users = Users(tmp_path)
    users.create("stackctl", PASSWORD)
    return Server(tmp_path, users)


@pytest.fixture
def port(server: Server) -> Iterator[int]:
    """The port that it serves."""
    with serving(server) as number:
        yield number


@contextmanager
def silent() -> Iterator[int]:
    """Yield a port that takes connections and never answers, as that of a paused server does."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


def names(found: list[Sample]) -> set[str]:
    return {one.name for one in found}


def up(found: list[Sample]) -> float:
    (one,) = (one for one in found if one.name == "mongodb_up")
    return one.value


def test_the_exporter_tells_what_the_server_tells(port: int) -> None:
    text = exposition(Database(address(port), OPTIONS).scrape(5))
    found = {
        (one.name, tuple(sorted(one.labels.items()))): one.value
        for family in text_string_to_metric_families(text)
        for one in family.samples
    }
    assert found["mongodb_up", ()] == 1
    base = (("cl_id", ""), ("cl_role", ""), ("rs_state", "0"))

    def figure(name: str, **labels: str) -> float:
        return found[name, tuple(sorted((*base, *labels.items())))]

    assert figure("mongodb_ss_connections", conn_type="current") >= 1
    assert figure("mongodb_ss_connections", conn_type="available") > 0
    assert figure("mongodb_op_counters_total", type="command") > 0
    assert (
        0
        < figure("mongodb_dbstats_fsUsedSize", database="admin")
        < figure("mongodb_dbstats_fsTotalSize", database="admin")
    )
    assert "# TYPE mongodb_up gauge\n" in text
    assert "# TYPE mongodb_ss_connections untyped\n" in text


def test_only_what_is_asked_for_is_collected(port: int) -> None:
    database = Database(address(port), OPTIONS)
    assert names(database.scrape(5, ["none"])) == {"mongodb_up", "collector_scrape_time_ms"}
    some = names(database.scrape(5, ["dbstats", "topmetrics"]))
    assert "mongodb_dbstats_fsUsedSize" in some
    assert "mongodb_ss_connections" not in some
    few = Database(address(port), replace(OPTIONS, collectors=frozenset({"dbstats"})))
    assert "mongodb_ss_connections" not in names(few.scrape(5, ["diagnosticdata"]))


def test_the_first_scrape_with_all_collectors_has_none(port: int) -> None:
    database = Database(address(port), Options(frozenset(), collect_all=True))
    assert names(database.scrape(5)) == {"mongodb_up", "collector_scrape_time_ms"}
    assert "mongodb_dbstats_fsUsedSize" in names(database.scrape(5))


@pytest.mark.parametrize("pool", [True, False])
def test_a_server_that_never_answered_is_down(pool: bool) -> None:
    with silent() as port:
        database = Database(address(port), replace(OPTIONS, global_pool=pool))
        began = time.monotonic()
        found = database.scrape(5)
        assert up(found) == 0
        assert names(found) == {"mongodb_up", "collector_scrape_time_ms"}
        assert 0.9 < time.monotonic() - began < 3


@pytest.mark.parametrize("pool", [True, False])
def test_a_login_that_is_refused_is_down_at_once(port: int, pool: bool) -> None:
    database = Database(address(port, "wrong"), replace(OPTIONS, global_pool=pool))
    began = time.monotonic()
    assert up(database.scrape(5)) == 0
    assert time.monotonic() - began < 0.9


@pytest.mark.parametrize(
    ("refused", "value"), [("dbstats", 1), ("getdiagnosticdata", 1), ("ping", 0)]
)
def test_what_is_refused_is_left_out(
    server: Server, monkeypatch: pytest.MonkeyPatch, refused: str, value: float
) -> None:
    def refuse(*_: object) -> None:
        raise CommandError("not authorized on admin to execute command", 13, "Unauthorized")

    with serving(server) as port:
        database = Database(address(port), replace(OPTIONS, global_pool=True))
        assert {"mongodb_ss_connections", "mongodb_dbstats_fsUsedSize"} <= names(database.scrape(5))
        monkeypatch.setitem(commands._COMMANDS, refused, commands._Command(refuse))
        found = database.scrape(5)
    assert up(found) == value
    assert ("mongodb_dbstats_fsUsedSize" in names(found)) == (refused != "dbstats")
    assert ("mongodb_ss_connections" in names(found)) == (refused != "getdiagnosticdata")


def test_a_server_that_goes_is_down_where_each_scrape_connects(server: Server) -> None:
    with serving(server) as port:
        database = Database(address(port), OPTIONS)
        assert up(database.scrape(5)) == 1
    assert up(database.scrape(5)) == 0


def test_with_a_global_pool_nothing_is_told_of_a_server_that_goes(server: Server) -> None:
    """Not even that it is down: the answer is a good one, without any of MongoDB's series, when time is up."""
    with serving(server) as port:
        database = Database(address(port), replace(OPTIONS, global_pool=True))
        assert up(database.scrape(5)) == 1
    began = time.monotonic()
    assert database.scrape(1.5) == []
    assert 1.4 < time.monotonic() - began < 3
    with serving(server, port):
        assert up(database.scrape(5)) == 1


def test_an_answer_takes_what_prometheus_allows_less_a_second() -> None:
    asked: list[tuple[float, list[str]]] = []

    class Asked(Database):
        def scrape(self, seconds: float, filters: Any = ()) -> list[Sample]:
            asked.append((seconds, list(filters)))
            return [Sample("mongodb_up", 1)]

    async def run() -> None:
        app = application(Asked(address(1), OPTIONS), 1)
        async with TestClient(TestServer(app)) as client:
            header = {"X-Prometheus-Scrape-Timeout-Seconds": "7"}
            answer = await client.get("/metrics", headers=header)
            assert "\nmongodb_up 1\n" in await answer.text()
            await client.get("/metrics?collect[]=none&collect[]=dbstats")
            assert "/metrics" in await (await client.get("/")).text()

    asyncio.run(run())
    assert asked == [(6, []), (9, ["none", "dbstats"])]


def test_an_address_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="Port"):
        Database("mongodb://127.0.0.1:mongo", OPTIONS)


MEMBERS = [
    {
        "name": "mongo-1:27017",
        "health": 1.0,
        "stateStr": "PRIMARY",
        "optimeDate": datetime(2026, 1, 1, 12, 0, 30, tzinfo=UTC),
    },
    {
        "name": "mongo-2:27017",
        "health": 1.0,
        "stateStr": "SECONDARY",
        "optimeDate": datetime(2026, 1, 1, 12, 0, 18, tzinfo=UTC),
    },
    {"name": "mongo-3:27017", "health": 0.0, "stateStr": "(not reachable/healthy)"},
]


def test_members_of_a_replica_set() -> None:
    status = {"set": "rs0", "members": MEMBERS}
    health = {
        (one.labels["member_idx"], one.labels["member_state"]): one.value
        for one in samples({"replSetGetStatus": status}, {})
        if one.name == "mongodb_rs_members_health"
    }
    assert health == {
        ("mongo-1:27017", "PRIMARY"): 1,
        ("mongo-2:27017", "SECONDARY"): 1,
        ("mongo-3:27017", "(not reachable/healthy)"): 0,
    }
    lag = {
        one.labels["name"]: one.value
        for one in replica_set(status)
        if one.name == "mongodb_mongod_replset_member_replication_lag"
    }
    assert lag == {"mongo-2:27017": 12}
    without_primary = {"set": "rs0", "members": MEMBERS[1:]}
    assert names(list(replica_set(without_primary))) == {"mongodb_mongod_replset_number_of_members"}


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        (
            {"serverStatus": {"opLatencies": {"reads": {"latency": Int64(5), "ops": Int64(2)}}}},
            {
                ("mongodb_ss_opLatencies_latency", (("op_type", "reads"),), 5),
                ("mongodb_ss_opLatencies_ops", (("op_type", "reads"),), 2),
            },
        ),
        (
            {"serverStatus": {"wiredTiger": {"concurrentTransactions": {"read": {"out": 1}}}}},
            {("mongodb_ss_wt_concurrentTransactions_out", (("txn_rw", "read"),), 1)},
        ),
        (
            {"serverStatus": {"wiredTiger": {"cache": {"bytes read into cache (in all)": 7}}}},
            {("mongodb_ss_wt_cache_bytes_read_into_cache_in_all", (), 7)},
        ),
        (
            {"local.oplog.rs.stats": {"ok": True, "ns": "local.oplog.rs", "count": 3}},
            {("mongodb_oplog_stats_ok", (), 1), ("mongodb_oplog_stats_count", (), 3)},
        ),
        (
            {
                "end": datetime(1970, 1, 1, 0, 0, 2, 5000, tzinfo=UTC),
                "ts": Timestamp(9, 1),
                "list": [1, 2],
            },
            {("mongodb_end", (), 2005), ("mongodb_ts", (), 9)},
        ),
        (
            {"serverStatus": {"opcounters": {"query": 4}, "mem": {"resident": 8}}},
            {
                ("mongodb_ss_opcounters", (("legacy_op_type", "query"),), 4),
                ("mongodb_op_counters_total", (("type", "query"),), 4),
                ("mongodb_ss_mem_resident", (), 8),
                ("mongodb_memory", (("type", "resident"),), 8),
            },
        ),
    ],
)
def test_how_the_numbers_of_a_document_are_named(
    document: dict[str, Any], expected: set[tuple[str, tuple[tuple[str, str], ...], float]]
) -> None:
    found = list(samples(document, {}, compatible=True))
    assert {(one.name, tuple(one.labels.items()), one.value) for one in found} == expected
    counters = {one.name for one in found if one.kind == "counter"}
    assert counters == {name for name, _, _ in expected if name.endswith("_count")}


def test_a_label_is_escaped() -> None:
    text = exposition([Sample("x", 1.5, {"a": 'b"c\\d\ne'}), Sample("x", 1e17)])
    (family,) = text_string_to_metric_families(text)
    assert [(one.labels, one.value) for one in family.samples] == [
        ({"a": 'b"c\\d\ne'}, 1.5),
        ({}, 1e17),
    ]
