"""Promtail's configuration and Alloy's say the same, and so do Loki's for both of its releases."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from stackctl.lifecycle import log_positions
from stackctl.render import logs
from stackctl.services.applications import MonitoredServices, Target
from standins.loki import config as loki_config
from standins.promtail import relabel
from standins.promtail.alloy import config as alloy_config
from standins.shared import units
from standins.shared.process import ConfigError

FOLDER = Path(__file__).parents[2] / "infrastructure" / "monitoring" / "loki"
PROMTAIL: dict[str, Any] = yaml.safe_load((FOLDER / "promtail-config.yml").read_text("utf-8"))
LOKI = (FOLDER / "loki-config.yml").read_text("utf-8")
DEMO = MonitoredServices(demo=True, targets={}, health={})
ATTACHED = MonitoredServices(
    demo=False,
    targets={"redis": Target("cache", 6379, ""), "mongodb": Target("mongodb", 27017, "")},
    health={},
    network="theirs",
    projects=("other",),
)
CONTAINERS = {
    "our own": {"service": "loki", "project": "bot-core", "name": "loki", "image": "loki:1"},
    "one-off": {"service": "demo", "project": "bot-core", "name": "bot-core-demo-run-1a2b3c"},
    "being recreated": {"service": "loki", "project": "bot-core", "name": "0123456789ab_loki"},
    "theirs": {"service": "api", "project": "other", "name": "other-api-1"},
    "theirs under our name": {"service": "cache", "project": "other", "name": "other-cache-1"},
    "theirs by its own name": {"name": "cache"},
    "without Compose": {"name": "alone"},
}


def components(folder: Path, present: MonitoredServices) -> alloy_config.Components:
    path = folder / "config.alloy"
    path.write_text(logs.alloy((FOLDER / "config.alloy").read_text("utf-8"), present), "utf-8")
    return alloy_config.read(path)


def promtail(present: MonitoredServices) -> dict[str, Any]:
    config: dict[str, Any] = yaml.safe_load(yaml.safe_dump(PROMTAIL))
    logs.promtail(config, present)
    return config


def without_alloys_own(stages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return stages without what Promtail has no setting for, after a look at its value."""
    text = yaml.safe_dump(stages)
    assert "action_on_duplicate_timestamp: fudge" not in text
    kept: list[dict[str, Any]] = yaml.safe_load(
        "\n".join(line for line in text.split("\n") if "action_on_duplicate_timestamp" not in line)
    )
    return kept


def test_both_collectors_have_the_same_stages_and_the_same_limit(tmp_path: Path) -> None:
    ours = components(tmp_path, DEMO).document
    (scrape,), (theirs,) = ours["scrape_configs"], PROMTAIL["scrape_configs"]
    assert without_alloys_own(scrape["pipeline_stages"]) == theirs["pipeline_stages"]
    assert scrape["docker_sd_configs"] == theirs["docker_sd_configs"]
    limits = PROMTAIL["limits_config"]
    assert ours["limits_config"] == {
        **limits,
        "max_line_size": units.limit_size(limits["max_line_size"]),
    }


def test_both_collectors_send_alike(tmp_path: Path) -> None:
    (ours,), (theirs,) = components(tmp_path, DEMO).document["clients"], PROMTAIL["clients"]
    for setting in ("url", "batchwait", "backoff_config"):
        assert ours[setting] == theirs[setting]
    # A day of attempts: what waits is in Docker's log files, what is given up is gone.
    backoff = theirs["backoff_config"]
    pause = units.duration(backoff["max_period"]) / units.NANOSECONDS
    assert pause <= 10
    assert backoff["max_retries"] * pause >= 24 * 3600


def discovered(container: Mapping[str, str]) -> dict[str, str]:
    prefix = "__meta_docker_container_"
    labels = {
        f"{prefix}id": "1" * 64,
        f"{prefix}name": f"/{container['name']}",
        "__meta_docker_network_ip": "172.18.0.9",
        "__address__": "172.18.0.9:80",
    }
    for key, label in (
        ("service", "com_docker_compose_service"),
        ("project", "com_docker_compose_project"),
        ("image", "stackctl_image"),
    ):
        if key in container:
            labels[f"{prefix}label_{label}"] = container[key]
    return labels


