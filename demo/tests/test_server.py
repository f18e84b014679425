"""The endpoints that every role has, and what becomes of each request."""

from __future__ import annotations

import asyncio
import json
import logging
from pathlib import Path
from types import SimpleNamespace

import pytest
from aiohttp import WSCloseCode, WSMsgType

from botdemo.__main__ import main
from botdemo.roles import rust_core_engine
from botdemo.settings import Settings
from demo.tests.helpers import (
    ANALYST,
    APPLICATIONS,
    DASHBOARD,
    ENGINE,
    KONG,
    Client,
    make_application,
    make_role,
    read,
    visit,
)

HEALTH = {
    ENGINE: "/api/health",
    ANALYST: "/health",
    DASHBOARD: "/api/health",
    KONG: "/status",
}


@pytest.mark.parametrize("name", HEALTH)
def test_health_and_its_switch(name: str) -> None:
    async def scenario(client: Client) -> None:
        assert (await client.get(HEALTH[name])).status == 200
        await client.put("/demo/control", json={"unhealthy": True})
        assert (await client.get(HEALTH[name])).status == 503
        await client.delete("/demo/control")
        assert (await client.get(HEALTH[name])).status == 200

    visit(make_role(name), scenario)


def test_kong_tells_its_status() -> None:
    async def scenario(client: Client) -> None:
        await client.put("/demo/control", json={"datastore_reachable": False})
        status = await (await client.get("/status")).json()
        assert status["database"] == {"reachable": False}
        assert status["server"]["connections_active"] > 0
        assert {"workers_lua_vms", "lua_shared_dicts"} == set(status["memory"])

    visit(make_role(KONG), scenario)


@pytest.mark.parametrize("name", APPLICATIONS)
def test_every_endpoint_that_traffic_is_simulated_for_really_answers(name: str) -> None:
    role = make_application(name)

    async def scenario(client: Client) -> None:
        for endpoint in role.endpoints:
            answer = await client.request(
                endpoint.method,
                endpoint.template.replace("{symbol}", "BTCUSDT"),
                json={"symbol": "BTCUSDT"} if endpoint.method == "POST" else None,
            )
            assert (endpoint.template, answer.status) == (endpoint.template, endpoint.status)

    visit(role, scenario)


def test_requests_are_counted_by_the_template_of_their_route() -> None:
    role = make_role(ENGINE)

    async def scenario(client: Client) -> None:
        for path in ("/api/health?run=1", "/api/health", "/api/market/ETHUSDT", "/api/market/X"):
            await client.get(path)
        for path in ("/nothing", "/here/either", "/ws/"):
            await client.get(path)
        await client.request("PROPFIND", "/api/health")
        await client.get("/ws")

    visit(role, scenario)

    def count(**labels: str) -> float:
        return read(role, "http_requests_total", **labels)

    assert count(method="GET", endpoint="/api/health", status="200") == 2
    assert count(method="GET", endpoint="/api/market/{symbol}", status="200") == 1
    assert count(method="GET", endpoint="/api/market/{symbol}", status="404") == 1
    assert count(method="GET", endpoint="unmatched", status="404") == 3
    assert count(method="OTHER", endpoint="unmatched", status="405") == 1
    assert count(method="GET", endpoint="/ws", status="400") == 1
    durations = "http_request_duration_seconds_count"
    assert read(role, durations, method="GET", endpoint="/api/health") == 2


class Clock:
    """The clock of the server's own measurements: it goes on by what the server waits for, and by nothing else."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 100.0
        self._sleep = asyncio.sleep
        monkeypatch.setattr("botdemo.app.time", SimpleNamespace(perf_counter=lambda: self.now))
        monkeypatch.setattr("botdemo.app.asyncio.sleep", self.sleep)

    async def sleep(self, seconds: float) -> None:
        """Let a request's wait pass at once; whatever else sleeps does so for real."""
        if seconds == LATENCY:
            self.now += seconds
        else:
            await self._sleep(seconds)


LATENCY = 0.731


