"""The metrics of a MongoDB document: names, labels and types of its numbers, in the new form and, in
compatible mode, also in that of the first versions (percona/mongodb_exporter v0.40: exporter/metrics.go,
exporter/v1_compatibility.go).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import groupby
from typing import Any, Literal

from bson import Timestamp

_SHORT = (
    ("serverStatus.wiredTiger.transaction", "ss_wt_txn"),
    ("serverStatus.wiredTiger", "ss_wt"),
    ("serverStatus", "ss"),
    ("replSetGetStatus", "rs"),
    ("systemMetrics", "sys"),
    ("local.oplog.rs.stats.wiredTiger", "oplog_stats_wt"),
    ("local.oplog.rs.stats", "oplog_stats"),
)
"""Prefixes of paths that are shortened; the first match counts."""

_BY_LABEL = {
    "serverStatus.asserts.": "assert_type",
    "serverStatus.connections.": "conn_type",
    "serverStatus.globalLock.currentQueue.": "count_type",
    "serverStatus.metrics.commands.": "cmd_name",
    "serverStatus.metrics.cursor.open.": "csr_type",
    "serverStatus.metrics.document.": "doc_op_type",
    "serverStatus.opLatencies.": "op_type",
    "serverStatus.opReadConcernCounters.": "concern_type",
    "serverStatus.opcounters.": "legacy_op_type",
    "serverStatus.opcountersRepl.": "legacy_op_type",
    "serverStatus.transactions.commitTypes.": "commit_type",
    "serverStatus.wiredTiger.concurrentTransactions.": "txn_rw_type",
    "serverStatus.wiredTiger.perf.": "perf_bucket",
    "systemMetrics.disks.": "device_name",
}
"""The parts of a document whose keys are the values of a label."""

_NO_NAME = re.compile(r"[^a-zA-Z0-9_]+")
_REPEATED = re.compile(r"__+")

Kind = Literal["counter", "gauge", "untyped"]


@dataclass(frozen=True)
class Sample:
    """A line of the exposition."""

    name: str
    value: float
    labels: Mapping[str, str] = field(default_factory=dict)
    kind: Kind = "gauge"


@dataclass(frozen=True)
class _Renamed:
    """A series under another name, with renamed labels."""

    new: str
    old: str
    labels: Mapping[str, str] = field(default_factory=dict)

    def of(self, sample: Sample) -> Sample | None:
        if sample.name != self.new:
            return None
        labels = {self.labels.get(name, name): value for name, value in sample.labels.items()}
        return replace(sample, name=self.old, labels=labels)


@dataclass(frozen=True)
class _Gathered:
    """Several series as one, whose only label has the ends of their names as values."""

    prefix: str
    new: str
    label: str
    ends: Mapping[str, str]

    def of(self, sample: Sample) -> Sample | None:
        end = self.ends.get(sample.name.removeprefix(self.prefix))
        if end is None or not sample.name.startswith(self.prefix):
            return None
        return replace(sample, name=self.new, labels={self.label: end})


_KINDS = ("commands", "reads", "transactions", "writes")
_INSTEAD = (
    *(
        _Gathered(
            "mongodb_ss_opLatencies_",
            f"mongodb_ss_opLatencies_{figure}",
            "op_type",
            {f"{kind}_{figure}": kind for kind in _KINDS},
        )
        for figure in ("ops", "latency")
    ),
    *(
        _Gathered(
            "mongodb_ss_wt_concurrentTransactions_",
            f"mongodb_ss_wt_concurrentTransactions_{figure}",
            "txn_rw",
            {f"{kind}_{figure}": kind for kind in ("read", "write")},
        )
        for figure in ("out", "available", "totalTickets")
    ),
)
_COMPATIBLE = (
    _Renamed("mongodb_ss_asserts", "mongodb_asserts_total", {"assert_type": "type"}),
    _Renamed("mongodb_ss_connections", "mongodb_connections", {"conn_type": "state"}),
    _Renamed("mongodb_ss_opcounters", "mongodb_op_counters_total", {"legacy_op_type": "type"}),
    _Renamed("mongodb_ss_network_numRequests", "mongodb_network_metrics_num_requests_total"),
    _Renamed("mongodb_ss_uptime", "mongodb_instance_uptime_seconds"),
    _Renamed("mongodb_ss_uptime", "mongodb_mongod_instance_uptime_seconds"),
    _Renamed("mongodb_start", "mongodb_instance_local_time"),
    _Renamed("mongodb_dbstats_collections", "mongodb_mongod_db_collections_total"),
    _Renamed("mongodb_dbstats_dataSize", "mongodb_mongod_db_data_size_bytes"),
    _Renamed("mongodb_dbstats_indexSize", "mongodb_mongod_db_index_size_bytes"),
    _Renamed("mongodb_dbstats_indexes", "mongodb_mongod_db_indexes_total"),
    _Renamed("mongodb_dbstats_objects", "mongodb_mongod_db_objects_total"),
    _Gathered(
        "mongodb_ss_mem_",
        "mongodb_memory",
        "type",
        {"resident": "resident", "virtual": "virtual"},
    ),
)
"""The old names that the stand-in supports; the original has more, for values that only real servers report."""


def samples(
    document: Mapping[str, Any],
    labels: Mapping[str, str],
    *,
    prefix: str = "",
    compatible: bool = False,
) -> Iterator[Sample]:
    """Yield each number of a document under the name of its path, which starts with `prefix`.

    A document in a list has the labels `member_idx` and `member_state` of its `name` and `stateStr`. In `compatible`
    mode a number that had another name in the first versions of the exporter is also yielded under that name.
    """
    for sample in _numbers(document, labels, f"{prefix}." if prefix else ""):
        instead = [found for rule in _INSTEAD if (found := rule.of(sample))]
        for one in instead or [sample]:
            yield one
            if compatible:
                yield from (found for rule in _COMPATIBLE if (found := rule.of(one)))


def replica_set(status: Mapping[str, Any]) -> Iterator[Sample]:
    """Yield the compatible mode's metrics of a replica set, from a replSetGetStatus document."""
    members, name = status["members"], status["set"]
    yield Sample("mongodb_mongod_replset_number_of_members", len(members), {"set": name})
    optimes = [one.get("optimeDate") for one in members if one["stateStr"] == "PRIMARY"]
    if not optimes or optimes[0] is None:
        return
    for one in members:
        if one["stateStr"] != "PRIMARY" and (optime := one.get("optimeDate")) is not None:
            labels = {"name": one["name"], "state": one["stateStr"], "set": name}
            lag = abs(int(_seconds(optime)) - int(_seconds(optimes[0])))
            yield Sample("mongodb_mongod_replset_member_replication_lag", lag, labels)


