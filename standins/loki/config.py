"""Reads Loki's configuration file: rejects what Loki rejects, and keeps the options that the stand-in uses."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

from standins.loki import VERSION
from standins.shared import logs, units
from standins.shared.process import ConfigError


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


_SECTIONS = _names(
    "target auth_enabled http_prefix ballast_bytes use_buffered_logger use_sync_logger server internal_server "
    "distributor querier query_scheduler frontend query_range ruler ingester_client ingester index_gateway "
    "storage_config chunk_store_config schema_config compactor compactor_client compactor_grpc_client limits_config "
    "frontend_worker table_manager memberlist runtime_config tracing analytics legacy_read_target common "
    "shutdown_delay"
)
_LIMITS = _names(
    "ingestion_rate_strategy ingestion_rate_mb ingestion_burst_size_mb max_label_name_length max_label_value_length "
    "max_label_names_per_series reject_old_samples reject_old_samples_max_age creation_grace_period "
    "enforce_metric_name max_line_size max_line_size_truncate increment_duplicate_timestamp max_streams_per_user "
    "max_global_streams_per_user unordered_writes per_stream_rate_limit per_stream_rate_limit_burst "
    "max_chunks_per_query max_query_series max_query_lookback max_query_length max_query_range "
    "max_query_parallelism tsdb_max_query_parallelism tsdb_max_bytes_per_shard cardinality_limit "
    "max_streams_matchers_per_query max_concurrent_tail_requests max_entries_limit_per_query "
    "max_cache_freshness_per_query max_stats_cache_freshness max_queriers_per_tenant query_ready_index_num_days "
    "query_timeout split_queries_by_interval min_sharding_lookback max_query_bytes_read max_querier_bytes_read "
    "volume_enabled volume_max_series ruler_evaluation_delay_duration ruler_max_rules_per_rule_group "
    "ruler_max_rule_groups_per_tenant ruler_alertmanager_config ruler_tenant_shard_size "
    "ruler_remote_write_disabled ruler_remote_write_url ruler_remote_write_timeout ruler_remote_write_headers "
    "ruler_remote_write_relabel_configs ruler_remote_write_queue_capacity ruler_remote_write_queue_min_shards "
    "ruler_remote_write_queue_max_shards ruler_remote_write_queue_max_samples_per_send "
    "ruler_remote_write_queue_batch_send_deadline ruler_remote_write_queue_min_backoff "
    "ruler_remote_write_queue_max_backoff ruler_remote_write_queue_retry_on_ratelimit "
    "ruler_remote_write_sigv4_config ruler_remote_write_config ruler_remote_evaluation_timeout "
    "ruler_remote_evaluation_max_response_size deletion_mode retention_period retention_stream "
    "per_tenant_override_config per_tenant_override_period allow_deletes shard_streams blocked_queries "
    "required_labels minimum_labels_number index_gateway_shard_size allow_structured_metadata"
)
_NEW_LIMITS = _names(
    "discover_service_name discover_log_levels discover_generic_fields log_level_fields volume_enabled "
    "pattern_ingester_enabled metric_aggregation_enabled otlp_config max_structured_metadata_size"
)
"""Loki 3's limits that 2.9 does not have."""
_GONE_LIMITS = _names("enforce_metric_name")
_NOT_STOOD_IN = ("retention_stream", "required_labels", "blocked_queries")
_MEGABYTE = 1 << 20


@dataclass(frozen=True, slots=True)
class Limits:
    """`limits_config`, with Loki's defaults; times in nanoseconds, sizes in bytes, 0 for no limit where so noted."""

    ingestion_rate: float
    ingestion_burst: float
    reject_old_samples: bool
    max_age: int
    creation_grace: int
    max_behind: int
    """How far a line may be behind the newest of its stream: half of a chunk's maximum age."""
    max_line_size: int
    """0 for no limit."""
    truncate_lines: bool
    max_label_name: int
    max_label_value: int
    max_label_names: int
    max_streams: int
    """0 for no limit."""
    max_entries: int
    max_series: int
    max_query_length: int
    """0 for no limit."""
    query_timeout: int
    retention: int
    """0 for ever, also if the compactor's retention is off."""


