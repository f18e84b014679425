"""Inhibition: the real Alertmanager with the shipped rules, and alerts with the labels that they fire with."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from stackctl.clients.alertmanager import Alert, AlertmanagerClient
from tests.support.components import started

pytestmark = pytest.mark.docker

MONITORING = Path("infrastructure/monitoring")
RULES: list[dict[str, Any]] = yaml.safe_load(
    (MONITORING / "alertmanager" / "alertmanager.yml").read_text(encoding="utf-8")
)["inhibit_rules"]
CLUSTER = {"cluster": "bot-core"}

Labels = Mapping[str, str]


def as_fired() -> dict[str, Labels]:
    """Give every alert's labels as promtool's unit tests see it fire, or as its LogQL keeps them."""
    found: dict[str, Labels] = {}
    for path in sorted((MONITORING / "prometheus" / "tests").glob("*.yml")):
        for test in yaml.safe_load(path.read_text(encoding="utf-8"))["tests"]:
            for case in test.get("alert_rule_test", []):
                for fired in case.get("exp_alerts", [])[:1]:
                    found.setdefault(case["alertname"], fired["exp_labels"])
    for path in (MONITORING / "loki" / "rules" / "fake").glob("*.yml"):
        for group in yaml.safe_load(path.read_text(encoding="utf-8"))["groups"]:
            for rule in group["rules"]:
                app = {"job": "rust-core-engine", "service": "rust-core-engine"}
                found[rule["alert"]] = app | rule["labels"]
    return {name: {**labels, **CLUSTER, "alertname": name} for name, labels in found.items()}


FIRED = as_fired()


def fits(matchers: Iterable[str], labels: Labels) -> bool:
    """Tell whether labels fit all matchers of a rule."""
    for text in matchers:
        name, operator, value = text.split(" ", 2)
        pattern = value.strip('"') if "~" in operator else re.escape(value)
        if bool(re.fullmatch(pattern, labels.get(name, ""))) == operator.startswith("!"):
            return False
    return True


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    config = {
        "route": {"receiver": "none"},
        "receivers": [{"name": "none"}],
        "inhibit_rules": RULES,
    }
    yield from started(
        "stackctl/alertmanager:local",
        9093,
        "--config.file=/etc/alertmanager/alertmanager.yml --storage.path=/alertmanager --cluster.listen-address=",
        {"/etc/alertmanager/alertmanager.yml": yaml.safe_dump(config)},
        tmp_path_factory,
    )


def test_each_rule_keeps_its_targets_quiet_and_those_of_another_service_not(url: str) -> None:
    posted: list[Labels] = []
    quiet: set[tuple[str, str]] = set()
    for number, rule in enumerate(RULES):
        here = f"case-{number}"
        (source, *_) = (one for one in FIRED.values() if fits(rule["source_matchers"], one))
        posted.append({**source, "service": here})
        targets = [one for one in FIRED.values() if fits(rule["target_matchers"], one)]
        assert targets, rule
        for target in targets:
            # The same machine, the same disk: where both have such a label at all.
            same = {name: source[name] for name in rule["equal"] if name in source.keys() & target}
            posted.append({**target, **same, "service": here})
            posted.append({**target, **same, "service": f"{here}-not-{target['alertname']}"})
            quiet.add((target["alertname"], here))
    assert suppressed(url, posted) == quiet


def test_an_exporter_that_is_down_keeps_nothing_of_its_database_quiet(url: str) -> None:
    here = {"service": "database-of-an-exporter"}
    posted = [
        {**FIRED["ServiceDown"], **here, "job": "mongodb"},
        {**FIRED["ContainerMemoryNearLimit"], **here},
    ]
    assert suppressed(url, posted) == set()


def suppressed(url: str, posted: list[Labels]) -> set[tuple[str, str]]:
    """Hand alerts in, and give those of them that are inhibited: name and service."""

    async def ask() -> list[Alert]:
        async with AlertmanagerClient(url) as client:
            await client.post_alerts([{"labels": labels} for labels in posted])
            return await client.alerts()

    services = {labels["service"] for labels in posted}
    found = [one for one in asyncio.run(ask()) if one.labels["service"] in services]
    assert len(found) == len({tuple(sorted(labels.items())) for labels in posted})
    return {
        (one.labels["alertname"], one.labels["service"]) for one in found if one.status.inhibited_by
    }
