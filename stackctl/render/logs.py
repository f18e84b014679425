"""Makes the configuration of Loki and of the log collectors fit the releases that run and the containers to be read."""

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
    """Return the day (UTC) on which Loki 3's index begins: the one that is known, else the next one.

    An index has a table a day. A day that has begun has lines in the old index, which would not be found any more.
    """
    return _known_day(state) or dt.datetime.now(dt.UTC).date() + dt.timedelta(days=1)


def copy_tsdb_day(source: StateFolder, target: StateFolder) -> None:
    """Record the day that is known in one state folder in another, so that both render the same."""
    if day := _known_day(source):
        target.write_json(_SCHEMA_FILE, {"tsdb_from": day.isoformat()})


def _known_day(state: StateFolder) -> dt.date | None:
    """Return the day that is recorded, or where the record was lost that of the last configuration of Loki 3."""
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
    """Keep the day for all later configurations, now that this release of Loki is to run.

    With another day Loki 3 would look for lines in the wrong index. As long as 2.9 runs no day is known.
    """
    day = tsdb_from(state).isoformat()
    if state.read_json(_SCHEMA_FILE) or release == "current":
        state.write_json(_SCHEMA_FILE, {"tsdb_from": day} if release == "current" else {})


def loki(config: dict[str, Any], begins: dt.date) -> None:
    """Change Loki's configuration, which is for 2.9, into one for 3.

    Loki 3 refuses what it has no more. Its index, tsdb, is used from the day `begins` on (UTC, as periods are): what
    was stored before stays readable as it is. A day still to come is refused unless structured metadata is switched
    off, which nothing here uses.
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
        # Labels that 2.9 does not add; a stream would be another one after the upgrade.
        "discover_service_name": [],
        "discover_log_levels": False,
    }


def loki_health(release: Release) -> Mapping[str, str]:
    """Return the variables of Loki's health check in the compose files."""
    if release != "current":
        return {}
    return {"LOKI_HEALTH_PROGRAM": "/usr/bin/loki", "LOKI_HEALTH_FLAG": "-health"}


def promtail(config: dict[str, Any], present: MonitoredServices) -> None:
    """Make Promtail read the logs of bot-core's containers too, under the names that they have here."""
    (own,) = config["scrape_configs"]
    own["relabel_configs"].extend(_renames(present))
    if present.network is not None:
        config["scrape_configs"].append(_on_network(own, present.network))


def alloy(text: str, present: MonitoredServices) -> str:
    """Return Alloy's file so that it reads the logs of bot-core's containers too, as `promtail` does."""
    text = _with_rules(text, "docker", before=[], after=[*_renames(present)])
    if present.network is None:
        return text
    found = re.search(r'values = \["([^"=]+)=([^"]+)"\]', text)
    assert found  # noqa: S101 - the file is ours
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
    """Make a job of the containers on a network that are not this project's: those `own` has already."""
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
    """Yield the rules for a container that no Compose file made: it has its own name only."""
    for target in _TARGETS:
        yield {
            "source_labels": [target, "container_name"],
            "regex": ";(.+)",
            "target_label": target,
            "replacement": "$1",
        }


def _block(text: str, name: str, label: str) -> str:
    """Return a block of Alloy's file: its end is the next brace at the beginning of a line."""
    begin = text.index(f'{name} "{label}" {{')
    return text[begin : text.index("\n}", begin) + 2]


def _with_rules(text: str, label: str, *, before: list[Rule], after: list[Rule]) -> str:
    """Put rules before and after those of `discovery.relabel`, but for the last one, which keeps what they made."""
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
    # JSON's strings and lists are Alloy's too.
    lines = "".join(f"    {name} = {json.dumps(value)}\n" for name, value in rule.items())
    return f"  rule {{\n{lines}  }}\n\n"
