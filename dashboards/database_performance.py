"""Do the databases, the cache and the queue keep up?"""

from __future__ import annotations

from grafana_foundation_sdk.models import units
from grafana_foundation_sdk.models.dashboard import Dashboard

from dashboards import limits
from dashboards.builders import active_alerts, bars, dial, lines, number, rows
from dashboards.fields import KEYS_PER_SECOND, UP_DOWN, Column, Query
from dashboards.frame import Section, dashboard
from dashboards.palette import BAD, GOOD
from dashboards.promql import slower_than

SERVERS = "mongodb|redis|rabbitmq"
NO_LIMIT = "No limit is set"
NO_REPLICA_SET = "Single server, no replica set"

STATUS = Section(
    None,
    4,
    [
        number(
            "Servers",
            "Whether each server responds to its exporter.",
            "While one is down, everything below stops and the applications fail.",
            Query("mongodb_up", "mongodb"),
            Query("redis_up", "redis"),
            Query('up{job="rabbitmq"}', "rabbitmq"),
            unit=units.NoUnit,
            width=7,
            limit=limits.UP,
            texts=UP_DOWN,
            by_service=True,
        ),
        number(
            "RabbitMQ Alarms",
            "RabbitMQ's alarms for memory and disk space.",
            "It accepts no messages until the alarm clears.",
            Query(
                "rabbitmq_alarms_memory_used_watermark + rabbitmq_alarms_free_disk_space_watermark",
                "{{service}}",
            ),
            unit=units.Short,
            limit=limits.QUEUE_ALARMS,
            by_service=True,
        ),
        number(
            "Redis Refused Clients",
            "Connections that Redis refused within the last five minutes.",
            "It refuses clients when it has reached its limit.",
            Query("round(increase(redis_rejected_connections_total[5m]))", "{{service}}"),
            unit=units.Short,
            limit=limits.REFUSALS,
            by_service=True,
        ),
        dial(
            "Redis Memory Limit",
            "Share of its memory limit that Redis uses.",
            "Above 90 % it is about to refuse writes, unless it may evict keys.",
            Query("db:redis_memory_utilization:ratio * 100", "{{service}}", empty=NO_LIMIT),
            unit=units.Percent,
            maximum=100,
            width=5,
            limit=limits.REDIS_MEMORY_PERCENT,
        ),
        dial(
            "Active Connections",
            "Connections that are open to MongoDB.",
            "If it climbs while the query rate does not, an application leaks connections.",
            Query('sum(mongodb_ss_connections{conn_type="current"})', "open"),
            unit=units.Short,
            maximum=500,
            width=4,
        ),
    ],
)

SIGNALS = Section(
    None,
    7,
    [
        lines(
            "Query Rate",
            "Queries per second that the applications send to MongoDB.",
            "A drop to zero means that they cannot reach it; a rise without more requests means that a cache is gone, "
            "or that a loop repeats itself.",
            Query("db:queries:rate5m", "{{collection}} {{operation}}"),
            unit=units.OpsPerSecond,
            width=8,
            stacked=True,
        ),
        lines(
            "Query Latency",
            "50 %, 95 % and 99 % of the queries take at most this long.",
            "If p95 stays above 100 ms, an index is missing: Slow Queries says where.",
            *(Query(f"db:query_duration_seconds:{name}", name) for name in ("p50", "p95", "p99")),
            unit=units.Seconds,
            width=8,
            limit=limits.QUERY_SECONDS,
        ),
        lines(
            "Connection Pool Usage",
            "Connections in use, as a share of what MongoDB allows and of each application's own pool.",
            "Above 80 % queries will soon wait for a connection.",
            Query("db:mongodb_connection_utilization:ratio * 100", "{{instance}}"),
            Query("db:pool_utilization:ratio * 100", "pool of {{instance}}"),
            unit=units.Percent,
            width=8,
            limit=limits.CONNECTION_PERCENT,
        ),
    ],
)

ALERTS_AND_SLOW = Section(
    None,
    6,
    [
        active_alerts(SERVERS),
        rows(
            "Slow Queries",
            "How many queries of each kind took more than 100 ms within the time range, and the mean of all.",
            "A kind whose mean is above 100 ms lacks an index.",
            {
                "Over 100 ms": Column(
                    slower_than("0[.]1", "db_query_duration_seconds", by="collection, operation"),
                    units.Short,
                    limits.ANY,
                ),
                "Mean": Column(
                    "sum by (collection, operation) (increase(db_query_duration_seconds_sum[$__range]))"
                    " / sum by (collection, operation) (increase(db_query_duration_seconds_count[$__range]))",
                    units.Seconds,
                    limits.QUERY_SECONDS,
                ),
            },
            labels={"collection": "Collection", "operation": "Operation"},
        ),
    ],
)

