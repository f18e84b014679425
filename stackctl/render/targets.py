"""Makes the configuration watch bot-core's services where they are, and leaves out what only tells of absent ones."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import MutableMapping
from typing import Any

from stackctl.render import prune
from stackctl.services.applications import APPLICATIONS, MonitoredServices
from stackctl.services.releases import Releases
from stackctl.util import yaml_text

_COMPOSE_SERVICE = "com_docker_compose_service"
_RULES = ("prometheus/alerts/", "prometheus/recording-rules/", "loki/rules/")
_DASHBOARDS = "grafana/dashboards/"

_FALLBACK = "PrometheusText0.0.4"
"""What Prometheus 3 is to take an answer without a Content-Type for, as 2 did; without it the scrape fails."""


def dumped(config: dict[str, Any]) -> str:
    """Write a file that differs from its source, and say at its top where it comes from."""
    head = (
        "# Rendered by stackctl from the settings: edits here are lost at the next `stackctl up`.\n"
    )
    return head + yaml_text.dump(config)


def prometheus(text: str, releases: Releases, present: MonitoredServices) -> str:
    """Point every job at its service, and leave out every target that tells of an absent one."""
    current = releases["prometheus"] == "current"
    if present.demo and not current:
        return text
    config: dict[str, Any] = yaml_text.load(text)
    if not present.demo:
        config["scrape_configs"] = _present_jobs(config["scrape_configs"], present)
    if current:
        for job in config["scrape_configs"]:
            job["fallback_scrape_protocol"] = _FALLBACK
    return dumped(config)


def _present_jobs(jobs: list[dict[str, Any]], present: MonitoredServices) -> list[dict[str, Any]]:
    kept = []
    for job in jobs:
        static = job.pop("static_configs", None)
        if static is not None:
            monitored = [
                _pointed(job, one, present)
                for one in static
                if one["labels"]["service"] not in present.left_out
            ]
            if not monitored:
                continue
            job["static_configs"] = monitored
        if job["job_name"] == "cadvisor":
            _containers(job["metric_relabel_configs"], present)
        kept.append(job)
    return kept


def _pointed(
    job: dict[str, Any], static: dict[str, Any], present: MonitoredServices
) -> dict[str, Any]:
    service, name = static["labels"]["service"], job["job_name"]
    if service not in APPLICATIONS:
        return static
    target = present.targets[service]
    if name == "blackbox-http":
        address = f"http://{target.address}{present.health[service]}"
    elif name == "blackbox-websocket":
        address = target.address
    elif target.path:
        job["metrics_path"], address = target.path, target.address
    else:
        return static
    return {**static, "targets": [address]}


def _containers(rules: list[dict[str, Any]], present: MonitoredServices) -> None:
    """Keep the containers of bot-core's own projects too, by the names that they have here."""
    for rule in rules:
        if rule["action"] == "keep":
            rule["regex"] = "|".join((rule["regex"], *present.projects))
    label = f"container_label_{_COMPOSE_SERVICE}"
    rules.extend(
        {
            "source_labels": [label, "name"],
            "regex": f"(?:{re.escape(host)};.*|.*;{re.escape(host)})",
            "target_label": label,
            "replacement": service,
        }
        for host, service in present.hosts().items()
    )


def promtail(text: str, present: MonitoredServices) -> str:
    """Read the logs of bot-core's containers too, under the names that they have here."""
    if present.demo or not present.targets:
        return text
    config: dict[str, Any] = yaml_text.load(text)
    (own,) = config["scrape_configs"]
    label, container = (
        f"__meta_docker_container_label_{_COMPOSE_SERVICE}",
        "__meta_docker_container_name",
    )
    for host, service in present.hosts().items():
        regex = f"(?:{re.escape(host)};.*|.*;/{re.escape(host)})"
        own["relabel_configs"].extend(
            {
                "source_labels": [label, container],
                "regex": regex,
                "target_label": target,
                "replacement": service,
            }
            for target in ("job", "service")
        )
    if present.network is not None:
        config["scrape_configs"].append(_on_network(own, present.network))
    return dumped(config)


def _on_network(own: dict[str, Any], network: str) -> dict[str, Any]:
    """Make a job of the containers on a network that are not this project's: those `own` has already."""
    other: dict[str, Any] = copy.deepcopy(own)
    other["job_name"] = "docker-attached"
    (discovery,) = other["docker_sd_configs"]
    ((name, project),) = [
        value.split("=") for one in discovery["filters"] for value in one["values"]
    ]
    discovery["filters"] = [{"name": "network", "values": [network]}]
    label = name.replace(".", "_")
    drop = {
        "source_labels": [f"__meta_docker_container_label_{label}"],
        "regex": re.escape(project),
        "action": "drop",
    }
    # A container that no Compose file made has its own name only.
    unnamed = [
        {
            "source_labels": [target, "container_name"],
            "regex": ";(.+)",
            "target_label": target,
            "replacement": "$1",
        }
        for target in ("job", "service")
    ]
    other["relabel_configs"] = [drop, *other["relabel_configs"], *unnamed]
    return other


def leave_out(
    files: MutableMapping[str, bytes], present: MonitoredServices
) -> tuple[list[str], list[str]]:
    """Take the rules and panels about absent services alone out of the files.

    Returns the names of the removed alerts, and of the removed panels with their dashboards. An alert counts as removed
    only if none of its rules is left.
    """
    if not present.left_out:
        return [], []
    rules = {name: yaml_text.load(files[name]) for name in files if name.startswith(_RULES)}
    records = prune.recorded(rules.values())
    alerts: list[str] = []
    kept_alerts: set[str] = set()
    for name, content in rules.items():
        rest, removed = prune.without(content, present.targets, records)
        alerts += removed
        kept_alerts |= prune.alert_names(rest)
        if not rest["groups"]:
            del files[name]
        elif rest != content:
            files[name] = dumped(rest).encode()
    panels: list[str] = []
    for name in [name for name in files if name.startswith(_DASHBOARDS)]:
        board = json.loads(files[name])
        kept, titles = prune.board_without(board, present.targets, records)
        panels += [f"{board['title']}: {title}" for title in titles]
        if kept is None:
            del files[name]
        elif titles:
            files[name] = (json.dumps(kept, indent=2, ensure_ascii=False) + "\n").encode()
    return [name for name in alerts if name not in kept_alerts], panels
