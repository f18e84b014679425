"""The Grafana stand-in over a real server, with the provisioning that the real Grafana gets."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import shutil
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from standins.grafana import cli, settings, state
from standins.grafana.account import Account
from standins.grafana.web import app
from standins.shared.process import ConfigError, UsageError

GRAFANA = Path("infrastructure/monitoring/grafana")

Headers = dict[str, str]


def basic(login: str, password: str) -> Headers:
    return {"Authorization": "Basic " + base64.b64encode(f"{login}:{password}".encode()).decode()}


ADMIN = basic("admin", "first-password")

Client = TestClient[web.Request, web.Application]
Scenario = Callable[[Client, state.State], Awaitable[None]]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A data folder, the provisioning, and the dashboards where the providers look for them."""
    shutil.copytree(GRAFANA / "provisioning", tmp_path / "provisioning")
    shutil.copytree(GRAFANA / "dashboards", tmp_path / "dashboards")
    (tmp_path / "data").mkdir()
    providers = tmp_path / "provisioning" / "dashboards"
    for path in providers.iterdir():
        text = path.read_text().replace("/var/lib/grafana/dashboards", str(tmp_path / "dashboards"))
        path.write_text(text)
    return tmp_path


def environment(home: Path, **more: str) -> dict[str, str]:
    return {
        "GF_SECURITY_ADMIN_PASSWORD": "first-password",
        "GF_PATHS_PROVISIONING": str(home / "provisioning"),
        "GF_PATHS_DATA": str(home / "data"),
        **more,
    }


def serve(home: Path, scenario: Scenario, **more: str) -> None:
    async def run() -> None:
        everything, _ = state.start(settings.load(environment(home, **more)))
        async with TestClient(TestServer(app.application(everything))) as client:
            await scenario(client, everything)

    asyncio.run(run())


async def get(client: Client, path: str, auth: Headers | None = ADMIN) -> tuple[int, Any]:
    async with client.get(path, headers=auth, allow_redirects=False) as answer:
        text = await answer.text()
        return answer.status, json.loads(text) if "json" in answer.content_type else text


def test_everything_provisioned_is_served(home: Path) -> None:
    async def scenario(client: Client, _state: state.State) -> None:
        status, health = await get(client, "/api/health", None)
        assert (status, health["database"]) == (200, "ok")
        sources = (await get(client, "/api/datasources"))[1]
        assert {one["uid"]: one["type"] for one in sources} == {
            "prometheus": "prometheus",
            "loki": "loki",
            "alertmanager": "alertmanager",
        }
        files = {path.stem for path in (GRAFANA / "dashboards").glob("*.json")}
        hits = (await get(client, "/api/search?type=dash-db"))[1]
        assert {hit["uid"] for hit in hits} == files
        assert (await get(client, "/api/search?query=trading"))[1][0][
            "uid"
        ] == "trading-performance"
        board = (await get(client, "/api/dashboards/uid/system-overview"))[1]
        assert board["meta"]["provisioned"]
        assert board["dashboard"]["panels"]
        assert (await get(client, "/api/dashboards/uid/none"))[0] == 404
        status, page = await get(client, "/d/system-overview/x")
        assert status == 200
        assert "<h3>" in page

    serve(home, scenario)


@pytest.mark.parametrize(
    ("auth", "status"),
    [(None, 401), (basic("admin", "wrong"), 401), (basic("eve", "first-password"), 401)],
    ids=["nobody", "wrong password", "wrong user"],
)
def test_who_is_kept_out(home: Path, auth: Headers | None, status: int) -> None:
    async def scenario(client: Client, _state: state.State) -> None:
        for path in ("/api/user", "/api/search", "/api/datasources"):
            assert (await get(client, path, auth))[0] == status

    serve(home, scenario)


def test_a_page_leads_to_the_login_and_back(home: Path) -> None:
    async def scenario(client: Client, _state: state.State) -> None:
        async with client.get("/d/system-overview", allow_redirects=False) as answer:
            assert (answer.status, answer.headers["Location"]) == (302, "/login")
        form = {"user": "admin", "password": "first-password"}
        async with client.post("/login", data=form, allow_redirects=False) as answer:
            assert (answer.status, answer.headers["Location"]) == (302, "/d/system-overview")
        assert (await get(client, "/api/user", None))[1]["login"] == "admin"
        await get(client, "/logout", None)
        assert (await get(client, "/api/user", None))[0] == 401

    serve(home, scenario)


