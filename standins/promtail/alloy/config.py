"""Translates Alloy's components into Promtail's settings, the reverse of `alloy convert`.

Like Alloy, it rejects components, blocks and arguments that it does not know.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from standins.promtail import config, relabel
from standins.promtail.alloy.syntax import Block, Reference, SyntaxProblem, parse
from standins.promtail.config import Config
from standins.shared import units
from standins.shared.process import ConfigError

_ARGUMENTS: Mapping[str, frozenset[str]] = {
    name: frozenset(arguments.split())
    for name, arguments in {
        "logging": "level format",
        "discovery.docker": "host port host_networking_host refresh_interval match_first_network",
        "discovery.docker/filter": "name values",
        "discovery.relabel": "targets",
        "rule": "source_labels separator regex modulus target_label replacement action",
        "loki.source.docker": "host targets forward_to labels relabel_rules refresh_interval",
        "loki.process": "forward_to",
        "loki.write": "external_labels max_streams",
        "endpoint": "name url batch_wait batch_size remote_timeout headers min_backoff_period max_backoff_period "
        "max_backoff_retries tenant_id retry_on_http_429",
        "queue_config": "capacity min_shards drain_timeout block_on_overflow",
        "stage.decolorize": "",
        "stage.drop": "drop_counter_reason source value separator expression older_than longer_than",
        "stage.json": "expressions source drop_malformed",
        "stage.label_drop": "values",
        "stage.label_keep": "values",
        "stage.labels": "values",
        "stage.match": "selector action pipeline_name drop_counter_reason",
        "stage.multiline": "firstline max_lines max_wait_time",
        "stage.output": "source",
        "stage.regex": "expression source",
        "stage.replace": "expression source replace",
        "stage.static_labels": "values",
        "stage.template": "source template",
        "stage.timestamp": "source format fallback_formats location action_on_failure action_on_duplicate_timestamp",
        "stage.truncate": "",
        "truncate/rule": "limit",
    }.items()
}
_NAMES = {"label_drop": "labeldrop", "label_keep": "labelallow"}
"""Stages with another name in Promtail."""
_EXPERIMENTAL = frozenset({"queue_config"})


@dataclass(frozen=True, slots=True)
class Components:
    """The result of a file: Promtail's document, and the labels of the components that send and read."""

    document: dict[str, Any]
    target_rules: list[list[dict[str, Any]]]
    """The rules for a container, by job. Promtail has none: its rules are for each stream."""
    write: str
    source: str


def load(path: Path, *, storage: Path, address: str, port: int, experimental: bool) -> Config:
    """Read a file, with the values of the flags. Raises ConfigError."""
    components = read(path, experimental=experimental)
    document = components.document
    document["server"] |= {"http_listen_address": address, "http_listen_port": port}
    folder = f"loki.source.docker.{components.source}"
    document["positions"] = {"filename": str(storage / folder / "positions.yml")}
    try:
        found = config.from_document(document)
        scrapes = tuple(
            replace(scrape, target_rules=relabel.parse(rules))
            for scrape, rules in zip(found.scrapes, components.target_rules, strict=True)
        )
        return replace(found, scrapes=scrapes)
    except (ValueError, TypeError) as error:
        raise ConfigError(f"{path}: {error}") from None


def read(path: Path, *, experimental: bool = True) -> Components:
    """Return the result of a file. Raises ConfigError."""
    try:
        return _File(parse(path.read_text(encoding="utf-8")), experimental).translated()
    except OSError as error:
        raise ConfigError(f"reading config path {str(path)!r}: {error.strerror}") from None
    except (SyntaxProblem, ValueError) as error:
        raise ConfigError(f"{path}: {error}") from None


