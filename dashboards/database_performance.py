"""Do the databases, the cache and the queue keep up?"""

from __future__ import annotations

from grafana_foundation_sdk.models import units
from grafana_foundation_sdk.models.dashboard import Dashboard

from dashboards import limits
from dashboards.builders import UP_DOWN, Column, Query, bars, dial, lines, number, rows
from dashboards.frame import Section, dashboard
from dashboards.promql import slower_than

QUERIES = Section(
    "Queries",
    9,
    [
        number(
            "Servers",
            "Whether each server answers its exporter. Worry when one is down: all below stands still then, and the "
            "applications fail.",
            Query("mongodb_up", "MongoDB"),
            Query("redis_up", "Redis"),
            Query('up{job="rabbitmq"}', "RabbitMQ"),
            unit=units.NoUnit,
            limit=limits.UP,
            texts=UP_DOWN,
            by_service=True,
        ),
        lines(
            "Query Rate",
            "Queries a second that the applications send to MongoDB. Worry about a fall to zero, or a rise without "
            "more requests: a cache is gone, or a loop asks again and again.",
            Query("db:queries:rate5m", "{{collection}} {{operation}}"),
            unit=units.OpsPerSecond,
            width=10,
            stacked=True,
        ),
        lines(
            "Query Latency",
            "Half, 95 % and 99 % of the queries take at most this long. Worry when p95 stays above 100 ms: the table "
            "of slow queries says which.",
            *(Query(f"db:query_duration_seconds:{name}", name) for name in ("p50", "p95", "p99")),
            unit=units.Seconds,
            width=10,
            limit=limits.QUERY_SECONDS,
        ),
    ],
)

