"""`stackctl alerts drill`, before an Alertmanager and a sink that a test can make wrong."""

from __future__ import annotations

import asyncio
import datetime as dt
import json
from collections import Counter
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qs

import pytest
import yaml

from stackctl.alerts.examples import examples
from stackctl.clients.alertmanager import AlertmanagerClient
from stackctl.clients.sink import SinkClient
from stackctl.errors import ServiceError
from stackctl.util import paths
from stackctl.verify import alert_drill
from stackctl.verify.alert_drill import DrillReport
from stackctl.verify.tally import DeliveryCounter
from tests.support.http import Reply, Request, Server, as_json, serving

CONFIG = "route: { group_wait: 0s, group_interval: 0s }"
RECEIVERS = {
    "critical": ("critical-alerts", "default"),
    "warning": ("warning-alerts",),
    "info": ("log-only",),
}
MESSAGES = {
    "critical": (
        ("pagerduty", "critical", ""),
        ("email", "team@bot-core.io", "[CRITICAL] "),
        ("slack", "#critical-alerts", ""),
        ("slack", "#bot-core-alerts", ""),
    ),
    "warning": (("slack", "#bot-core-alerts", ""),),
    "info": (),
}
ALERTS = ("ServiceDown", "HighCPUUsage", "NetworkInterfaceErrors")


class Fake:
    """Alertmanager and the sink as one."""

    def __init__(self, server: Server) -> None:
        self.url = server.url
        self.posts: list[list[dict[str, Any]]] = []
        self.messages: list[dict[str, Any]] = []
        self.accepted: Counter[str] = Counter()
        self.lost: set[tuple[str, str]] = set()
        """Statuses and targets of messages that do not arrive."""
        self.extra: list[tuple[str, str, str]] = []
        self.silenced: set[str] = set()
        self.unlisted: set[str] = set()
        server.routes |= {
            "/api/v2/alerts": self._alerts,
            "/api/v2/status": as_json(
                {
                    "versionInfo": {"version": "0"},
                    "config": {"original": CONFIG},
                    "cluster": {"status": "disabled"},
                    "uptime": "2026-01-01T00:00:00Z",
                }
            ),
            "/messages": self._messages,
            "/metrics": self._metrics,
        }

    def _alerts(self, request: Request) -> Reply:
        if request.method == "GET":
            return as_json([self._held(one["labels"]) for one in self.posts[-1]])
        self.posts.append(json.loads(request.body))
        for alert in self.posts[-1]:
            name, severity = alert["labels"]["alertname"], alert["labels"]["severity"]
            ended = dt.datetime.fromisoformat(alert["endsAt"]) <= dt.datetime.now(dt.UTC)
            status = "resolved" if ended else "firing"
            for channel, target, subject in (*MESSAGES[severity], *self.extra):
                if name in self.silenced or (status, target) in self.lost:
                    continue
                self.accepted[channel] += 1
                self.messages.append(
                    {
                        "id": len(self.messages) + 1,
                        "channel": channel,
                        "target": target,
                        "status": status,
                        "title": f"{subject}{name}",
                        "text": alert["annotations"]["summary"],
                    }
                )
        return Reply()

    def _held(self, labels: dict[str, str]) -> dict[str, object]:
        name = labels["alertname"]
        now = "2026-01-01T00:00:00Z"
        silenced = ["0f3a"] if name in self.silenced else []
        return {
            "labels": labels if name not in self.unlisted else {},
            "startsAt": now,
            "endsAt": now,
            "status": {
                "state": "suppressed" if silenced else "active",
                "silencedBy": silenced,
            },
            "receivers": [{"name": one} for one in RECEIVERS[labels["severity"]]],
        }

    def _messages(self, request: Request) -> Reply:
        after = int(parse_qs(request.query).get("after", ["0"])[0])
        return as_json([one for one in self.messages if one["id"] > after])

    def _metrics(self, _request: Request) -> Reply:
        lines = (
            f'alertmanager_notification_requests_total{{integration="{channel}"}} {number}'
            for channel, number in self.accepted.items()
        )
        return Reply("\n".join(lines).encode())


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Iterator[Fake]:
    for name, seconds in (("_LATE", 0.2), ("_MARGIN", 0.0), ("_PAUSE", 0.01)):
        monkeypatch.setattr(alert_drill, name, seconds)
    with serving({}) as server:
        yield Fake(server)


def run(fake: Fake, *, real: frozenset[str] = frozenset()) -> DrillReport:
    async def ask() -> DrillReport:
        async with AlertmanagerClient(fake.url) as alertmanager, SinkClient(fake.url) as sink:
            context = SimpleNamespace(
                alertmanager=alertmanager, sink=sink, real_channels=real, tally=DeliveryCounter()
            )
            return await alert_drill.drill(context, examples(ALERTS), lambda _: None)  # type: ignore[arg-type]

    return asyncio.run(ask())


def problems(report: DrillReport) -> dict[str, list[str]]:
    return {one.alert: one.problems for one in report.alerts if one.problems}


