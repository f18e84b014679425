"""bot-core's metric contract as series of Prometheus. Rules use no application metric that is not in it."""

from __future__ import annotations

from stackctl.services.contract import CONTRACT

TARGET_LABELS = frozenset({"job", "instance", "service"})
"""The labels that scraping adds to every series."""

SERIES = {
    name: TARGET_LABELS | labels
    for metrics in CONTRACT.values()
    for metric in metrics
    for name, labels in metric.series.items()
}
"""Every series of the applications, and the labels that it has."""

_SCRAPED = """
alertmanager_alerts_invalid_total alertmanager_config_last_reload_successful
alertmanager_notifications_failed_total blackbox_exporter_config_last_reload_successful
container_cpu_usage_seconds_total container_memory_working_set_bytes container_network_receive_bytes_total
container_network_receive_errors_total container_network_receive_packets_total
container_network_transmit_bytes_total container_network_transmit_errors_total
container_network_transmit_packets_total container_spec_cpu_period container_spec_cpu_quota
container_spec_memory_limit_bytes kong_datastore_reachable kong_http_requests_total kong_kong_latency_ms_bucket
loki_request_duration_seconds_count mongodb_dbstats_fsTotalSize mongodb_dbstats_fsUsedSize
mongodb_dbstats_indexSize mongodb_dbstats_storageSize mongodb_op_counters_total mongodb_ss_connections mongodb_up
node_boot_time_seconds node_cpu_seconds_total node_disk_io_time_seconds_total node_filesystem_avail_bytes
node_filesystem_files node_filesystem_files_free node_filesystem_readonly node_filesystem_size_bytes node_load1
node_load15 node_load5 node_memory_MemAvailable_bytes node_memory_MemTotal_bytes node_timex_offset_seconds
node_uname_info node_vmstat_oom_kill probe_duration_seconds probe_http_status_code probe_success process_max_fds
process_open_fds process_start_time_seconds prometheus_config_last_reload_success_timestamp_seconds
prometheus_config_last_reload_successful prometheus_notifications_alertmanagers_discovered
prometheus_notifications_dropped_total prometheus_rule_evaluation_failures_total
prometheus_rule_group_iterations_missed_total prometheus_target_scrapes_sample_duplicate_timestamp_total
prometheus_target_scrapes_sample_out_of_bounds_total prometheus_target_scrapes_sample_out_of_order_total
prometheus_tsdb_checkpoint_creations_failed_total prometheus_tsdb_compactions_failed_total
prometheus_tsdb_head_samples_appended_total prometheus_tsdb_head_truncations_failed_total
prometheus_tsdb_reloads_failures_total prometheus_tsdb_storage_blocks_bytes prometheus_tsdb_wal_corruptions_total
prometheus_tsdb_wal_storage_size_bytes prometheus_tsdb_wal_truncations_failed_total
prometheus_tsdb_wal_writes_failed_total promtail_docker_target_entries_total promtail_dropped_entries_total
promtail_sent_entries_total
rabbitmq_alarms_free_disk_space_watermark rabbitmq_alarms_memory_used_watermark rabbitmq_queue_messages_ready
rabbitmq_queue_messages_unacked redis_evicted_keys_total redis_instance_info redis_keyspace_hits_total
redis_keyspace_misses_total redis_memory_max_bytes redis_memory_used_bytes redis_rdb_last_bgsave_status
redis_rejected_connections_total redis_up redis_uptime_in_seconds scrape_samples_post_metric_relabeling up
"""

SCRAPED = frozenset(_SCRAPED.split())
"""What rules, dashboards, runbooks and guide read of exporters, processes and the monitoring itself. An end-to-end test
finds each of them in the running demo."""

ELSEWHERE = {
    "mongodb_mongod_replset_member_replication_lag": "mongodb_exporter 0.40, of a replica set",
    "mongodb_rs_members_health": "mongodb_exporter 0.40, of a replica set",
    "probe_ssl_earliest_cert_expiry": "blackbox_exporter, of an address with TLS",
    "loki_discarded_samples_total": "Loki, once it has discarded a line",
    **dict.fromkeys(
        (
            "loki_source_docker_target_entries_total",
            "loki_write_dropped_entries_total",
            "loki_write_sent_entries_total",
        ),
        "Alloy, the log collector of the current releases",
    ),
    "ALERTS": "Prometheus itself, while an alert is pending or fires",
    "ALERTS_FOR_STATE": "Prometheus itself, while an alert is pending or fires",
}
"""What the demo at rest has not got, and whose it is."""

EXPORTED = SCRAPED | ELSEWHERE.keys()
"""All series that are not the applications'."""
