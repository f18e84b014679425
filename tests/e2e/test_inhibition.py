"""Inhibition: the real Alertmanager with the shipped rules, and alerts with the labels that they fire with."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from stackctl.clients.alertmanager import Alert, AlertmanagerClient
from tests.incidents.alertmanager import fits, inhibited
from tests.support.components import started

pytestmark = pytest.mark.docker

MONITORING = Path("infrastructure/monitoring")
RULES: list[dict[str, Any]] = yaml.safe_load(
    (MONITORING / "alertmanager" / "alertmanager.yml").read_text(encoding="utf-8")
)["inhibit_rules"]
CLUSTER = {"cluster": "bot-core"}

Labels = Mapping[str, str]
Key = frozenset[tuple[str, str]]


def as_fired() -> dict[str, Labels]:
    """Return every alert's labels as promtool's unit tests see it fire, or as its LogQL keeps them."""
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


def source_of(rule: Mapping[str, Any]) -> Labels:
    """Return an alert that a rule takes for a source: one that fires, or the inhibitor of a cause, with its labels."""
    # ServiceGone fires for any service; its unit test has one of them.
    gone = {**FIRED["ServiceGone"], "service": "rabbitmq", "job": "rabbitmq"}
    for one in (*FIRED.values(), gone):
        inhibitor = {**one, "alertname": "InhibitorCause", "cause": one["alertname"]}
        spent = {**inhibitor, "alertname": "InhibitorBudgetSpent"}
        for candidate in (one, inhibitor, spent):
            if fits(rule["source_matchers"], key(candidate)):
                return candidate
    raise AssertionError(f"no alert is a source of {rule}")


def test_each_rule_keeps_its_targets_quiet_and_no_others(url: str) -> None:
    posted: list[Labels] = []
    sources: list[Key] = []
    targeted: set[Key] = set()
    for number, rule in enumerate(RULES):
        here = {"cluster": f"case-{number}"}
        source = {**source_of(rule), **here}
        posted.append(source)
        sources.append(key(source))
        targets = [one for one in FIRED.values() if fits(rule["target_matchers"], key(one))]
        assert targets, rule
        for target in targets:
            # The same service, machine or disk, where the rule compares them; a label that one of them lacks is empty.
            same = {
                name: source.get(name, "")
                for name in rule["equal"]
                if name in source.keys() | target
            }
            alike = {name: value for name, value in {**target, **same, **here}.items() if value}
            posted.append(alike)
            targeted.add(key(alike))
            for name in rule["equal"]:
                if alike.get(name):
                    other = {**alike, name: f"{alike[name]}-not-{target['alertname']}"}
                    posted.append(other)
    # Another rule may have the same source and a wider reach.
    quiet = {key(labels) for labels in posted if inhibited(RULES, key(labels), sources)}
    assert targeted <= quiet
    assert suppressed(url, posted) == quiet


def test_one_living_instance_is_heard_and_so_are_causes_and_risk(url: str) -> None:
    here = {"cluster": "living", "service": "rust-core-engine", "job": "rust-core-engine"}
    down = {**FIRED["ServiceDown"], **here, "instance": "one:8080", "cause": "ServiceDown"}
    heard = [
        {**FIRED[name], **here, "instance": instance}
        for name in ("UnexpectedPositionSize", "FileDescriptorsExhausted", "TargetWithoutSamples")
        for instance in ("one:8080", "two:8080")
    ]
    aggregated = [{**FIRED[name], **here} for name in ("HighErrorRate", "TradingHalted")]
    found = suppressed(url, [{**down, "alertname": "InhibitorCause"}, *heard, *aggregated])
    assert found == {key({**FIRED["TargetWithoutSamples"], **here, "instance": "one:8080"})}


def test_an_exporter_that_is_down_keeps_nothing_of_its_database_quiet(url: str) -> None:
    here = {"cluster": "exporter", "service": "mongodb", "job": "mongodb"}
    posted = [
        {**FIRED["ServiceDown"], **here, "alertname": "InhibitorCause", "cause": "ServiceDown"},
        {**FIRED["ContainerMemoryNearLimit"], **here},
    ]
    assert suppressed(url, posted) == set()


def key(labels: Labels) -> Key:
    return frozenset(labels.items())


def suppressed(url: str, posted: list[Labels]) -> set[Key]:
    """Hand alerts in, and give those of them that are inhibited."""

    async def ask() -> list[Alert]:
        async with AlertmanagerClient(url) as client:
            await client.post_alerts([{"labels": labels} for labels in posted])
            return await client.alerts()

    wanted = {key(labels) for labels in posted}
    found = {key(one.labels): one for one in asyncio.run(ask())}
    assert wanted <= found.keys()
    return {one for one in wanted if found[one].status.inhibited_by}
