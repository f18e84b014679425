"""Reads Promtail's configuration file, and rejects what the stand-in does not support."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

from standins.promtail import relabel
from standins.promtail.client import ClientConfig, LineLimit
from standins.promtail.relabel import Rule
from standins.promtail.stages import Pipeline
from standins.shared import labels as label_sets
from standins.shared import logs, units
from standins.shared.docker import Docker
from standins.shared.process import ConfigError


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


_SECTIONS = _names(
    "global server client clients positions scrape_configs target_config limits_config options tracing wal"
)
_SCRAPE = _names("job_name pipeline_stages relabel_configs docker_sd_configs")
_DOCKER = _names("host port filters host_networking_host refresh_interval")
_CLIENT = _names(
    "name url batchwait batchsize backoff_config timeout external_labels headers follow_redirects "
    "enable_http2"
)


@dataclass(frozen=True, slots=True)
class DockerConfig:
    """One entry of docker_sd_configs; `refresh` in nanoseconds."""

    host: str
    port: int
    filters: Mapping[str, list[str]]
    refresh: int
    host_networking_host: str


@dataclass(frozen=True, slots=True)
class Scrape:
    """One entry of scrape_configs."""

    job: str
    pipeline: Pipeline
    rules: tuple[Rule, ...]
    target_rules: tuple[Rule, ...]
    """Alloy's rules for a container, before those for each of its streams."""
    docker: tuple[DockerConfig, ...]


@dataclass(frozen=True, slots=True)
class Config:
    """The options that the stand-in uses."""

    address: str
    port: int
    log_level: int
    health_check_target: bool
    positions: Path
    sync_period: int
    line_limit: LineLimit
    clients: tuple[ClientConfig, ...]
    scrapes: tuple[Scrape, ...]
    document: Mapping[str, Any]
    """The file's own content, for /config."""


def load(path: Path) -> Config:
    """Read the file. Raises ConfigError."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        reason = (error.strerror or "").lower()
        raise ConfigError(f"Unable to parse config: {path}: {reason}") from None
    try:
        document = yaml.safe_load(text) or {}
        return from_document(document)
    except (yaml.YAMLError, ValueError, TypeError) as error:
        raise ConfigError(f"Unable to parse config: {path}: {error}") from None


def from_document(document: object) -> Config:
    """Return the options in a document of Promtail's form. Raises ValueError and TypeError."""
    root = _known(document, _SECTIONS, "config.Config")
    server = _section(root, "server")
    level = logs.level(str(server.get("log_level", "info")))
    if level is None:
        raise ValueError(f"unrecognized log level {server['log_level']!r}")
    clients = list(root.get("clients") or ())
    if root.get("client"):
        clients.append(root["client"])
    if not clients:
        raise ValueError("at least one client config must be provided")
    scrapes = tuple(_scrape(scrape) for scrape in root.get("scrape_configs") or ())
    if not any(scrape.docker for scrape in scrapes):
        raise ValueError("the stand-in reads the logs of docker_sd_configs, and there is none")
    positions = _section(root, "positions")
    return Config(
        address=str(server.get("http_listen_address") or "0.0.0.0"),  # noqa: S104 the container's port
        port=int(server.get("http_listen_port", 80)),
        log_level=level,
        health_check_target=bool(server.get("health_check_target", True)),
        positions=Path(str(positions.get("filename", "/var/log/positions.yaml"))),
        sync_period=_duration(positions, "sync_period", "10s"),
        line_limit=_line_limit(_section(root, "limits_config")),
        clients=tuple(_client(client) for client in clients),
        scrapes=scrapes,
        document=root,
    )


def _line_limit(limits: Mapping[str, Any]) -> LineLimit:
    for name in limits:
        if name not in {"max_line_size", "max_line_size_truncate"}:
            raise ValueError(f"limits_config: the stand-in has no {name}")
    size = units.limit_size(str(limits.get("max_line_size", 0)))
    return LineLimit(size, bool(limits.get("max_line_size_truncate", False)))


def _client(client: object) -> ClientConfig:
    values = _known(client, _CLIENT, "client.raw")
    url = str(values.get("url") or "")
    if urlsplit(url).scheme not in {"http", "https"} or not urlsplit(url).hostname:
        raise ValueError(f"client needs target URL, not {url!r}")
    backoff = _section(values, "backoff_config")
    return ClientConfig(
        url=url,
        batch_wait=_duration(values, "batchwait", "1s"),
        batch_size=int(values.get("batchsize", 1 << 20)),
        timeout=_duration(values, "timeout", "10s"),
        min_backoff=_duration(backoff, "min_period", "500ms"),
        max_backoff=_duration(backoff, "max_period", "5m"),
        max_retries=int(backoff.get("max_retries", 10)),
        external_labels=_labels(values.get("external_labels")),
        headers={str(name): str(value) for name, value in _section(values, "headers").items()},
    )


def _scrape(scrape: object) -> Scrape:
    values = _section_of(scrape, "scrape_configs")
    job = str(values.get("job_name") or "")
    for key in values:
        if key not in _SCRAPE:
            raise ValueError(f"scrape config {job!r}: the stand-in has no {key}")
    try:
        return Scrape(
            job=job,
            pipeline=Pipeline(values.get("pipeline_stages")),
            rules=relabel.parse(values.get("relabel_configs")),
            target_rules=(),
            docker=tuple(_docker(one) for one in values.get("docker_sd_configs") or ()),
        )
    except ValueError as error:
        raise ValueError(f"scrape config {job!r}: {error}") from None


def _docker(config: object) -> DockerConfig:
    values = _section_of(config, "docker_sd_configs")
    for key in values:
        if key not in _DOCKER:
            raise ValueError(f"docker_sd_configs: the stand-in has no {key}")
    if not values.get("host"):
        raise ValueError("host missing")
    Docker(str(values["host"]))
    filters: dict[str, list[str]] = {}
    for one in values.get("filters") or ():
        entry = _known(one, frozenset({"name", "values"}), "moby.Filter")
        filters.setdefault(str(entry["name"]), []).extend(map(str, entry.get("values") or ()))
    return DockerConfig(
        str(values["host"]),
        int(values.get("port", 80)),
        filters,
        _duration(values, "refresh_interval", "60s"),
        str(values.get("host_networking_host", "localhost")),
    )


def _labels(config: object) -> dict[str, str]:
    labels = {str(name): str(value) for name, value in _section_of(config or {}, "labels").items()}
    for name in labels:
        if not label_sets.is_name(name):
            raise ValueError(f"{name!r} is not a valid label name")
    return labels


def _known(section: object, names: frozenset[str], type_name: str) -> dict[str, Any]:
    values = _section_of(section, type_name)
    for name in values:
        if name not in names:
            raise ValueError(f"yaml: unmarshal errors: field {name} not found in type {type_name}")
    return values


def _section(parent: Mapping[str, Any], name: str) -> dict[str, Any]:
    return _section_of(parent.get(name) or {}, name)


def _section_of(value: object, name: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError(f"{name}: not a mapping")
    return value


def _duration(section: Mapping[str, Any], name: str, default: str) -> int:
    try:
        return units.duration(str(section.get(name, default)))
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None