def inspected(container: Mapping[str, str]) -> dict[str, Any]:
    names = {
        "service": "com.docker.compose.service",
        "project": "com.docker.compose.project",
        "image": "stackctl.image",
    }
    labels = {names[key]: value for key, value in container.items() if key in names}
    return {"Id": "1" * 64, "Name": f"/{container['name']}", "Config": {"Labels": labels}}


@pytest.mark.parametrize("container", CONTAINERS.values(), ids=CONTAINERS)
@pytest.mark.parametrize("present", [DEMO, ATTACHED], ids=["demo", "attached"])
def test_both_collectors_give_a_container_the_same_labels(
    tmp_path: Path, container: Mapping[str, str], present: MonitoredServices
) -> None:
    found = components(tmp_path, present)
    jobs = list(
        zip(
            promtail(present)["scrape_configs"],
            found.document["scrape_configs"],
            found.target_rules,
            strict=True,
        )
    )
    own = container.get("project") == "bot-core"
    theirs, ours, target_rules = jobs[0 if own else -1]
    if not own and len(jobs) == 1:
        pytest.skip("it is not read")
    meta = {**discovered(container), "__meta_docker_container_log_stream": "stdout"}
    expected = relabel.process(relabel.parse(theirs["relabel_configs"]), meta)
    target = relabel.process(relabel.parse(target_rules), discovered(container))
    assert expected is not None
    assert target is not None
    stream = {**target, "__meta_docker_container_log_stream": "stdout"}
    labels = relabel.process(relabel.parse(ours["relabel_configs"]), stream)
    assert labels is not None

    def visible(all_of_them: Mapping[str, str]) -> dict[str, str]:
        return {name: one for name, one in all_of_them.items() if not name.startswith("__")}

    assert visible(labels) == visible(expected)
    # Positions are handed over under the labels of the target, without any address.
    handed = log_positions.target_labels(inspected(container), "bot-core", present)
    assert {name: value for name, value in handed.items() if value} == target


def test_containers_of_the_own_project_are_not_read_twice(tmp_path: Path) -> None:
    found = components(tmp_path, ATTACHED)
    own = discovered(CONTAINERS["our own"])
    assert relabel.process(relabel.parse(found.target_rules[1]), own) is None
    filters = [
        scrape["docker_sd_configs"][0]["filters"] for scrape in found.document["scrape_configs"]
    ]
    assert filters == [
        scrape["docker_sd_configs"][0]["filters"] for scrape in promtail(ATTACHED)["scrape_configs"]
    ]


def loki(folder: Path, begins: dt.date, version: str) -> loki_config.Config:
    config = yaml.safe_load(LOKI)
    logs.loki(config, begins)
    path = folder / "loki.yml"
    path.write_text(yaml.safe_dump(config), "utf-8")
    return loki_config.load(path, version)


@pytest.mark.parametrize("days", [-40, 0, 1])
def test_loki_3_takes_its_configuration_before_and_after_its_index_begins(
    tmp_path: Path, days: int
) -> None:
    today = dt.datetime.now(dt.UTC).date()
    found = loki(tmp_path, today + dt.timedelta(days=days), "3.7.6")
    with_2_9 = loki_config.load(FOLDER / "loki-config.yml", "2.9.3")
    assert found.limits == replace(with_2_9.limits)
    assert found.ruler == with_2_9.ruler
    old, new = found.document["schema_config"]["configs"]
    assert (old["from"], old["store"]) == (dt.date(2024, 1, 1), "boltdb-shipper")
    assert (new["store"], new["schema"]) == ("tsdb", "v13")


def test_neither_loki_takes_the_others_configuration(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="shared_store not found"):
        loki_config.load(FOLDER / "loki-config.yml", "3.7.6")
    with pytest.raises(ConfigError, match=r"compactor\.shared_store"):
        loki(tmp_path, dt.date(2026, 1, 1), "2.9.3")
