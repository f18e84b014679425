"""The clients against the real Prometheus and Alertmanager of the local set, each alone in a container."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Iterator

import pytest

from stackctl.clients.alertmanager import AlertmanagerClient
from stackctl.clients.prometheus import PrometheusClient
from stackctl.clients.reload import ReloadClient
from stackctl.errors import ServiceError
from tests.support.components import started
from tests.support.http import wait_until

pytestmark = pytest.mark.docker

RULES = """
groups:
  - name: always
    interval: 1s
    rules:
      - alert: Always
        expr: vector(1)
        labels: { severity: info, service: prometheus }
      - record: one
        expr: vector(1)
"""
CONFIG = """
global: { scrape_interval: 1s }
rule_files: [/etc/prometheus/rules.yml]
scrape_configs:
  - job_name: prometheus
    static_configs: [{ targets: ["localhost:9090"] }]
"""


@pytest.fixture(scope="module")
def prometheus_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    yield from started(
        "stackctl/prometheus:local",
        9090,
        "--config.file=/etc/prometheus/prometheus.yml --storage.tsdb.path=/prometheus --web.enable-lifecycle",
        {"/etc/prometheus/prometheus.yml": CONFIG, "/etc/prometheus/rules.yml": RULES},
        tmp_path_factory,
    )


@pytest.fixture(scope="module")
def alertmanager_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    yield from started(
        "stackctl/alertmanager:local",
        9093,
        "--config.file=/etc/alertmanager/alertmanager.yml --storage.path=/alertmanager --cluster.listen-address=",
        {
            "/etc/alertmanager/alertmanager.yml": "route: { receiver: none }\nreceivers: [{ name: none }]\n"
        },
        tmp_path_factory,
    )


def test_prometheus_answers_are_what_the_client_reads(prometheus_url: str) -> None:
    async def targets() -> int:
        async with PrometheusClient(prometheus_url) as client:
            return len(await client.targets())

    # Prometheus takes up new targets every five seconds.
    assert wait_until(lambda: asyncio.run(targets()) == 1, 15)

    async def ask() -> None:
        async with PrometheusClient(prometheus_url) as client:
            await client.ready()
            assert (await client.build_info()).version.startswith("2.")
            (target,) = await client.targets()
            assert (target.job, target.instance, target.scrape_interval) == (
                "prometheus",
                "localhost:9090",
                1.0,
            )
            (group,) = await client.rule_groups()
            assert {rule.name: rule.type for rule in group.rules} == {
                "Always": "alerting",
                "one": "recording",
            }
            assert group.interval == 1
            assert (await client.query("vector(3)"))[0].value[1] == 3
            assert (await client.query("scalar(vector(3))"))[0].value[1] == 3
            assert await client.query("absent_metric") == []
            now = dt.datetime.now(dt.UTC).timestamp()
            (series,) = await client.query_range("vector(1)", start=now - 10, end=now, step=5)
            assert [value for _, value in series.values] == [1, 1, 1]
            assert await client.alertmanagers() == []
            with pytest.raises(ServiceError, match=r"400 Bad Request: .*parse error") as caught:
                await client.query("up{")
            assert caught.value.status == 400
        async with ReloadClient("prometheus", prometheus_url) as client:
            await client.reload()

    asyncio.run(ask())


def test_prometheus_gives_the_alert_that_its_rule_holds(prometheus_url: str) -> None:
    async def alerts() -> list[str]:
        async with PrometheusClient(prometheus_url) as client:
            return [f"{alert.labels['alertname']} {alert.state}" for alert in await client.alerts()]

    assert wait_until(lambda: asyncio.run(alerts()) == ["Always firing"], 15)


def test_alertmanager_takes_an_alert_and_gives_it_back(alertmanager_url: str) -> None:
    async def ask() -> None:
        async with AlertmanagerClient(alertmanager_url) as client:
            await client.ready()
            status = await client.status()
            assert status.version_info.version
            assert "receiver: none" in status.config.original
            assert await client.receivers() == ["none"]
            await client.post_alerts([{"labels": {"alertname": "Test", "service": "x"}}])
            (alert,) = await client.alerts()
            assert alert.labels == {"alertname": "Test", "service": "x"}
            assert alert.status.state in {"active", "unprocessed"}
            assert [receiver.name for receiver in alert.receivers] == ["none"]
            ended = dt.datetime.now(dt.UTC).isoformat()
            await client.post_alerts(
                [{"labels": {"alertname": "Test", "service": "x"}, "endsAt": ended}]
            )
            assert await client.alerts() == []
            with pytest.raises(ServiceError, match="400"):
                await client.post_alerts([{"labels": {}}])

    asyncio.run(ask())
