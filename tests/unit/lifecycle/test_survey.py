"""What `up` takes from bot-core's network and files, and what it asks of the services there."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import pytest

from stackctl.config.load import load
from stackctl.docker import named_volumes
from stackctl.docker.engine import Engine
from stackctl.docker.models import Neighbour
from stackctl.errors import UsageError
from stackctl.lifecycle import attach
from stackctl.lifecycle.attach import Missing
from stackctl.lifecycle.requested import requested_state
from stackctl.project.project import Project, ProjectState, UpRequest
from stackctl.project.state import open_state
from stackctl.util import yaml_text
from tests.support.engine import MemoryEngine, container

pytestmark = pytest.mark.usefixtures("own_folders")

FILES = ProjectState(
    demo=False, app_files=("/app.yml",), app_services=("rust-core-engine", "redis", "mongodb")
)


@dataclass
class Joined:
    """The programs that were run on an engine, and what they wrote."""

    engine: MemoryEngine
    output: str = ""
    commands: list[Sequence[str]] = field(default_factory=list)

    def run(self, _: str, command: Sequence[str]) -> str:
        self.commands.append(command)
        return self.output


@pytest.fixture
def joined(monkeypatch: pytest.MonkeyPatch) -> Joined:
    """A project that its own Compose files have started."""
    joined = Joined(MemoryEngine(container("prometheus")))
    monkeypatch.setattr(Project, "engine", lambda *_: joined.engine)
    monkeypatch.setattr(joined.engine, "execute", joined.run)
    project().keep(FILES)
    return joined


def project(**environ: str) -> Project:
    return Project(load(environ=environ), open_state("bot-core"))


def test_what_no_file_defines_is_missing_and_mongodb_is_its_exporters_to_find(
    joined: Joined,
) -> None:
    found = project(MONGODB_EXPORTER_URI="mongodb://elsewhere", REDIS_TARGET="cache")
    survey = attach.survey(found, FILES)
    assert {one.service: one.message for one in survey.missing} == {
        "python-ai-service": "no service python-ai-service in /app.yml",
        "nextjs-ui-dashboard": "no service nextjs-ui-dashboard in /app.yml",
        "kong": "no service kong in /app.yml",
        "redis": "no service cache in /app.yml",
        "rabbitmq": "no service rabbitmq in /app.yml",
    }
    assert survey.asked == {"rust-core-engine"}


def test_ports_metrics_paths_and_health_paths_are_all_asked(joined: Joined) -> None:
    attach.survey(project(), FILES)
    ((_, _, script, _, *urls),) = joined.commands
    assert urls == [
        "http://rust-core-engine:8080/metrics",
        "tcp:http://redis:6379",
        "http://rust-core-engine:8080/api/health",
    ]
    # The program takes any of them, and says nothing of what answers.
    assert subprocess.run(["sh", "-n", "-c", script], check=False).returncode == 0


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        (
            "http://rust-core-engine:8080/metrics\tHTTP/1.1 404 Not Found\n",
            Missing(
                "rust-core-engine",
                "http://rust-core-engine:8080/metrics: HTTP/1.1 404 Not Found",
                "if its port or metrics path differs, set RUST_CORE_ENGINE_TARGET",
            ),
        ),
        (
            "http://rust-core-engine:8080/api/health\tit does not answer\n",
            Missing(
                "rust-core-engine",
                "http://rust-core-engine:8080/api/health: it does not answer",
                "if its health path differs, set RUST_CORE_ENGINE_HEALTH",
            ),
        ),
        (
            "a warning of the shell\ntcp:http://redis:6379\trefused\twith a tab\n",
            Missing(
                "redis",
                "redis:6379: refused\twith a tab",
                "if its port or metrics path differs, set REDIS_TARGET",
            ),
        ),
    ],
)
def test_what_does_not_answer_names_its_setting(
    joined: Joined, output: str, expected: Missing
) -> None:
    joined.output = output
    survey = attach.survey(project(), FILES)
    assert expected in survey.missing
    assert survey.asked == {"rust-core-engine", "redis"} - {expected.service}


def test_a_prometheus_that_does_not_run_is_not_asked(joined: Joined) -> None:
    joined.engine.states["prometheus"] = container("prometheus", status="exited")
    assert attach.survey(project(), FILES).asked == frozenset()
    assert joined.commands == []


def test_where_nothing_can_answer_nothing_is_run(joined: Joined) -> None:
    attach.survey(project(), replace(FILES, app_services=("mongodb",)))
    assert joined.commands == []


def test_the_image_that_is_locked_is_the_one_to_ask_with(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    engine = MemoryEngine()

    def run(network: str, image: str, command: Sequence[str]) -> str:
        asked.append(image)
        return ""

    reference = "prom/prometheus:v2.48.0"
    monkeypatch.setattr(Project, "engine", lambda *_: engine)
    monkeypatch.setattr(engine, "image_id", lambda one: "id" if "@" in one else None)
    monkeypatch.setattr(engine, "run_in_network", run)
    monkeypatch.setattr(
        engine, "neighbours", lambda _: [Neighbour("redis", "bot", frozenset({"redis"}))]
    )
    state = ProjectState(demo=False, network="net", images="upstream", pins={reference: "sha256:0"})
    attach.survey(project(), state)
    assert asked == [f"{reference}@sha256:0"]


def test_the_state_that_is_asked_for_keeps_the_locked_images(tmp_path: Path) -> None:
    file = tmp_path / "app.yml"
    file.touch()
    previous = ProjectState(images="upstream", pins={"a": "sha256:0"}, volumes=("v",))
    found = requested_state(load(environ={}), UpRequest(app_files=(file,)), previous)
    assert found == replace(
        previous,
        request=UpRequest(app_files=(file,)),
        # Files alone stand for bot-core as well.
        demo=False,
        app_files=(str(file),),
    )


def test_the_projects_on_a_network_are_named_in_order_and_strays_are_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    engine = MemoryEngine()
    neighbours = [Neighbour(name or "stray", name, frozenset()) for name in ("c", None, "a", "b")]
    monkeypatch.setattr(Project, "engine", lambda *_: engine)
    monkeypatch.setattr(engine, "neighbours", lambda _: neighbours)
    found = attach.discover(project(), ProjectState(demo=False, network="net"))
    assert found.projects == ("a", "b", "c")


def configuration(monkeypatch: pytest.MonkeyPatch, services: Mapping[str, Any]) -> None:
    monkeypatch.setattr(attach, "application_files", lambda *_: {"services": services})


def test_services_and_networks_of_files_are_named_in_order(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    names = "hcabgfed"
    networks = {f"net-{name}": None for name in names}
    configuration(monkeypatch, {name: {"networks": networks} for name in names})
    found = attach.discover(project(), FILES)
    assert found.app_services == tuple(sorted(names))
    assert found.app_networks == tuple(f"net-{name}" for name in sorted(names))


@pytest.mark.parametrize(
    ("services", "names"),
    [
        (
            {"redis-exporter": {}, "loki": {}, "grafana": {}},
            "grafana, loki, redis-exporter exists both",
        ),
        (
            {name: {"profiles": ["monitoring"]} for name in "cab"},
            "a, b, c in bot-core's Compose files",
        ),
    ],
)
def test_all_that_compose_would_mix_is_named_in_order(
    monkeypatch: pytest.MonkeyPatch, services: Mapping[str, Any], names: str
) -> None:
    configuration(monkeypatch, services)
    with pytest.raises(UsageError) as caught:
        attach.discover(project(), FILES)
    assert caught.value.message.startswith(names)


@pytest.mark.parametrize("with_env", [True, False])
def test_the_settings_beside_the_first_file_are_those_of_the_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, with_env: bool
) -> None:
    merged: list[tuple[str, list[Path], list[Path]]] = []

    def merge(name: str, files: list[Path], env_files: list[Path]) -> Mapping[str, Any]:
        merged.append((name, files, env_files))
        return {}

    files = [tmp_path / "one" / "app.yml", tmp_path / "two" / "more.yml"]
    for file in files:
        file.parent.mkdir()
        if with_env or file is files[1]:
            (file.parent / ".env").touch()
    monkeypatch.setattr(attach, "merged", merge)
    attach.application_files(project(), replace(FILES, app_files=tuple(map(str, files))))
    assert merged == [("bot-core", files, [tmp_path / "one" / ".env"] if with_env else [])]


def test_without_a_network_of_its_own_the_join_file_declares_none() -> None:
    state = open_state("bot-core")
    attach.write_join_file(state, replace(FILES, app_networks=("backend",)))
    assert set(yaml_text.load(state.join_file.read_text())) == {"services"}


@pytest.mark.parametrize(
    "state", [ProjectState(override="/compose.override.yml"), FILES], ids=["override", "files"]
)
def test_volumes_of_an_override_and_of_files_are_ours_once_up_has_made_them(
    monkeypatch: pytest.MonkeyPatch, state: ProjectState
) -> None:
    here = {"old-b", "old-a", "theirs"}
    monkeypatch.setattr(named_volumes, "present", here.intersection)

    class Volumes:
        def __init__(self, *names: str) -> None:
            self.names = names

        def configuration(self) -> dict[str, Any]:
            volumes = {name: {"name": name} for name in self.names}
            return {"volumes": volumes} if volumes else {}

    before = replace(state, volumes=("old-b", "old-a", "gone"))
    engine = cast(Engine, Volumes("new-b", "theirs", "new-a", "old-a"))
    assert attach.created_volumes(engine, before) == ("new-a", "new-b", "old-a", "old-b")
    # Those that the files do not name any more are still ours to remove.
    none = cast(Engine, Volumes())
    assert attach.created_volumes(none, before) == ("old-a", "old-b")