class _File:
    def __init__(self, blocks: list[Block], experimental: bool) -> None:
        self._experimental = experimental
        self._blocks: dict[str, Block] = {}
        for block in blocks:
            self._check(block, block.name)
            key = f"{block.name}.{block.label}" if block.label else block.name
            if key in self._blocks:
                raise ValueError(f"block {key} already declared")
            self._blocks[key] = block

    def translated(self) -> Components:
        (write,) = self._all("loki.write")
        sources = self._all("loki.source.docker")
        if not sources:
            raise ValueError("the stand-in reads the logs of loki.source.docker, and there is none")
        endpoints = [one for one in write.blocks if one.name == "endpoint"]
        log = self._blocks.get("logging", Block("logging")).attributes
        limits: dict[str, Any] = {}
        document = {
            "server": {"log_level": log.get("level", "info")},
            "clients": [_client(one) for one in endpoints],
            "scrape_configs": [self._scrape(one, write, limits) for one in sources],
            "limits_config": limits,
        }
        rules = [
            [dict(rule.attributes) for rule in self._component(one, "targets", ".output").blocks]
            for one in sources
        ]
        return Components(document, rules, write.label, sources[0].label)

    def _all(self, name: str) -> list[Block]:
        return [block for block in self._blocks.values() if block.name == name]

    def _scrape(self, source: Block, write: Block, limits: dict[str, Any]) -> dict[str, Any]:
        process = self._component(source, "forward_to", ".receiver")
        if self._component(process, "forward_to", ".receiver") is not write:
            raise ValueError(f"loki.process.{process.label} does not send to loki.write")
        targets = self._component(source, "targets", ".output")
        discovery = self._component(targets, "targets", ".targets")
        rules = self._component(source, "relabel_rules", ".rules")
        stages = _stages(process)
        if stages and "truncate" in stages[-1]:
            limits |= {"max_line_size": stages.pop()["truncate"], "max_line_size_truncate": True}
        found = {key: value for key, value in discovery.attributes.items() if key != "port"}
        filters = [dict(one.attributes) for one in discovery.blocks if one.name == "filter"]
        return {
            "job_name": source.label,
            "docker_sd_configs": [{**found, "filters": filters}],
            "relabel_configs": [dict(rule.attributes) for rule in rules.blocks],
            "pipeline_stages": stages,
        }

    def _component(self, block: Block, argument: str, export: str) -> Block:
        value = block.attributes.get(argument)
        if isinstance(value, list) and len(value) == 1:
            (value,) = value
        if not isinstance(value, Reference) or not value.path.endswith(export):
            raise ValueError(f"{block.name}.{block.label}: {argument} is not one {export[1:]}")
        key = value.path.removesuffix(export)
        if key not in self._blocks:
            raise ValueError(f"{block.name}.{block.label}: component {key!r} does not exist")
        return self._blocks[key]

    def _check(self, block: Block, kind: str) -> None:
        if kind not in _ARGUMENTS:
            raise ValueError(f"unrecognized block name {block.name!r}")
        if block.name in _EXPERIMENTAL and not self._experimental:
            raise ValueError(
                f"changing {block.name} requires stability.level flag to be experimental"
            )
        for argument in block.attributes:
            if argument not in _ARGUMENTS[kind]:
                raise ValueError(f"unrecognized attribute name {argument!r} in {block.name}")
        for inner in block.blocks:
            named = f"{kind.removeprefix('stage.')}/{inner.name}"
            self._check(inner, named if named in _ARGUMENTS else inner.name)


def _stages(block: Block) -> list[dict[str, Any]]:
    return [_stage(one) for one in block.blocks]


def _stage(block: Block) -> dict[str, Any]:
    name = block.name.removeprefix("stage.")
    settings: Any = dict(block.attributes)
    match name:
        case "match":
            settings["stages"] = _stages(block)
        case "labels" | "static_labels" | "label_drop" | "label_keep":
            settings = settings["values"]
        case "timestamp":
            settings.setdefault("action_on_duplicate_timestamp", "fudge")
        case "truncate":
            (rule,) = block.blocks
            settings = _size(rule.attributes["limit"])
    return {_NAMES.get(name, name): settings}


def _client(endpoint: Block) -> dict[str, Any]:
    given = endpoint.attributes
    backoff = {
        ours: given[theirs]
        for ours, theirs in (
            ("min_period", "min_backoff_period"),
            ("max_period", "max_backoff_period"),
            ("max_retries", "max_backoff_retries"),
        )
        if theirs in given
    }
    return {
        "url": given.get("url"),
        "batchwait": given.get("batch_wait", "1s"),
        "batchsize": _size(given.get("batch_size", "1MiB")),
        "timeout": given.get("remote_timeout", "10s"),
        "headers": given.get("headers", {}),
        "backoff_config": backoff,
    }


def _size(text: str) -> int:
    return units.size(text)
