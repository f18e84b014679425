"""Adapts the configuration of Loki and the log collectors to the releases in use and the containers to read."""

from __future__ import annotations

import copy
import datetime as dt
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from stackctl.project.state import StateFolder
from stackctl.services.applications import MonitoredServices
from stackctl.services.releases import Release

COMPOSE_SERVICE = "com_docker_compose_service"
_META = "__meta_docker_container_"
_SERVICE, _NAME = f"{_META}label_{COMPOSE_SERVICE}", f"{_META}name"
_TARGETS = ("job", "service")

_SCHEMA_FILE = "loki.json"

Rule = dict[str, Any]


def tsdb_from(state: StateFolder) -> dt.date:
    """Return the day (UTC) on which Loki 3's index begins: the recorded day, else tomorrow.

    An index has one table per day. The current day already has lines in the old index, which would no longer be found.
    """
    return _known_day(state) or dt.datetime.now(dt.UTC).date() + dt.timedelta(days=1)


def copy_tsdb_day(source: StateFolder, target: StateFolder) -> None:
    """Copy the recorded day from one state folder to another, so that both render the same."""
    if day := _known_day(source):
        target.write_json(_SCHEMA_FILE, {"tsdb_from": day.isoformat()})


def _known_day(state: StateFolder) -> dt.date | None:
    """Return the recorded day or, if the record was lost, the day in the last configuration of Loki 3."""
    recorded = _day(state.read_json(_SCHEMA_FILE).get("tsdb_from"))
    if recorded is not None:
        return recorded
    try:
        config = (state.config / "loki" / "loki-config.yml").read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    found = re.search(r"from: ['\"]?([0-9-]+)['\"]?\n\s*store: tsdb\n", config)
    return _day(found[1]) if found else None


def _day(value: Any) -> dt.date | None:
    try:
        return dt.date.fromisoformat(value)
    except (TypeError, ValueError):
        return None


def settle_tsdb(state: StateFolder, release: Release) -> None:
    """Record the day for all later configurations, because this release of Loki is about to run.

    With another day Loki 3 would look for lines in the wrong index. While 2.9 runs, no day is recorded.
    """
    day = tsdb_from(state).isoformat()
    if state.read_json(_SCHEMA_FILE) or release == "current":
        state.write_json(_SCHEMA_FILE, {"tsdb_from": day} if release == "current" else {})


def loki(config: dict[str, Any], begins: dt.date) -> None:
    """Convert Loki's configuration from 2.9 to 3.

    Loki 3 rejects removed settings. Its index, tsdb, is used from the day `begins` on (in UTC, like all periods);
    earlier data stays readable. Loki rejects a future day unless structured metadata, which is not used here, is
    disabled.
    """
    del config["limits_config"]["enforce_metric_name"]
    del config["storage_config"]["boltdb_shipper"]["shared_store"]
    del config["compactor"]["shared_store"]
    config["compactor"]["delete_request_store"] = "filesystem"
    config["storage_config"]["tsdb_shipper"] = {
        "active_index_directory": "/loki/tsdb-active",
        "cache_location": "/loki/tsdb-cache",
        "cache_ttl": "24h",
    }
    (period,) = config["schema_config"]["configs"]
    config["schema_config"]["configs"] = [
        period,
        {**copy.deepcopy(period), "from": begins, "store": "tsdb", "schema": "v13"},
    ]
    config["limits_config"] |= {
        "allow_structured_metadata": False,
        # 2.9 does not add these labels, which would start new streams after the upgrade.
        "discover_service_name": [],
        "discover_log_levels": False,
    }


def loki_health(release: Release) -> Mapping[str, str]:
    """Return the variables for Loki's health check in the compose files."""
    if release != "current":
        return {}
    return {"LOKI_HEALTH_PROGRAM": "/usr/bin/loki", "LOKI_HEALTH_FLAG": "-health"}


