"""A scrape: the commands sent to MongoDB, and the result if the server does not respond
(percona/mongodb_exporter v0.40: exporter/exporter.go and the collectors in its folder).
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pymongo
from pymongo import MongoClient
from pymongo.errors import ConnectionFailure, ExecutionTimeout, OperationFailure, PyMongoError

from standins.mongodb_exporter.naming import Sample, replica_set, samples
from standins.shared.logs import fields

_UNKNOWN_STATE = 6
"""States of a member of a replica set (mongodb.com/docs/manual/reference/replica-states)."""

_log = logging.getLogger("standins.mongodb_exporter.collector")

Mongo = MongoClient[dict[str, Any]]
Document = Mapping[str, Any]


@dataclass(frozen=True)
class Options:
    """The values of the flags of these names. `connect_timeout` is in seconds.

    With `global_pool` the first connection serves all scrapes; without it, each scrape makes its own.
    """

    collectors: frozenset[str]
    collect_all: bool = False
    compatible: bool = False
    direct: bool = True
    global_pool: bool = False
    connect_timeout: float = 5.0


class Database:
    """One MongoDB. Raises PyMongoError or ValueError for an invalid address."""

    def __init__(self, address: str, options: Options) -> None:
        self._address = address
        self._options = options
        self._enabled = options.collectors
        self._lock = threading.Lock()
        self._pool: Mongo | None = None
        self._client(options.connect_timeout).close()

    def scrape(self, seconds: float, filters: Iterable[str] = ()) -> list[Sample]:
        """Return the results of the enabled collectors, limited to `filters` if there are any. Blocks.

        For an unreachable server `mongodb_up` is 0. A server that was reached but then does not respond within
        `seconds` has no result at all, as in the original: with a global pool that is every server that goes down.
        """
        until = time.monotonic() + seconds
        wanted = frozenset(filters) or self._enabled
        with self._connected(until) as client:
            if client is None:
                with _timed("general") as timing:
                    down = [_up(0)]
                return down + timing
            if self._options.collect_all:
                # After `wanted`, so that the first scrape finds nothing enabled yet, like the original.
                self._enabled = frozenset(COLLECTORS)
            problem = "no time left"
            while (left := until - time.monotonic()) > 0:
                try:
                    with pymongo.timeout(left):
                        return list(self._ask(client, self._enabled & wanted))
                except (ConnectionFailure, ExecutionTimeout) as error:
                    problem = str(error)
        _log.error("MongoDB does not respond", extra=fields(error=problem))
        return []

    @contextmanager
    def _connected(self, until: float) -> Iterator[Mongo | None]:
        if self._options.global_pool:
            with self._lock:
                if self._pool is None:
                    self._pool = self._connect(self._options.connect_timeout)
            yield self._pool
            return
        left = until - time.monotonic()
        client = self._connect(min(self._options.connect_timeout, left))
        try:
            yield client
        finally:
            if client is not None:
                client.close()

    def _connect(self, seconds: float) -> Mongo | None:
        client = self._client(seconds)
        try:
            client.admin.command("ping")
        except PyMongoError as error:
            client.close()
            _log.error("Cannot connect to MongoDB", extra=fields(error=str(error)))
            return None
        return client

    def _client(self, seconds: float) -> Mongo:
        milliseconds = max(int(seconds * 1000), 1)
        return MongoClient(
            self._address,
            directConnection=self._options.direct,
            serverSelectionTimeoutMS=milliseconds,
            connectTimeoutMS=milliseconds,
            appname="mongodb_exporter",
        )

    def _ask(self, client: Mongo, collectors: frozenset[str]) -> Iterator[Sample]:
        with _timed("general") as timing, _refused("ping") as refused:
            client.admin.command("ping")
        yield _up(0 if refused else 1)
        yield from timing
        if not collectors:
            return
        diagnostic_data = _answer(client, "getDiagnosticData").get("data", {})
        labels = _topology(client, diagnostic_data)
        for name in sorted(collectors & COLLECTORS.keys()):
            title, collect = COLLECTORS[name]
            with _timed(title) as timing, _refused(title):
                yield from collect(client, labels, diagnostic_data, self._options.compatible)
            yield from timing


def _up(value: int) -> Sample:
    return Sample("mongodb_up", value)


@contextmanager
def _timed(collector: str) -> Iterator[list[Sample]]:
    """Yield a list that contains the duration of the block afterwards."""
    found: list[Sample] = []
    began = time.monotonic()
    yield found
    milliseconds = int((time.monotonic() - began) * 1000)
    labels = {"collector": collector, "exporter": "mongodb"}
    found.append(Sample("collector_scrape_time_ms", milliseconds, labels))


@contextmanager
def _refused(what: str, level: int = logging.ERROR) -> Iterator[list[str]]:
    """Yield a list for the reason if the server rejects a command in the block, which ends there; log the reason."""
    reasons: list[str] = []
    try:
        yield reasons
    except ExecutionTimeout:
        raise
    except OperationFailure as error:
        reasons.append(str(error))
        _log.log(level, "%s is refused", what, extra=fields(error=reasons[0]))


def _answer(client: Mongo, command: str) -> Document:
    """Return the response of the server's admin database; empty if it rejects the command, as without a replica set."""
    with _refused(command, logging.DEBUG):
        return client.admin.command(command)
    return {}


