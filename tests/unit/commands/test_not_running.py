"""Commands that ask a stack's services, where it does not run: another stack may answer at the same addresses."""

from __future__ import annotations

import pytest

from stackctl.docker.models import ContainerState
from stackctl.project.project import Project
from tests.support.cli import run_here
from tests.support.engine import MemoryEngine, container
from tests.support.http import serving

pytestmark = pytest.mark.usefixtures("own_folders")

ASKING = [
    ("alerts",),
    ("alerts", "rules"),
    ("alerts", "route", "severity=critical"),
    ("alerts", "silence", "list"),
    ("alerts", "silence", "add", "A", "--for", "1h"),
    ("alerts", "silence", "expire", "1"),
    ("logs",),
    ("logs", "redis"),
    ("logs", "--from", "loki"),
    ("load", "kong"),
    ("open", "prometheus"),
    ("reload",),
    ("snapshot", "system-overview"),
]


class Engine(MemoryEngine):
    """Has no other project either."""

    class _Others:
        @staticmethod
        def other_projects() -> list[str]:
            return ["other"]

    def inventory(self) -> _Others:  # type: ignore[override]
        return self._Others()


@pytest.mark.parametrize("command", ASKING, ids=" ".join)
def test_nothing_is_asked_of_a_stack_that_does_not_run(
    command: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Project, "engine", lambda *_: Engine())
    with serving({}) as another:
        for name in ("PROMETHEUS", "ALERTMANAGER", "LOKI", "KONG", "GRAFANA"):
            monkeypatch.setenv(f"{name}_PORT", another.url.rpartition(":")[2])
        done = run_here(*command)
        assert another.requests == []
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr == (
        "stackctl: project bot-core is not running; `stackctl up` starts it;"
        " running projects: other (`-p other`)\n"
    )


@pytest.mark.parametrize(
    ("command", "missing"),
    [
        (("alerts",), "prometheus"),
        (("alerts", "silence", "list"), "alertmanager"),
        (("logs", "--from", "loki"), "loki"),
        (("load", "kong"), "kong"),
        (("open",), "grafana"),
    ],
)
def test_a_service_that_does_not_run_is_named(
    command: tuple[str, ...], missing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ("prometheus", "alertmanager", "loki", "kong", "grafana")
    states: list[ContainerState] = [
        container(name, status="exited" if name == missing else "running") for name in names
    ]
    monkeypatch.setattr(Project, "engine", lambda *_: Engine(*states))
    done = run_here(*command)
    assert done.returncode == 3
    assert done.stderr.startswith(f"stackctl: {missing} exited with code ")


@pytest.mark.usefixtures("no_engine")
def test_without_an_engine_the_services_answer_decides() -> None:
    done = run_here("alerts", env={"PROMETHEUS_PORT": "9", "ALERTMANAGER_PORT": "8"})
    assert done.returncode == 1
    assert "cannot connect" in done.stderr
