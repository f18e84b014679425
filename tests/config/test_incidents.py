"""One incident pages once: the real rules and routes on the incidents of tests/incidents, and the guide's table."""

from __future__ import annotations

import http.server
import json
import os
import socket
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from stackctl.values.durations import parse_duration
from tests.incidents import table
from tests.incidents.alertmanager import routes
from tests.incidents.incidents import WARM_UP
from tests.incidents.rules import Labels
from tests.incidents.table import Outcome
from tests.incidents.world import STEP
from tests.support.http import wait_until
from tests.support.tools import outputs

# Its reaper is an image of a registry; the container below is stopped by its context manager.
os.environ["TESTCONTAINERS_RYUK_DISABLED"] = "true"

from testcontainers.core.container import DockerContainer

# What its tests share takes long to make, so one process runs them all.
pytestmark = [pytest.mark.docker, pytest.mark.xdist_group("incidents")]

PAGES = {
    "Normal operation": 0,
    "One of two engines stops, and the other takes too large a position": 2,
    "The engine crashes every two minutes": 2,
    "Memory runs out and the kernel kills a process": 2,
    "A deployment restarts all applications within half a minute": 0,
    "The machine reboots": 0,
    "Errors flood the log": 0,
    "The log collector hangs": 0,
    "cAdvisor finds no containers": 0,
}
"""How many pages an incident makes, where it is not one. Two tell of two things that somebody has to know."""

LATER = {"ContainerRestartLoop", "LogLinesDiscarded"}
"""Alerts whose window is longer than an incident is looked at after its end."""


@pytest.fixture(scope="module")
def outcomes() -> list[Outcome]:
    return table.outcomes()


def test_one_incident_pages_once(outcomes: list[Outcome]) -> None:
    assert set(PAGES) <= {one.incident.title for one in outcomes}
    paged = {
        one.incident.title: len({m.group for m in one.sent if m.receiver == table.PAGES})
        for one in outcomes
    }
    assert paged == {title: PAGES.get(title, 1) for title in paged}


def test_every_end_is_reported(outcomes: list[Outcome]) -> None:
    open_ones = {
        (one.incident.title, told.alerts, receiver)
        for one in outcomes
        for told in table.told(one)
        for receiver, sent in told.by_receiver.items()
        if sent[-1].firing and not LATER.issuperset(told.alerts)
    }
    assert open_ones == set()


KEPT = 3 * 60
"""Seconds for which an alert that can flap is kept firing, and repeated, after its end (`keep_firing_for`)."""


def test_no_page_comes_after_the_incident(outcomes: list[Outcome]) -> None:
    late = {
        (one.incident.title, message.at)
        for one in outcomes
        for message in one.sent
        if message.receiver == table.PAGES
        and message.firing
        and message.at > WARM_UP + one.incident.minutes * 60 + 5 * 60 + KEPT + STEP
        and not all(dict(labels)["alertname"] in LATER for labels in message.firing)
    }
    assert late == set()


def test_the_guide_has_what_comes_of_them(outcomes: list[Outcome]) -> None:
    assert table.in_guide() == table.table(outcomes), "make incidents writes it"


def test_amtool_takes_every_alert_the_same_way(outcomes: list[Outcome]) -> None:
    config = table.configuration()
    alerts = sorted(
        {labels for one in outcomes for now in one.firing for labels in now}, key=sorted
    )
    calls = [
        [
            *("config", "routes", "test", "--config.file=alertmanager.yml"),
            *(f"{name}={value}" for name, value in sorted(labels)),
        ]
        for labels in alerts
    ]
    folder = table.rules.MONITORING / "alertmanager"
    said = [text.strip().split(",") for text in outputs("amtool", calls, folder=folder)]
    assert said == [[one.receiver for one in routes(config["route"], labels)] for labels in alerts]


FASTER = 60
"""How many times faster than in life the real Alertmanager gets an incident: a minute in a second."""
COMPARED = (
    "The engine stops",
    "One of two engines stops, and the other takes too large a position",
    "A release returns errors for a third of its requests",
    "Prometheus reaches no other container",
    "OpenAI limits our request rate",
)
LOOKED_AT = 22 * 60

Story = dict[tuple[str, str, Labels], list[str]]
"""Incident, receiver and the labels of a group → firing and resolved, in their order, without repetitions."""


def faster(node: Any) -> Any:
    """Return a route with all of its timers shortened."""
    if isinstance(node, list):
        return [faster(one) for one in node]
    if not isinstance(node, dict):
        return node
    return {
        key: f"{parse_duration(value) * 1000 / FASTER:.0f}ms"
        if key in {"group_wait", "group_interval", "repeat_interval"}
        else faster(value)
        for key, value in node.items()
    }