def promtail(config: dict[str, Any], present: MonitoredServices) -> None:
    """Configure Promtail to read the logs of bot-core's containers too, under the monitoring stack's service names."""
    (own,) = config["scrape_configs"]
    own["relabel_configs"].extend(_renames(present))
    if present.network is not None:
        config["scrape_configs"].append(_on_network(own, present.network))


def alloy(text: str, present: MonitoredServices) -> str:
    """Return Alloy's configuration, changed to read the logs of bot-core's containers too, as `promtail` does."""
    text = _with_rules(text, "docker", before=[], after=[*_renames(present)])
    if present.network is None:
        return text
    found = re.search(r'values = \["([^"=]+)=([^"]+)"\]', text)
    assert found  # noqa: S101 - the file is part of stackctl
    label, project = found.groups()
    blocks = []
    for name in ("discovery.docker", "discovery.relabel", "loki.source.docker"):
        block = _block(text, name, "docker")
        block = block.replace(f'{name} "docker"', f'{name} "attached"', 1)
        block = block.replace("discovery.docker.docker.", "discovery.docker.attached.")
        block = block.replace("discovery.relabel.docker.", "discovery.relabel.attached.")
        block = block.replace('name   = "label"', 'name   = "network"')
        blocks.append(block.replace(found[0], f"values = [{json.dumps(present.network)}]"))
    attached = "\n\n".join(blocks)
    attached = _with_rules(
        attached, "attached", before=[_other_projects(label, project)], after=[*_unnamed()]
    )
    return f"{text.rstrip()}\n\n{attached}\n"


def _renames(present: MonitoredServices) -> Iterator[Rule]:
    for host, service in present.hosts().items():
        regex = f"(?:{re.escape(host)};.*|.*;/{re.escape(host)})"
        for target in _TARGETS:
            yield {
                "source_labels": [_SERVICE, _NAME],
                "regex": regex,
                "target_label": target,
                "replacement": service,
            }


def _on_network(own: dict[str, Any], network: str) -> dict[str, Any]:
    """Return a job for the containers on a network that do not belong to this project, whose are in `own`."""
    other: dict[str, Any] = copy.deepcopy(own)
    other["job_name"] = "docker-attached"
    (discovery,) = other["docker_sd_configs"]
    ((name, project),) = [
        value.split("=") for one in discovery["filters"] for value in one["values"]
    ]
    discovery["filters"] = [{"name": "network", "values": [network]}]
    other["relabel_configs"] = [
        _other_projects(name, project),
        *other["relabel_configs"],
        *_unnamed(),
    ]
    return other


def _other_projects(label: str, project: str) -> Rule:
    return {
        "source_labels": [f"{_META}label_{label.replace('.', '_')}"],
        "regex": re.escape(project),
        "action": "drop",
    }


def _unnamed() -> Iterator[Rule]:
    """Yield the rules for containers that Compose did not create, which only have their own name."""
    for target in _TARGETS:
        yield {
            "source_labels": [target, "container_name"],
            "regex": ";(.+)",
            "target_label": target,
            "replacement": "$1",
        }


def _block(text: str, name: str, label: str) -> str:
    """Return a block of Alloy's configuration, which ends at the next brace at the start of a line."""
    begin = text.index(f'{name} "{label}" {{')
    return text[begin : text.index("\n}", begin) + 2]


def _with_rules(text: str, label: str, *, before: list[Rule], after: list[Rule]) -> str:
    """Add rules before and after those of `discovery.relabel`, but before the last one, which keeps their labels."""
    block = _block(text, "discovery.relabel", label)
    first, last = block.index("  rule {"), block.rindex("  rule {")
    changed = (
        block[:first]
        + "".join(map(_written, before))
        + block[first:last]
        + "".join(map(_written, after))
        + block[last:]
    )
    return text.replace(block, changed)


def _written(rule: Rule) -> str:
    # JSON strings and lists are valid in Alloy.
    lines = "".join(f"    {name} = {json.dumps(value)}\n" for name, value in rule.items())
    return f"  rule {{\n{lines}  }}\n\n"