@dataclass(frozen=True, slots=True)
class RulerConfig:
    """`ruler`: the folder of its rules, its Alertmanagers, and the labels that it adds to an alert."""

    folder: Path | None
    alertmanagers: tuple[str, ...] = ()
    external_url: str = ""
    datasource_uid: str = ""
    external_labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Config:
    """The options that the stand-in uses."""

    address: str
    port: int
    log_level: int
    folder: Path
    ruler: RulerConfig
    align_steps: bool
    compaction_interval: int
    limits: Limits
    document: Mapping[str, Any]
    """The file's own content, for /config."""


def load(path: Path, version: str = VERSION) -> Config:
    """Read the file as this version of Loki does. Raises ConfigError, in Loki's words if Loki rejects it too."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(
            f"failed parsing config: open {path}: {(error.strerror or '').lower()}"
        ) from None
    try:
        document = yaml.safe_load(text) or {}
    except yaml.YAMLError as error:
        raise ConfigError(f"failed parsing config: {path}: {error}") from None
    if not isinstance(document, dict):
        raise ConfigError(f"failed parsing config: {path}: not a mapping")
    try:
        return _config(document, int(version.partition(".")[0]))
    except (ValueError, TypeError) as error:
        raise ConfigError(f"failed parsing config: {path}: {error}") from None


def _config(document: dict[str, Any], major: int) -> Config:
    _known(document, _SECTIONS, "loki.ConfigWrapper")
    _storage(document, major)
    if document.get("auth_enabled", True):
        raise ValueError("the stand-in has no tenants: it needs auth_enabled: false")
    server = _section(document, "server")
    level = logs.level(str(server.get("log_level", "info")))
    if level is None:
        raise ValueError(f"unrecognized log level {server['log_level']!r}")
    common = _section(document, "common")
    prefix = common.get("path_prefix") or _section(
        _section(document, "storage_config"), "filesystem"
    ).get("directory")
    if not prefix:
        raise ValueError("common.path_prefix: the stand-in needs a folder for its lines")
    compactor = _section(document, "compactor")
    return Config(
        address=str(server.get("http_listen_address", "")) or "0.0.0.0",  # noqa: S104 the container's port
        port=int(server.get("http_listen_port", 3100)),
        log_level=level,
        folder=Path(prefix) / "standin",
        ruler=_ruler(document),
        align_steps=_bool(_section(document, "query_range"), "align_queries_with_step", False),
        compaction_interval=_duration(compactor, "compaction_interval", "10m"),
        limits=_limits(
            _section(document, "limits_config"),
            _bool(compactor, "retention_enabled", False),
            _duration(_section(document, "ingester"), "max_chunk_age", "2h"),
            _LIMITS - _GONE_LIMITS | _NEW_LIMITS if major >= 3 else _LIMITS,
        ),
        document=document,
    )


def _ruler(document: dict[str, Any]) -> RulerConfig:
    ruler = _section(document, "ruler")
    urls = tuple(str(ruler["alertmanager_url"]).split(",")) if ruler.get("alertmanager_url") else ()
    for one in urls:
        if urlsplit(one).scheme not in {"http", "https"} or not urlsplit(one).hostname:
            raise ValueError(f"ruler.alertmanager_url: {one!r} is no address")
    storage = _section(ruler, "storage")
    if storage.get("type", "local") != "local":
        raise ValueError(f"ruler.storage.type: the stand-in has local only, not {storage['type']}")
    folder = _section(storage, "local").get("directory")
    labels = _section(ruler, "external_labels")
    return RulerConfig(
        folder=Path(folder) if folder else None,
        alertmanagers=tuple(one.rstrip("/") for one in urls),
        external_url=str(ruler.get("external_url") or "").rstrip("/"),
        datasource_uid=str(ruler.get("datasource_uid") or ""),
        external_labels={str(name): str(value) for name, value in labels.items()},
    )


def _storage(document: dict[str, Any], major: int) -> None:
    """Reject what a major version rejects in the storage, schema and compactor sections."""
    shipper = _section(_section(document, "storage_config"), "boltdb_shipper")
    compactor = _section(document, "compactor")
    retention = _bool(compactor, "retention_enabled", False)
    if major < 3:
        if "delete_request_store" in compactor and "shared_store" not in compactor:
            raise ValueError("compactor.shared_store: the stand-in's 2.9 needs it")
        return
    for section, type_name in ((shipper, "boltdb.IndexCfg"), (compactor, "compactor.Config")):
        if "shared_store" in section:
            raise ValueError(
                f"yaml: unmarshal errors: field shared_store not found in type {type_name}"
            )
    if retention and not compactor.get("delete_request_store"):
        raise ValueError(
            "CONFIG ERROR: invalid compactor config: compactor.delete-request-store should be configured when "
            "retention is enabled"
        )
    now = dt.datetime.now(dt.UTC).date()
    begun = [one for one in _periods(document) if one[0] <= now]
    metadata = _bool(_section(document, "limits_config"), "allow_structured_metadata", True)
    if metadata and begun and begun[-1][1:] != ("tsdb", "v13"):
        raise ValueError(
            "CONFIG ERROR: schema v13 is required to store Structured Metadata and use native OTLP ingestion, and tsdb "
            "index type is required; your active index type or schema version is another"
        )


def _periods(document: dict[str, Any]) -> list[tuple[dt.date, str, str]]:
    """Return the schema's periods: the day each begins, its index and its version. Raises ValueError."""
    found = []
    for one in _section(document, "schema_config").get("configs") or ():
        day = one.get("from")
        if not isinstance(day, dt.date):
            day = dt.date.fromisoformat(str(day))
        found.append((day, str(one.get("store")), str(one.get("schema"))))
    if found != sorted(found):
        raise ValueError("schema_config: periods are not in the order of their days")
    return found