class _Receiver(http.server.BaseHTTPRequestHandler):
    """Keeps what Alertmanager sends, in its class."""

    messages: list[dict[str, Any]]

    def do_POST(self) -> None:
        self.messages.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(200)
        self.end_headers()

    def log_message(self, *arguments: Any) -> None:
        """Keep quiet."""


@pytest.fixture
def received() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """The address of a receiver of webhooks, and its messages."""
    handler = type("Receiver", (_Receiver,), {"messages": []})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", handler.messages
    server.shutdown()
    server.server_close()


@pytest.fixture
def alertmanager(received: tuple[str, list[dict[str, Any]]], tmp_path: Path) -> Iterator[str]:
    """The address of the real Alertmanager with the real routes and inhibition, faster, and webhooks for channels."""
    address, _ = received
    config = table.configuration()
    always = {"weekdays": ["sunday:saturday"]}
    document = {
        "route": faster(config["route"]),
        "inhibit_rules": config["inhibit_rules"],
        "time_intervals": [{"name": "business_hours", "time_intervals": [always]}],
        "receivers": [
            {"name": one["name"], "webhook_configs": [{"url": address}]}
            for one in config["receivers"]
        ],
    }
    path = tmp_path / "alertmanager.yml"
    path.write_text(yaml.safe_dump(document, sort_keys=False), encoding="utf-8")
    tmp_path.chmod(0o755)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    container = (
        DockerContainer("stackctl/alertmanager:local")
        .with_volume_mapping(str(path), "/etc/alertmanager/alertmanager.yml", "ro")
        .with_command(
            "--config.file=/etc/alertmanager/alertmanager.yml --storage.path=/alertmanager"
            f" --cluster.listen-address= --web.listen-address=127.0.0.1:{port}"
        )
        .with_kwargs(network_mode="host")
    )
    url = f"http://127.0.0.1:{port}"

    def ready() -> bool:
        try:
            return httpx.get(f"{url}/-/ready").status_code == 200
        except httpx.HTTPError:
            return False

    with container:
        assert wait_until(ready, 30)
        yield url


def test_the_real_alertmanager_notifies_as_computed(
    outcomes: list[Outcome], alertmanager: str, received: tuple[str, list[dict[str, Any]]]
) -> None:
    chosen = [one for one in outcomes if one.incident.title in COMPARED]
    assert len(chosen) == len(COMPARED)
    play(alertmanager, chosen)
    _, messages = received
    time.sleep(1)
    assert story_of(messages) == computed(chosen)


def play(url: str, chosen: list[Outcome]) -> None:
    """Hand the alerts of all incidents in, side by side: the label `cluster` keeps them apart."""
    first = WARM_UP // STEP
    began = time.monotonic()
    with httpx.Client(base_url=url) as client:
        for number in range(LOOKED_AT // STEP):
            time.sleep(max(0.0, began + number * STEP / FASTER - time.monotonic()))
            now = time.time()
            alerts = []
            for one in chosen:
                before = one.firing[first + number - 1]
                after = one.firing[first + number]
                for labels in before | after:
                    known = dict(labels) | {"cluster": one.incident.title}
                    ends = now + 600 if labels in after else now
                    alerts.append({"labels": known, "endsAt": stamp(ends)})
            client.post("/api/v2/alerts", json=alerts).raise_for_status()


def stamp(moment: float) -> str:
    """Return a time as Alertmanager's API has it."""
    whole = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(moment))
    return f"{whole}.{int(moment % 1 * 1000):03}Z"


def story_of(messages: list[dict[str, Any]]) -> Story:
    found: Story = defaultdict(list)
    for message in messages:
        if message["receiver"] in table.SILENT:
            continue
        labels = dict(message["groupLabels"])
        incident = labels.pop("cluster")
        _tell(found, (incident, message["receiver"], frozenset(labels.items())), message["status"])
    return dict(found)


def computed(chosen: list[Outcome]) -> Story:
    found: Story = defaultdict(list)
    for one in chosen:
        for message in one.sent:
            if message.at >= WARM_UP + LOOKED_AT:
                continue
            labels = frozenset(pair for pair in message.group[1] if pair[0] != "cluster")
            status = "firing" if message.firing else "resolved"
            _tell(found, (one.incident.title, message.receiver, labels), status)
    return dict(found)


def _tell(story: Story, key: tuple[str, str, Labels], status: str) -> None:
    if story[key][-1:] != [status]:
        story[key].append(status)
