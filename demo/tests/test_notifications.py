"""The sink instead of Slack, PagerDuty and a mail server."""

from __future__ import annotations

import asyncio
import contextlib
import smtplib
from collections.abc import Awaitable, Callable
from email.message import EmailMessage
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer, unused_port
from prometheus_client import CollectorRegistry

from botdemo.app import Server
from botdemo.metrics import SinkMetrics
from botdemo.notifications import mail
from botdemo.notifications.inbox import Inbox
from demo.tests.helpers import make_role

Client = TestClient[web.Request, web.Application]

SLACK = {
    "channel": "#critical-alerts",
    "username": "Alertmanager",
    "attachments": [{"title": "A on b", "text": "*What*", "color": "danger"}],
}
EVENT = {
    "routing_key": "marked-key",
    "event_action": "trigger",
    "dedup_key": "d",
    "payload": {"summary": "A on b", "severity": "critical", "custom_details": {"firing": "1"}},
}


def serve(scenario: Callable[[Client], Awaitable[None]]) -> None:
    async def run() -> None:
        app = Server(make_role("notification-sink")).application()
        async with TestClient(TestServer(app)) as client:
            await scenario(client)

    asyncio.run(run())


async def messages(client: Client, after: int = 0) -> list[dict[str, Any]]:
    async with client.get("/messages", params={"after": str(after)}) as answer:
        found: list[dict[str, Any]] = await answer.json()
        return found


def test_slack_and_pagerduty_messages_are_kept_in_order() -> None:
    async def scenario(client: Client) -> None:
        async with client.post("/slack", json=SLACK) as answer:
            assert (answer.status, await answer.text()) == (200, "ok")
        async with client.post("/v2/enqueue", json=EVENT) as answer:
            assert answer.status == 202
            assert (await answer.json())["dedup_key"] == "d"
        resolved = {**SLACK, "attachments": [{"title": "Resolved: A", "color": "good"}]}
        async with client.post("/slack", json=resolved) as answer:
            assert answer.status == 200
        first, second, third = await messages(client)
        assert (first["channel"], first["target"]) == ("slack", "#critical-alerts")
        assert (first["status"], first["title"], first["text"]) == ("firing", "A on b", "*What*")
        assert (second["channel"], second["target"]) == ("pagerduty", "critical")
        assert second["text"] == "firing: 1"
        assert "marked-key" not in str(second)
        assert third["status"] == "resolved"
        assert await messages(client, after=first["id"]) == [second, third]
        async with client.get("/") as answer:
            page = await answer.text()
        assert "A on b" in page
        async with client.get("/metrics") as answer:
            text = await answer.text()
        assert 'notification_sink_messages_total{channel="slack",status="firing"} 1.0' in text
        await client.delete("/messages")
        assert await messages(client) == []

    serve(scenario)


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/slack", {}, 400),
        ("/slack", {"attachments": []}, 400),
        ("/slack", [], 400),
        ("/v2/enqueue", {**EVENT, "routing_key": ""}, 400),
        ("/v2/enqueue", {**EVENT, "event_action": "shout"}, 400),
        ("/v2/enqueue", {**EVENT, "payload": {}}, 400),
    ],
)
def test_what_the_services_would_refuse_is_refused(path: str, body: object, status: int) -> None:
    async def scenario(client: Client) -> None:
        async with client.post(path, json=body) as answer:
            assert answer.status == status
        assert await messages(client) == []

    serve(scenario)


def test_a_page_escapes_what_it_was_sent() -> None:
    async def scenario(client: Client) -> None:
        text = {**SLACK, "attachments": [{"title": "<script>", "text": "&"}]}
        await client.post("/slack", json=text)
        async with client.get("/") as answer:
            assert "<script>" not in await answer.text()

    serve(scenario)


def test_the_switch_makes_it_refuse() -> None:
    async def scenario(client: Client) -> None:
        await client.put("/demo/control", json={"error_ratio": 1})
        async with client.post("/slack", json=SLACK) as answer:
            assert answer.status == 500
        assert await messages(client) == []

    serve(scenario)


def test_mail_is_kept() -> None:
    inbox = Inbox(SinkMetrics(CollectorRegistry()))
    port = unused_port()
    message = EmailMessage()
    message["Subject"] = "[CRITICAL] Resolved: A on b"
    message["From"], message["To"] = "a@example.org", "team@example.org"
    message.set_content("<h2>Ä</h2>", subtype="html")

    def send() -> None:
        with smtplib.SMTP("127.0.0.1", port, timeout=5) as client:
            client.send_message(message)

    async def run() -> None:
        task = asyncio.create_task(mail.Server(inbox, "127.0.0.1", port).run())
        await asyncio.sleep(0)
        for _ in range(50):
            with contextlib.suppress(ConnectionRefusedError):
                await asyncio.to_thread(send)
                break
            await asyncio.sleep(0.05)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(run())
    (kept,) = inbox.after(0)
    assert (kept.channel, kept.target, kept.status) == ("email", "team@example.org", "resolved")
    assert kept.title == "[CRITICAL] Resolved: A on b"
    assert "Ä" in kept.text
