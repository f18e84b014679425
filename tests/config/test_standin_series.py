"""The stand-ins of exporters expose what the real ones do: every series that is read, with its type and its labels, and
none besides.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer
from prometheus_client.parser import text_string_to_metric_families

from standins.cadvisor import main as cadvisor
from standins.cadvisor.housekeeping import Housekeeping
from standins.cadvisor.tests.running import CGROUP_2, Engine
from standins.mongodb import commands
from standins.mongodb.commands import Document, Server, Session
from standins.mongodb.tests.running import serving
from standins.mongodb.users import Users
from standins.mongodb_exporter import main as mongodb_exporter
from standins.mongodb_exporter.collector import COLLECTORS, Database, Options
from tests.config.contract import EXPORTED
from tests.support.real import Series, exposed

OURS = "stackctl_standin_info"
"""What says that a program is a stand-in, which no original has."""

MEMBERS = [
    {"name": f"mongo-{number}:27017", "stateStr": state, "health": 1.0, "optimeDate": when}
    for number, state, when in (
        (1, "PRIMARY", datetime(2026, 1, 1, 12, 0, 30, tzinfo=UTC)),
        (2, "SECONDARY", datetime(2026, 1, 1, 12, 0, 18, tzinfo=UTC)),
    )
]
STATUS = {"set": "rs0", "myState": 1, "members": MEMBERS, "ok": 1.0}


def parsed(text: str) -> dict[str, Series]:
    found: dict[str, Series] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            known = found[sample.name].labels if sample.name in found else frozenset()
            kind = {"unknown": "untyped"}.get(family.type, family.type)
            found[sample.name] = Series(kind, known | sample.labels.keys())
    return found


def of_replica_set(patch: pytest.MonkeyPatch) -> None:
    """Make the stand-in of MongoDB a member of a replica set, which the demo's is not."""

    def diagnostic_data(server: Server, command: Mapping[str, Any], session: Session) -> Document:
        alone = server.diagnostic_data(command, session)
        return {"data": {**alone["data"], "replSetGetStatus": STATUS}}

    answers = {
        "getdiagnosticdata": diagnostic_data,
        "replsetgetstatus": lambda *_: STATUS,
        "replsetgetconfig": lambda *_: {"config": {"_id": "rs0"}},
    }
    for name, answer in answers.items():
        patch.setitem(commands._COMMANDS, name, commands._Command(answer))


def scraped_mongodb_exporter(folder: Path) -> dict[str, Series]:
    async def scrape(address: str) -> str:
        options = Options(frozenset(COLLECTORS), compatible=True)
        app = mongodb_exporter.application(Database(address, options), 1)
        async with TestClient(TestServer(app)) as client:
            return await (await client.get("/metrics")).text()

    with serving(Server(folder, Users(folder))) as port:
        return parsed(asyncio.run(scrape(f"mongodb://127.0.0.1:{port}")))


@pytest.fixture
def mongodb_exporter_series(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Series]:
    """The stand-in's series of a server on its own and of one in a replica set."""
    alone = scraped_mongodb_exporter(tmp_path)
    of_replica_set(monkeypatch)
    return alone | scraped_mongodb_exporter(tmp_path)


@pytest.fixture
def cadvisor_series() -> dict[str, Series]:
    """The stand-in's series of this machine, and of containers with and without a limit, restarted and not."""

    async def scrape() -> str:
        engine = Engine()
        engine.start("abc")
        engine.start("def", CGROUP_2)
        engine.inspected["abc"]["RestartCount"] = 2
        engine.inspected["def"]["HostConfig"] = {}
        async with engine.serving() as host:
            app = cadvisor.application(Housekeeping(host), 60, Path("/"))
            async with TestClient(TestServer(app)) as client:
                return await (await client.get("/metrics")).text()

    return parsed(asyncio.run(scrape()))


def assert_as_the_original(found: dict[str, Series], version: str, prefix: str) -> None:
    real = exposed(version)
    assert found.pop(OURS).kind == "gauge"
    assert found.keys() - real.keys() == set()
    different = {
        name: (series, real[name])
        for name, series in found.items()
        if series.kind != real[name].kind or not series.labels <= real[name].labels
    }
    assert different == {}
    read = {name for name in EXPORTED if name.startswith(prefix)}
    assert read
    assert read - found.keys() == set()
    lacking = {
        name: real[name].labels - found[name].labels
        for name in read
        if real[name].labels != found[name].labels
    }
    assert lacking == {}


def test_mongodb_exporter(mongodb_exporter_series: dict[str, Series]) -> None:
    assert_as_the_original(mongodb_exporter_series, "mongodb_exporter-0.40.0", "mongodb_")


def test_cadvisor(cadvisor_series: dict[str, Series]) -> None:
    assert_as_the_original(cadvisor_series, "cadvisor-0.47.2", "container_")