SERVER = Section(
    "MongoDB",
    8,
    [
        bars(
            "Operations by Type",
            "Operations per second that MongoDB itself counts, by type.",
            "If getmore or command outgrows the queries, something reads whole collections.",
            Query("sum by (type) (db:mongodb_operations:rate5m)", "Operations"),
            category="type",
            unit=units.OpsPerSecond,
            width=8,
        ),
        lines(
            "Replication Lag",
            "How far each secondary is behind its primary.",
            "A failover loses what is not yet replicated: above 10 s that is too much.",
            Query(
                "max by (name) (mongodb_mongod_replset_member_replication_lag)",
                "{{name}}",
                empty=NO_REPLICA_SET,
            ),
            unit=units.Seconds,
            width=6,
            limit=limits.REPLICATION_LAG_SECONDS,
        ),
        number(
            "Replica Set Members",
            "Whether each member can be reached by the others.",
            "If another one fails, there is no primary left to write to.",
            Query(
                "max by (service, member_idx) (mongodb_rs_members_health)",
                "{{member_idx}}",
                empty=NO_REPLICA_SET,
            ),
            unit=units.NoUnit,
            width=5,
            limit=limits.REPLICA_MEMBER,
            texts=UP_DOWN,
            by_service=True,
        ),
        dial(
            "Disk Usage",
            "How full the file system is on which MongoDB keeps its data.",
            "From 90 % on it is about to refuse writes.",
            Query("max(mongodb_dbstats_fsUsedSize / mongodb_dbstats_fsTotalSize) * 100", "data"),
            unit=units.Percent,
            maximum=100,
            width=5,
            limit=limits.DISK,
        ),
    ],
)

CACHE = Section(
    "Redis",
    8,
    [
        lines(
            "Redis Hit Rate",
            "Share of the reads that find their key in Redis.",
            "Each miss becomes a query to MongoDB.",
            Query("db:redis_hit_ratio:rate5m * 100", "hits"),
            unit=units.Percent,
            width=6,
            maximum=100,
        ),
        lines(
            "Redis Memory",
            "Memory that Redis uses, and its limit if it has one.",
            "At the limit it evicts keys, and the hit rate falls.",
            Query("redis_memory_used_bytes", "used"),
            Query("redis_memory_max_bytes > 0", "limit", empty=NO_LIMIT),
            unit=units.BytesIEC,
            width=7,
            top=1024.0,
        ),
        lines(
            "Redis Evictions",
            "Keys per second that Redis evicts because memory ran out.",
            "Each becomes a query to MongoDB at its next use.",
            Query("rate(redis_evicted_keys_total[5m])", "evicted keys"),
            unit=KEYS_PER_SECOND,
            width=7,
            limit=limits.EVICTIONS,
        ),
        number(
            "Redis Snapshot",
            "Whether Redis' latest snapshot to disk succeeded.",
            "If it failed, a restart loses everything since the one before.",
            Query("redis_rdb_last_bgsave_status", "{{service}}"),
            unit=units.NoUnit,
            limit=limits.REDIS_SNAPSHOT,
            texts={0: ("Failed", BAD), 1: ("Saved", GOOD)},
            by_service=True,
        ),
    ],
)

QUEUE = Section(
    "RabbitMQ",
    8,
    [
        lines(
            "RabbitMQ Messages",
            "Messages that wait for a consumer, and those delivered but not yet acknowledged.",
            "If the first only climbs, consumers are gone or too slow.",
            Query("sum(rabbitmq_queue_messages_ready)", "ready"),
            Query("sum(rabbitmq_queue_messages_unacked)", "unacknowledged"),
            unit=units.Short,
            width=24,
            limit=limits.QUEUE_MESSAGES,
            top=10.0,
        ),
    ],
)


def build() -> Dashboard:
    """Return the dashboard."""
    return dashboard(
        "database-performance",
        "Queries and connections of MongoDB, its disk and replicas, and the cache and the queue.",
        [STATUS, SIGNALS, ALERTS_AND_SLOW, SERVER, CACHE, QUEUE],
        services=f"{SERVERS}|rust-core-engine",
        logs=f'{{job=~"{SERVERS}"}}',
    )