def test_every_request_is_logged_with_its_query(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    Clock(monkeypatch)
    caplog.set_level(logging.INFO, logger="botdemo")

    async def scenario(client: Client) -> None:
        await client.get("/api/health?run=abc")

    visit(make_role(ENGINE), scenario)
    (message,) = (r.getMessage() for r in caplog.records if "run=abc" in r.getMessage())
    assert message == "GET /api/health?run=abc 200 in 0.0 ms"


def test_errors_and_latency_spare_health_metrics_and_control(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    Clock(monkeypatch)
    role = make_role(ENGINE)

    async def scenario(client: Client) -> None:
        await client.put("/demo/control", json={"error_ratio": 1, "latency_seconds": LATENCY})
        failed = await client.get("/api/trades?run=abc")
        assert failed.status == 500
        for path in ("/api/health", "/metrics", "/demo/control"):
            assert (await client.get(path)).status == 200

    visit(role, scenario)
    seconds = "http_request_duration_seconds_sum"
    assert read(role, seconds, endpoint="/api/trades") == pytest.approx(LATENCY)
    assert read(role, seconds, endpoint="/api/health") == 0
    errors = [r.getMessage() for r in caplog.records if r.levelname == "ERROR"]
    assert errors == ["GET /api/trades?run=abc failed: internal error"]


def test_control_shows_sets_and_resets() -> None:
    async def scenario(client: Client) -> None:
        at_rest = await (await client.get("/demo/control")).json()
        assert at_rest["error_ratio"] == 0.0
        answer = await client.put("/demo/control", json={"error_ratio": 0.2})
        assert await answer.json() == at_rest | {"error_ratio": 0.2}
        help_ = await (await client.get("/demo/control?help=1")).json()
        assert help_["error_ratio"]["value"] == 0.2
        assert help_["error_ratio"]["takes"] == "a number from 0 to 1"
        answer = await client.delete("/demo/control")
        assert await answer.json() == at_rest

    visit(make_role(DASHBOARD), scenario)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("{", "Expecting property name"),
        ("[]", "expected a JSON object"),
        ('{"error_ratio": NaN}', "error_ratio must be a number from 0 to 1, not nan"),
        ('{"confidence": 0.2}', "unknown switch 'confidence'; known: clock_offset_seconds"),
    ],
)
def test_control_refuses_what_it_does_not_know(body: str, reason: str) -> None:
    async def scenario(client: Client) -> None:
        answer = await client.put("/demo/control", data=body)
        assert answer.status == 400
        assert reason in (await answer.json())["error"]

    visit(make_role(DASHBOARD), scenario)


def test_the_websocket_greets_echoes_ticks_and_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rust_core_engine, "_TICK_SECONDS", 0.1)
    role = make_role(ENGINE)

    async def scenario(client: Client) -> None:
        socket = await client.ws_connect("/ws?client=nextjs-ui-dashboard")
        assert (await socket.receive_json())["type"] == "welcome"
        assert read(role, "websocket_connections_active") == 1
        await socket.send_str("hello")
        assert await socket.receive_json() == {"type": "echo", "data": "hello"}
        tick = await socket.receive_json(timeout=3)
        assert tick["type"] == "tick"
        assert set(tick["prices"]) == {"BTCUSDT", "ETHUSDT", "SOLUSDT", "BNBUSDT"}
        await socket.close(code=WSCloseCode.GOING_AWAY)

    visit(role, scenario)
    ours = {"client": "nextjs-ui-dashboard"}
    assert read(role, "websocket_messages_sent_total", **ours) == 3
    assert read(role, "websocket_messages_received_total", **ours) == 1
    assert read(role, "websocket_messages_total", **ours) == 4
    assert read(role, "websocket_disconnects_total", reason="going_away") == 1
    assert read(role, "websocket_connections_active") == 0
    assert read(role, "websocket_connection_duration_seconds_count") == 1
    assert read(role, "http_requests_total", endpoint="/ws", status="101") == 1
    assert read(role, "http_request_duration_seconds_sum", endpoint="/ws") < 1


def test_a_client_without_a_known_name_is_counted_as_other() -> None:
    role = make_role(ENGINE)

    async def scenario(client: Client) -> None:
        socket = await client.ws_connect("/ws?client=mallory")
        assert (await socket.receive_json())["type"] == "welcome"
        await socket.close()

    visit(role, scenario)
    assert read(role, "websocket_messages_sent_total", client="other") == 1
    assert read(role, "websocket_disconnects_total", reason="normal") == 1


def test_a_stopping_server_says_goodbye_to_its_clients() -> None:
    role = make_role(ENGINE)

    async def scenario(client: Client) -> None:
        socket = await client.ws_connect("/ws")
        await socket.receive_json()
        await client.server.close()
        closing = await socket.receive()
        assert (closing.type, closing.data) == (WSMsgType.CLOSE, WSCloseCode.GOING_AWAY)

    visit(role, scenario)


def test_an_analysis_is_done_on_request() -> None:
    role = make_role(ANALYST)

    async def scenario(client: Client) -> None:
        signal = await (await client.post("/ai/analyze", json={"symbol": "SOLUSDT"})).json()
        assert signal["symbol"] == "SOLUSDT"
        assert signal["signal"] in {"LONG", "SHORT", "NEUTRAL"}
        signals = await (await client.get("/ai/signals")).json()
        assert signals == {"SOLUSDT": signal}
        for body in (
            "{",
            "[]",
            '"SOLUSDT"',
            '{"symbol": ["SOLUSDT"]}',
            json.dumps({"symbol": "X"}),
        ):
            assert (await client.post("/ai/analyze", data=body)).status == 400

    visit(role, scenario)
    assert read(role, "ai_analysis_total") == 1


def test_a_setting_that_cannot_be_used_is_refused_with_its_name(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DEMO_SEED", "seven")
    with pytest.raises(SystemExit) as caught:
        main(["kong"])
    assert caught.value.code == 2
    assert "DEMO_SEED must be an integer, not 'seven'" in capsys.readouterr().err


def test_secrets_are_read_as_they_are_used(tmp_path: Path) -> None:
    settings = Settings(secrets=tmp_path)
    with pytest.raises(FileNotFoundError):
        settings.secret("redis_password")
    (tmp_path / "redis_password").write_text("from a file\n")
    assert settings.secret("redis_password") == "from a file"