def _topology(client: Mongo, diagnostic_data: Document) -> dict[str, str]:
    """Return the labels of all flattened metrics: the server's place in a cluster (exporter/topology_info.go)."""
    sharding = _answer(client, "getCmdLineOpts").get("parsed", {}).get("sharding", {})
    role = "mongos" if "configDB" in sharding else str(sharding.get("clusterRole", ""))
    config = _answer(client, "replSetGetConfig").get("config", {})
    identity = (
        _first(client, "config", "version", {}).get("clusterId")
        or _first(client, "admin", "system.version", {"_id": "shardIdentity"}).get("clusterId")
        or config.get("settings", {}).get("replicaSetId")
        or ""
    )
    state = diagnostic_data.get("replSetGetStatus", {}).get("myState", 0)
    labels = {"cl_id": str(identity), "cl_role": role, "rs_state": str(state)}
    return labels | ({"rs_nm": str(config["_id"])} if "_id" in config else {})


def _first(client: Mongo, database: str, collection: str, query: dict[str, str]) -> Document:
    with _refused(f"{database}.{collection}", logging.DEBUG):
        return client[database][collection].find_one(query) or {}
    return {}


def _diagnostic_data(
    client: Mongo, labels: Mapping[str, str], data: Document, compatible: bool
) -> Iterator[Sample]:
    yield from samples(data, labels, compatible=compatible)
    if not compatible:
        return
    status = data.get("replSetGetStatus", {})
    if "members" in status:
        yield from replica_set(status)
    yield Sample(
        "mongodb_mongod_replset_my_state",
        status.get("myState", 0 if data else _UNKNOWN_STATE),
        {"set": labels.get("rs_nm", "")},
    )
    engine = data.get("serverStatus", {}).get("storageEngine", {}).get("name")
    if engine:
        yield Sample("mongodb_mongod_storage_engine", 1, {"engine": str(engine)})
    build = _answer(client, "buildInfo")
    yield Sample(
        "mongodb_version_info",
        1,
        {
            "mongodb": str(build.get("version", "")),
            "edition": "Enterprise" if "enterprise" in build.get("modules", ()) else "Community",
            "vendor": "Percona" if "psmdbVersion" in build else "MongoDB",
        },
    )


def _database_statistics(
    client: Mongo, labels: Mapping[str, str], _data: Document, compatible: bool
) -> Iterator[Sample]:
    for name in client.list_database_names():
        found = client[name].command("dbStats", scale=1)
        yield from samples(
            found, {**labels, "database": name}, prefix="dbstats", compatible=compatible
        )


def _replica_set_status(
    client: Mongo, labels: Mapping[str, str], _data: Document, compatible: bool
) -> Iterator[Sample]:
    yield from samples(_answer(client, "replSetGetStatus"), labels, compatible=compatible)


Collect = Callable[[Mongo, Mapping[str, str], Document, bool], Iterator[Sample]]

COLLECTORS: Mapping[str, tuple[str, Collect]] = {
    "diagnosticdata": ("diagnostic_data", _diagnostic_data),
    "dbstats": ("dbstats", _database_statistics),
    "replicasetstatus": ("replset_status", _replica_set_status),
}
"""The collectors by the name of their flag, `--collector.NAME`: their name in the original's own series, and their
function."""
