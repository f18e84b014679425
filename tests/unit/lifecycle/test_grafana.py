"""Whether Grafana takes the password, by a server that counts failures by the name that is typed, as Grafana does."""

from __future__ import annotations

import asyncio
import base64
from collections import Counter

import pytest

from stackctl.clients.grafana import GrafanaClient
from stackctl.clients.grafana_login import Login
from stackctl.config.load import load
from stackctl.errors import ServiceError
from stackctl.lifecycle import grafana
from stackctl.project.project import Project
from stackctl.project.state import open_state
from stackctl.values.secret import Secret
from tests.support.engine import MemoryEngine
from tests.support.http import Answer, Reply, Request, as_json, serving

pytestmark = pytest.mark.usefixtures("own_folders")

REFUSED = as_json({"message": "Invalid username or password"}, 401)
MOST_FAILURES = 5
"""pkg/services/loginattempt/loginattemptimpl/login_attempt.go"""


class Accounts:
    """Grafana's logins: one user, who has a name and an e-mail."""

    def __init__(self, password: str, failures: int = 0) -> None:
        self.password = password
        self.failures = Counter({"admin": failures})
        self.mail = "admin@localhost"

    def __call__(self, request: Request) -> Reply:
        scheme, _, sent = request.headers["Authorization"].partition(" ")
        assert scheme == "Basic"
        name, _, password = base64.b64decode(sent).decode().partition(":")
        if self.failures[name] >= MOST_FAILURES:
            return REFUSED
        if name in {"admin", self.mail} and password == self.password:
            return as_json({"login": "admin", "isGrafanaAdmin": True})
        self.failures[name] += 1
        return REFUSED


def login(answer: Answer) -> Login:
    with serving({"/api/user": answer}) as server:
        environ = {"GRAFANA_PORT": server.url.rsplit(":", 1)[1], "GRAFANA_PASSWORD": "newer"}
        project = Project(load(environ=environ), open_state("bot-core"))
        return asyncio.run(grafana.login(project))


def test_the_right_password_costs_one_request() -> None:
    accounts = Accounts("newer")
    assert login(accounts) == "accepted"
    assert not accounts.failures["admin"]


def test_a_wrong_password_is_refused_and_counts_once() -> None:
    accounts = Accounts("previous")
    assert login(accounts) == "refused"
    assert accounts.failures == {"admin": 1, "admin@localhost": 1}


def test_a_user_who_is_locked_out_is_told_from_a_wrong_password() -> None:
    assert login(Accounts("newer", failures=5)) == "locked"
    assert login(Accounts("previous", failures=5)) == "refused"


def test_a_lock_out_is_not_seen_where_the_admin_has_another_address() -> None:
    accounts = Accounts("newer", failures=5)
    accounts.mail = "somebody@example.org"
    assert login(accounts) == "refused"


@pytest.mark.parametrize("status", [403, 404])
def test_another_answer_says_nothing_of_the_password(status: int) -> None:
    with pytest.raises(ServiceError) as caught:
        login(as_json({"message": "no"}, status))
    assert caught.value.status == status


def test_many_requests_with_a_wrong_password_lock_nobody_out() -> None:
    accounts = Accounts("previous")
    routes: dict[str, Answer] = {"/api/user": accounts, "/api/datasources": accounts}

    async def ask(url: str) -> list[object]:
        async with GrafanaClient(url, password=Secret("new")) as client:
            asked = [client.data_sources() for _ in range(10)]
            answers = await asyncio.gather(*asked, return_exceptions=True)
            return [*answers, await client.login()]

    with serving(routes) as server:
        *answers, found = asyncio.run(ask(server.url))
    assert all(isinstance(one, ServiceError) and one.status == 401 for one in answers)
    assert found == "refused"
    assert accounts.failures["admin"] == 1


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
