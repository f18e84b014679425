"""Points the configuration at bot-core's services, and removes what is only about services that are not monitored."""

from __future__ import annotations

import json
import re
from collections.abc import MutableMapping
from typing import Any

from stackctl.render import prune
from stackctl.render.logs import COMPOSE_SERVICE
from stackctl.services import catalog
from stackctl.services.applications import APPLICATIONS, MonitoredServices
from stackctl.services.releases import Releases
from stackctl.util import yaml_text

RULES = ("prometheus/alerts/", "prometheus/recording-rules/", "loki/rules/")
"""The folders of rule files."""
_DASHBOARDS = "grafana/dashboards/"

_FALLBACK = "PrometheusText0.0.4"
"""The format that Prometheus 3 assumes for a page without a Content-Type, as 2 did; otherwise the scrape fails."""


def dumped(config: dict[str, Any]) -> str:
    """Return the text of a file that differs from its source, with a header that says so."""
    head = (
        "# Rendered by stackctl from the settings: edits here are lost at the next `stackctl up`.\n"
    )
    return head + yaml_text.dump(config)


def prometheus(text: str, releases: Releases, present: MonitoredServices) -> str:
    """Point every job at its service, and remove the targets of services that are not monitored."""
    config: dict[str, Any] = yaml_text.load(text)
    absent = set(catalog.LOG_COLLECTORS) - {catalog.log_collector(releases)}
    config["scrape_configs"] = [
        job for job in config["scrape_configs"] if job["job_name"] not in absent
    ]
    if not present.demo:
        config["scrape_configs"] = _present_jobs(config["scrape_configs"], present)
    if releases["prometheus"] == "current":
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
    """Keep containers of bot-core's projects too, under the monitoring stack's service names."""
    for rule in rules:
        if rule["action"] == "keep":
            rule["regex"] = "|".join((rule["regex"], *present.projects))
    label = f"container_label_{COMPOSE_SERVICE}"
    rules.extend(
        {
            "source_labels": [label, "name"],
            "regex": f"(?:{re.escape(host)};.*|.*;{re.escape(host)})",
            "target_label": label,
            "replacement": service,
        }
        for host, service in present.hosts().items()
    )


def leave_out(
    files: MutableMapping[str, bytes], present: MonitoredServices
) -> tuple[list[str], list[str]]:
    """Remove rules and panels that are only about unmonitored services, or about containers without metrics.

    Return the names of the removed alerts, and of the removed panels with their dashboards. An alert only counts as
    removed if none of its rules is left.
    """
    if not present.left_out and present.container_metrics:
        return [], []
    rules = {name: yaml_text.load(files[name]) for name in files if name.startswith(RULES)}
    records = prune.recorded(rules.values())
    alerts: list[str] = []
    kept_alerts: set[str] = set()
    for name, content in rules.items():
        rest, removed = prune.without(content, present.subjects, records)
        alerts += removed
        kept_alerts |= prune.alert_names(rest)
        if not rest["groups"]:
            del files[name]
        elif rest != content:
            files[name] = dumped(rest).encode()
    panels: list[str] = []
    for name in [name for name in files if name.startswith(_DASHBOARDS)]:
        board = json.loads(files[name])
        kept, titles = prune.board_without(board, present.subjects, records)
        panels += [f"{board['title']}: {title}" for title in titles]
        if kept is None:
            del files[name]
        elif titles:
            files[name] = (json.dumps(kept, indent=2, ensure_ascii=False) + "\n").encode()
    return [name for name in alerts if name not in kept_alerts], panels