CONNECTIONS = Section(
    "Connections",
    9,
    [
        dial(
            "Active Connections",
            "Connections that MongoDB has open now. Worry when it climbs while the query rate does not: an application "
            "does not give them back.",
            Query('sum(mongodb_ss_connections{conn_type="current"})', "open"),
            unit=units.Short,
            maximum=500,
            width=4,
        ),
        lines(
            "Connection Pool Usage",
            "Connections in use as a share of what MongoDB allows, and of the engine's own pool. "
            "Worry above 80 %: soon queries wait for a connection.",
            Query("db:mongodb_connection_utilization:ratio * 100", "{{instance}}"),
            Query("db:pool_utilization:ratio * 100", "pool of {{instance}}"),
            unit=units.Percent,
            width=8,
            limit=limits.CONNECTION_PERCENT,
        ),
        rows(
            "Slow Queries",
            "How many queries of each kind took more than 100 ms in the chosen time range, and the mean of all. Worry "
            "about a kind whose mean is above 100 ms: it lacks an index.",
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

NO_REPLICA_SET = "One server, no replica set"

SERVER = Section(
    "MongoDB",
    8,
    [
        bars(
            "Operations by Type",
            "Operations a second that MongoDB counts itself, by type. Worry when reads by getmore or command outgrow "
            "the queries: something reads whole collections.",
            Query("sum by (type) (db:mongodb_operations:rate5m)", "Operations"),
            category="type",
            unit=units.OpsPerSecond,
            width=8,
        ),
        lines(
            "Replication Lag",
            "How far each secondary is behind its primary. Worry above 10 s: a failover would lose "
            "that much.",
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
            "Whether the other members reach each one. Worry when one is down: one more, and no "
            "primary is left to write to.",
            Query(
                "max by (service, member_idx) (mongodb_rs_members_health)",
                "{{member_idx}}",
                empty=NO_REPLICA_SET,
            ),
            unit=units.NoUnit,
            limit=limits.REPLICA_MEMBER,
            texts=UP_DOWN,
            by_service=True,
        ),
        dial(
            "Disk Usage",
            "How full the file system is that MongoDB keeps its data on. Worry from 80 %; from 90 % it is about to "
            "refuse writes.",
            Query("max(mongodb_dbstats_fsUsedSize / mongodb_dbstats_fsTotalSize) * 100", "data"),
            unit=units.Percent,
            maximum=100,
            limit=limits.DISK,
        ),
    ],
)

NO_LIMIT = "Redis has no memory limit"

CACHE_AND_QUEUE = Section(
    "Redis and RabbitMQ",
    8,
    [
        lines(
            "Redis Memory",
            "Memory that Redis uses, and its limit where one is set. At the limit it drops keys; worry when that makes "
            "the hit rate fall.",
            Query("redis_memory_used_bytes", "used"),
            Query("redis_memory_max_bytes > 0", "limit", empty=NO_LIMIT),
            unit=units.BytesIEC,
            width=8,
        ),
        lines(
            "Redis Hit Rate",
            "Share of reads that Redis has an answer for. Worry about a fall: each miss becomes a "
            "query to MongoDB.",
            Query("db:redis_hit_ratio:rate5m * 100", "hits"),
            unit=units.Percent,
            width=8,
        ),
        lines(
            "RabbitMQ Messages",
            "Messages that wait for a consumer, and those given out but not yet confirmed. Worry when the first only "
            "climbs: consumers are gone or too slow.",
            Query("sum(rabbitmq_queue_messages_ready)", "ready"),
            Query("sum(rabbitmq_queue_messages_unacked)", "unacknowledged"),
            unit=units.Short,
            width=8,
            limit=limits.QUEUE_MESSAGES,
        ),
    ],
)

AT_THE_LIMIT = Section(
    "What Redis and RabbitMQ refuse",
    8,
    [
        dial(
            "Redis Memory Limit",
            "Share of the memory that Redis may have. Worry above 90 % where it may drop no key: then it refuses "
            "writes.",
            Query("db:redis_memory_utilization:ratio * 100", "{{service}}", empty=NO_LIMIT),
            unit=units.Percent,
            maximum=100,
            width=5,
            limit=limits.REDIS_MEMORY_PERCENT,
        ),
        number(
            "Redis Snapshot",
            "Whether Redis' last snapshot to disk worked. Worry when it failed: a restart loses what came since.",
            Query("redis_rdb_last_bgsave_status", "{{service}}"),
            unit=units.NoUnit,
            limit=limits.REDIS_SNAPSHOT,
            texts={0: ("Failed", limits.BAD), 1: ("Saved", limits.GOOD)},
            by_service=True,
        ),
        lines(
            "Redis Evictions",
            "Keys a second that Redis drops for want of memory. Worry above 10: each is a query to MongoDB next time.",
            Query("rate(redis_evicted_keys_total[5m])", "dropped keys"),
            unit=units.OpsPerSecond,
            width=7,
            limit=limits.EVICTIONS,
        ),
        number(
            "Redis Refused Clients",
            "Connections that Redis refused in the last five minutes. Worry about any: it has as many clients as it "
            "allows.",
            Query("round(increase(redis_rejected_connections_total[5m]))", "{{service}}"),
            unit=units.Short,
            limit=limits.REFUSALS,
            by_service=True,
        ),
        number(
            "RabbitMQ Alarms",
            "Alarms of RabbitMQ for memory and for disk space. Worry about any: it takes no message until it is over.",
            Query(
                "rabbitmq_alarms_memory_used_watermark + rabbitmq_alarms_free_disk_space_watermark",
                "{{service}}",
            ),
            unit=units.Short,
            limit=limits.QUEUE_ALARMS,
            by_service=True,
        ),
    ],
)


def build() -> Dashboard:
    """Give the dashboard."""
    return dashboard(
        "database-performance",
        "Queries and connections of MongoDB, its disk and replicas, and the cache and queue beside it.",
        [QUERIES, CONNECTIONS, SERVER, CACHE_AND_QUEUE, AT_THE_LIMIT],
        services="mongodb|redis|rabbitmq|rust-core-engine",
        logs='{job=~"mongodb|redis|rabbitmq"}',
    )