def exposition(found: Iterable[Sample]) -> str:
    """Return the samples in Prometheus' text format.

    Without prometheus_client, which appends `_total` to the name of every counter; this exporter does not.
    """
    lines = []
    by_name = groupby(sorted(found, key=lambda one: one.name), key=lambda one: one.name)
    for name, group in by_name:
        of_name = list(group)
        lines.append(f"# TYPE {name} {of_name[0].kind}")
        for one in of_name:
            labels = ",".join(
                f'{label}="{_escaped(value)}"' for label, value in sorted(one.labels.items())
            )
            lines.append(
                f"{name}{{{labels}}} {_number(one.value)}"
                if labels
                else f"{name} {_number(one.value)}"
            )
    return "".join(f"{line}\n" for line in lines)


def _numbers(
    document: Mapping[str, Any], labels: Mapping[str, str], prefix: str
) -> Iterator[Sample]:
    for key, value in document.items():
        if isinstance(value, Mapping):
            yield from _numbers(value, labels, f"{prefix}{key}.")
        elif isinstance(value, list):
            for item in value:
                if isinstance(item, Mapping):
                    yield from _numbers(item, {**labels, **_member(item)}, f"{prefix}{key}.")
        elif (number := _value(value)) is not None:
            label = _BY_LABEL.get(prefix)
            kind: Kind = "counter" if key.lower().endswith("count") else "untyped"
            if label:
                yield Sample(_name(prefix), number, {**labels, label: key}, kind)
            else:
                yield Sample(_name(prefix + key), number, labels, kind)


def _member(item: Mapping[str, Any]) -> dict[str, str]:
    found = {"member_idx": item.get("name"), "member_state": item.get("stateStr")}
    return {label: value for label, value in found.items() if isinstance(value, str)}


def _name(path: str) -> str:
    for long, short in _SHORT:
        if path.startswith(f"{long}."):
            path = short + path.removeprefix(long)
            break
    name = _NO_NAME.sub("_", path).removesuffix("_")
    return f"mongodb_{_REPEATED.sub('_', name).removeprefix('_')}"


def _value(value: Any) -> float | None:
    """Return a number, a boolean as 0 or 1, a date in milliseconds and a timestamp in seconds; None for the rest."""
    if isinstance(value, bool | int | float):
        return float(value)
    if isinstance(value, datetime):
        return float(round(_seconds(value) * 1000))
    if isinstance(value, Timestamp):
        return float(value.time)
    return None


def _seconds(moment: datetime) -> float:
    """Return the seconds since 1970 of a MongoDB date, which the driver returns in UTC without a time zone."""
    return moment.replace(tzinfo=moment.tzinfo or UTC).timestamp()


def _number(value: float) -> str:
    return repr(float(value)).removesuffix(".0")


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")
