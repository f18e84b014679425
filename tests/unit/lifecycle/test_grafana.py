"""Whether Grafana takes the password, by what a server says in its place."""

from __future__ import annotations

import asyncio
import base64

import pytest

from stackctl.config.load import load
from stackctl.errors import ServiceError
from stackctl.lifecycle import grafana
from stackctl.project.project import Project
from stackctl.project.state import open_state
from tests.support.engine import MemoryEngine
from tests.support.http import Reply, as_json, serving

pytestmark = pytest.mark.usefixtures("own_folders")

USER = {"login": "admin", "isGrafanaAdmin": True}


def refuses(reply: Reply) -> bool:
    with serving({"/api/user": reply}) as server:
        environ = {"GRAFANA_PORT": server.url.rsplit(":", 1)[1], "GRAFANA_PASSWORD": "newer"}
        project = Project(load(environ=environ), open_state("bot-core"))
        try:
            return asyncio.run(grafana.refuses_password(project))
        finally:
            (request,) = server.requests
            sent = base64.b64encode(b"admin:newer").decode()
            assert request.headers["Authorization"] == f"Basic {sent}"


def test_a_password_is_refused_by_401_alone() -> None:
    assert refuses(as_json({"message": "Invalid username or password"}, 401))
    assert not refuses(as_json(USER))


@pytest.mark.parametrize("status", [403, 404])
def test_another_answer_says_nothing_of_the_password(status: int) -> None:
    with pytest.raises(ServiceError) as caught:
        refuses(as_json({"message": "no"}, status))
    assert caught.value.status == status


def test_the_new_password_is_on_no_command_line() -> None:
    commands: list[str] = []

    class Grafana(MemoryEngine):
        def execute(self, container: str, command: object) -> str:
            assert isinstance(command, list)
            commands.extend([container, *command])
            return ""

    grafana.set_password(Grafana(), "id-grafana")
    assert commands[:3] == ["id-grafana", "sh", "-c"]
    assert commands[3].endswith("--password-from-stdin < /run/secrets/grafana_password")
