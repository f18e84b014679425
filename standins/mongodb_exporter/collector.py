"""What a MongoDB tells of itself as metrics, in the new names and, in compatible mode, the old ones beside them
(github.com/percona/mongodb_exporter: exporter/metrics.go and exporter/v1_compatibility.go of v0.40).
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Mapping
from typing import Any

from prometheus_client import Metric
from prometheus_client.registry import Collector
from pymongo import MongoClient
from pymongo.errors import OperationFailure, PyMongoError

from standins.shared.logs import fields

_NO_REPLICATION = 76
_NO_NAME = re.compile(r"[^a-zA-Z0-9_]+")
_BY_LABEL = {"connections": "conn_type", "opcounters": "legacy_op_type", "asserts": "assert_type"}
"""Parts of serverStatus whose keys are the values of a label."""

_log = logging.getLogger("standins.mongodb_exporter.collector")

Labels = dict[str, str]


class Database(Collector):
    """One MongoDB. `compatible` adds the names of the exporter's first versions."""

    def __init__(self, client: MongoClient[dict[str, object]], *, compatible: bool) -> None:
        self._client = client
        self._compatible = compatible
        self._problem = ""
        self._found: dict[str, list[tuple[Labels, float]]] = {}

    def ask(self) -> None:
        """Ask it; blocks for some seconds where it does not answer, and then says so in the log, once."""
        found: dict[str, list[tuple[Labels, float]]] = {}
        try:
            admin = self._client.admin
            status = admin.command("serverStatus")
            _flatten(found, "mongodb_ss", status, {})
            for name in self._client.list_database_names():
                statistics = self._client[name].command("dbStats")
                _flatten(found, "mongodb_dbstats", statistics, {"database": name})
            if self._compatible:
                _old_names(found, status)
            self._members(found)
            problem = ""
        except PyMongoError as error:
            found, problem = {}, str(error)
        if problem and problem != self._problem:
            _log.error("Cannot connect to MongoDB", extra=fields(error=problem))
        self._problem = problem
        found["mongodb_up"] = [({}, 0.0 if problem else 1.0)]
        self._found = found

    def describe(self) -> list[Metric]:
        """Give no family: which there are is known only once it was asked."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Give what the last question found."""
        for name, samples in sorted(self._found.items()):
            metric = Metric(name, f"{name} of the MongoDB server.", "unknown")
            for labels, value in samples:
                metric.add_sample(name, labels, value)
            yield metric

    def _members(self, found: dict[str, list[tuple[Labels, float]]]) -> None:
        """Add the members of the replica set; a server that is in none has none."""
        try:
            status = self._client.admin.command("replSetGetStatus")
        except OperationFailure as error:
            if error.code != _NO_REPLICATION:
                raise
            return
        for member in status["members"]:
            labels = {"member_idx": member["name"], "member_state": member["stateStr"]}
            found.setdefault("mongodb_rs_members_health", []).append(
                (labels, float(member["health"]))
            )


def _flatten(
    found: dict[str, list[tuple[Labels, float]]],
    prefix: str,
    document: Mapping[str, Any],
    labels: Labels,
) -> None:
    """Give each number of a document a name of its path; keys of some parts become a label's value."""
    for key, value in document.items():
        name = f"{prefix}_{_NO_NAME.sub('_', key).strip('_')}"
        if isinstance(value, Mapping):
            label = _BY_LABEL.get(key)
            if label is None:
                _flatten(found, name, value, labels)
                continue
            for kind, number in value.items():
                if _is_number(number):
                    sample = ({**labels, label: kind}, float(number))
                    found.setdefault(name, []).append(sample)
        elif _is_number(value):
            found.setdefault(name, []).append((labels, float(value)))


def _old_names(found: dict[str, list[tuple[Labels, float]]], status: Mapping[str, Any]) -> None:
    found["mongodb_op_counters_total"] = [
        ({"type": kind}, float(number))
        for kind, number in status["opcounters"].items()
        if _is_number(number)
    ]
    found["mongodb_connections"] = [
        ({"state": kind}, float(number))
        for kind, number in status["connections"].items()
        if _is_number(number)
    ]


def _is_number(value: Any) -> bool:
    return isinstance(value, bool | int | float)