def test_the_first_password_stays_until_the_command_line_sets_another(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    serve(home, lambda client, _: get(client, "/api/user"))  # type: ignore[arg-type, return-value]

    async def scenario(client: Client, _state: state.State) -> None:
        assert (await get(client, "/api/user"))[0] == 200
        assert (await get(client, "/api/user", basic("admin", "second-one")))[0] == 401
        for name, value in environment(home).items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr("sys.stdin", io.StringIO("second-one\n"))
        cli.main(["cli", "admin", "reset-admin-password", "--password-from-stdin"])
        assert (await get(client, "/api/user", basic("admin", "second-one")))[0] == 200
        assert (await get(client, "/api/user"))[0] == 401

    serve(home, scenario, GF_SECURITY_ADMIN_PASSWORD="ignored-on-the-second-start")
    assert "second-one" not in (home / "data" / "admin.json").read_text()
    assert (home / "data" / "admin.json").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("arguments", [[], ["cli"], ["cli", "admin", "reset-admin-password"]])
def test_other_commands_are_refused(arguments: list[str]) -> None:
    with pytest.raises(UsageError, match="reset-admin-password"):
        cli.main(arguments)


def test_a_weak_password_changes_nothing(home: Path) -> None:
    account = Account(home / "data")
    account.create("admin", "first-password")
    with pytest.raises(Exception, match="too short"):
        account.set_password("1234")
    assert account.check("admin", "first-password")


def test_a_dashboard_that_is_added_or_broken_later(home: Path) -> None:
    async def scenario(client: Client, everything: state.State) -> None:
        folder = home / "dashboards"
        (folder / "new.json").write_text('{"uid": "new", "title": "New"}')
        (folder / "system-overview.json").write_text("{")
        for provider in everything.dashboards.providers:
            everything.dashboards.scan(provider)
        assert (await get(client, "/api/dashboards/uid/new"))[0] == 200
        # Grafana keeps what it had of a file that became broken.
        assert (await get(client, "/api/dashboards/uid/system-overview"))[0] == 200

    serve(home, scenario)


def upstream(answers: Mapping[str, Any]) -> web.Application:
    """A data source that answers by path, and with 404 otherwise."""

    async def handle(request: web.Request) -> web.Response:
        if request.path not in answers:
            return web.json_response({"status": "error", "error": "no such thing"}, status=404)
        return web.json_response(answers[request.path])

    app_ = web.Application()
    app_.router.add_route("*", "/{tail:.*}", handle)
    return app_


def vector(value: str) -> dict[str, Any]:
    sample = {"metric": {"job": "a"}, "value": [1000, value]}
    return {"status": "success", "data": {"resultType": "vector", "result": [sample]}}


def with_source(home: Path, answers: Mapping[str, Any], scenario: Scenario) -> None:
    """Serve with one data source, a Prometheus that gives these answers."""

    async def run() -> None:
        async with TestServer(upstream(answers)) as source:
            file = next((home / "provisioning" / "datasources").iterdir())
            entry = {
                "name": "P",
                "uid": "p",
                "type": "prometheus",
                "url": str(source.make_url("/")),
            }
            file.write_text(json.dumps({"datasources": [entry]}))
            everything, _ = state.start(settings.load(environment(home)))
            async with TestClient(TestServer(app.application(everything))) as client:
                await scenario(client, everything)

    asyncio.run(run())


def test_a_panels_query_gives_frames(home: Path) -> None:
    async def scenario(client: Client, _state: state.State) -> None:
        query = {"refId": "A", "datasource": {"uid": "p"}, "expr": "up", "instant": True}
        asked = {"queries": [query], "from": "now-5m", "to": "now"}
        async with client.post("/api/ds/query", json=asked, headers=ADMIN) as answer:
            assert answer.status == 200
            (frame,) = (await answer.json())["results"]["A"]["frames"]
        assert frame["data"]["values"] == [[1000000], [2.0]]
        assert frame["schema"]["fields"][1]["labels"] == {"job": "a"}
        assert (await get(client, "/api/datasources/uid/p/health"))[0] == 200
        proxied = await get(client, "/api/datasources/proxy/uid/p/api/v1/query?query=up")
        assert proxied == (200, vector("2"))

    with_source(home, {"/api/v1/query": vector("2")}, scenario)


def test_a_source_that_does_not_answer_is_not_healthy(home: Path) -> None:
    async def scenario(client: Client, _state: state.State) -> None:
        status, answer = await get(client, "/api/datasources/uid/p/health")
        assert (status, answer["status"]) == (400, "ERROR")
        assert "no such thing" in answer["message"]

    with_source(home, {}, scenario)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("datasources: [{name: A}]", "no name or no type"),
        ("datasources: [{name: A, type: loki, url: 'ftp://x'}]", "does not begin with"),
        (
            "datasources: [{name: A, type: loki, isDefault: true}, {name: B, type: loki, isDefault: true}]",
            "Only one datasource",
        ),
        ("datasources: [", "cannot read"),
    ],
    ids=["no type", "bad address", "two defaults", "no YAML"],
)
def test_bad_provisioning_stops_the_start(home: Path, text: str, words: str) -> None:
    next((home / "provisioning" / "datasources").iterdir()).write_text(text)
    with pytest.raises(ConfigError, match=words):
        state.start(settings.load(environment(home)))


@pytest.mark.parametrize(
    "more",
    [
        {"GF_SERVER_HTTP_PORT": "x"},
        {"GF_LOG_LEVEL": "loud"},
        {"GF_AUTH_ANONYMOUS_ENABLED": "perhaps"},
        {"GF_SECURITY_ADMIN_PASSWORD__FILE": "/none"},
    ],
    ids=str,
)
def test_bad_settings_are_named(home: Path, more: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match=next(iter(more))):
        settings.load(environment(home, **more))