def _limits(
    section: dict[str, Any], retention_enabled: bool, chunk_age: int, known: frozenset[str]
) -> Limits:
    _known(section, known, "validation.plain")
    for name in _NOT_STOOD_IN:
        if section.get(name):
            raise ValueError(f"limits_config.{name}: the stand-in has no such limit")
    retention = _duration(section, "retention_period", "0s")
    return Limits(
        ingestion_rate=float(section.get("ingestion_rate_mb", 4)) * _MEGABYTE,
        ingestion_burst=float(section.get("ingestion_burst_size_mb", 6)) * _MEGABYTE,
        reject_old_samples=_bool(section, "reject_old_samples", True),
        max_age=_duration(section, "reject_old_samples_max_age", "7d"),
        creation_grace=_duration(section, "creation_grace_period", "10m"),
        max_behind=chunk_age // 2,
        max_line_size=units.limit_size(str(section.get("max_line_size", 0))),
        truncate_lines=_bool(section, "max_line_size_truncate", False),
        max_label_name=int(section.get("max_label_name_length", 1024)),
        max_label_value=int(section.get("max_label_value_length", 2048)),
        max_label_names=int(section.get("max_label_names_per_series", 30)),
        max_streams=int(section.get("max_global_streams_per_user", 5000)),
        max_entries=int(section.get("max_entries_limit_per_query", 5000)),
        max_series=int(section.get("max_query_series", 500)),
        max_query_length=_duration(section, "max_query_length", "721h"),
        query_timeout=_duration(section, "query_timeout", "1m"),
        retention=retention if retention_enabled else 0,
    )


def _known(section: Mapping[str, Any], names: frozenset[str], type_name: str) -> None:
    for name in section:
        if name not in names:
            raise ValueError(f"yaml: unmarshal errors: field {name} not found in type {type_name}")


def _section(parent: Mapping[str, Any], name: str) -> dict[str, Any]:
    section = parent.get(name) or {}
    if not isinstance(section, dict):
        raise ValueError(f"cannot unmarshal {name}: not a mapping")
    return section


def _bool(section: Mapping[str, Any], name: str, default: bool) -> bool:
    value = section.get(name, default)
    if not isinstance(value, bool):
        raise ValueError(f"cannot unmarshal {name}: {value!r} is not a bool")
    return value


def _duration(section: Mapping[str, Any], name: str, default: str) -> int:
    try:
        return units.duration(str(section.get(name, default)))
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None