def test_alerts_that_are_delivered_as_routed_pass(fake: Fake) -> None:
    report = run(fake)
    assert report.passed
    assert [one.alert for one in report.alerts] == list(ALERTS)
    assert [one.expected.total() for one in report.alerts] == [4, 1, 0]


def test_alerts_of_a_drill_are_marked_and_share_no_cluster(fake: Fake) -> None:
    run(fake)
    fired, ended = fake.posts
    labels = [one["labels"] for one in fired]
    assert len({one["drill"] for one in labels}) == 1
    assert len({one["cluster"] for one in labels}) == len(ALERTS)
    assert "bot-core" not in {one["cluster"] for one in labels}
    assert [one["labels"] for one in ended] == labels
    assert all(one["annotations"]["summary"].startswith("[drill ") for one in fired)


def test_inhibition_and_grouping_compare_the_cluster() -> None:
    text = (paths.monitoring() / "alertmanager" / "alertmanager.yml").read_text("utf-8")
    config = yaml.safe_load(text)
    assert all("cluster" in rule["equal"] for rule in config["inhibit_rules"])
    routes = [config["route"], *config["route"]["routes"]]
    assert all("cluster" in one["group_by"] for one in routes if "group_by" in one)


WRONG: dict[str, tuple[Callable[[Fake], object], dict[str, list[str]]]] = {
    "a message that does not arrive": (
        lambda f: f.lost.add(("firing", "#critical-alerts")),
        {"ServiceDown": ["firing: nothing delivered to slack #critical-alerts"]},
    ),
    "a resolution that does not arrive": (
        lambda f: f.lost.add(("resolved", "critical")),
        {"ServiceDown": ["resolved: nothing delivered to pagerduty critical"]},
    ),
    "a message that nobody routed": (
        lambda f: f.extra.append(("slack", "#ai-alerts", "")),
        {
            alert: [
                f"{status}: unexpected message to slack #ai-alerts"
                for status in ("firing", "resolved")
            ]
            for alert in ALERTS
        },
    ),
    "an alert that Alertmanager does not list": (
        lambda f: f.unlisted.add("NetworkInterfaceErrors"),
        {"NetworkInterfaceErrors": ["Alertmanager does not list it"]},
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_said_of_the_alert(fake: Fake, name: str) -> None:
    break_, expected = WRONG[name]
    break_(fake)
    report = run(fake)
    assert not report.passed
    assert problems(report) == expected


def test_a_request_that_fails_is_repeated(fake: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    failures = iter([True, False, True, False])
    messages = SinkClient.messages

    async def sometimes(client: SinkClient, *, after: int = 0) -> Any:
        if next(failures, False):
            raise ServiceError("no response within 5 s", service="notification-sink")
        return await messages(client, after=after)

    monkeypatch.setattr(SinkClient, "messages", sometimes)
    monkeypatch.setattr(SinkClient, "last", lambda _: asyncio.sleep(0, len(fake.messages)))
    assert run(fake).passed


def test_an_error_that_stays_is_raised_and_the_alerts_are_ended(
    fake: Fake, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def never(_: SinkClient, *, after: int = 0) -> Any:
        raise ServiceError(f"no messages after {after}", service="notification-sink")

    monkeypatch.setattr(SinkClient, "messages", never)
    monkeypatch.setattr(SinkClient, "last", lambda _: asyncio.sleep(0, 0))
    with pytest.raises(ServiceError, match="no messages after 0"):
        run(fake)
    assert len(fake.posts) == 2


def test_a_silenced_alert_notifies_nobody_and_is_no_failure(fake: Fake) -> None:
    fake.silenced.add("ServiceDown")
    report = run(fake)
    assert report.passed
    assert [one.silenced_by for one in report.alerts] == [("0f3a",), (), ()]


def test_a_real_channel_is_counted(fake: Fake) -> None:
    assert run(fake, real=frozenset({"slack"})).passed
    fake.lost.add(("firing", "#critical-alerts"))
    report = run(fake, real=frozenset({"slack"}))
    assert problems(report) == {}
    assert report.problems == [
        "slack accepted 2 of 3 notifications (firing)",
        "slack accepted 5 of 6 notifications (resolved)",
    ]


def test_alerts_are_ended_when_the_drill_is_interrupted(fake: Fake) -> None:
    async def cancelled() -> None:
        async with AlertmanagerClient(fake.url) as alertmanager, SinkClient(fake.url) as sink:
            context = SimpleNamespace(
                alertmanager=alertmanager,
                sink=sink,
                real_channels=frozenset(),
                tally=DeliveryCounter(),
            )
            task = asyncio.create_task(
                alert_drill.drill(context, examples(ALERTS), lambda _: task.cancel())  # type: ignore[arg-type]
            )
            with pytest.raises(asyncio.CancelledError):
                await task

    asyncio.run(cancelled())
    (fired, ended) = fake.posts
    assert [one["labels"] for one in ended] == [one["labels"] for one in fired]
    assert all(dt.datetime.fromisoformat(one["endsAt"]) <= dt.datetime.now(dt.UTC) for one in ended)
