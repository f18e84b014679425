"""When an `up` may leave Compose out: only where nothing that decides has changed, which is tried one by one."""

from __future__ import annotations

import copy
import os
import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from stackctl.config.registry import OVERRIDE_FILE
from stackctl.docker.command import Command
from stackctl.docker.endpoint import Endpoint
from stackctl.images.choice import Choice, Resolved
from stackctl.images.lockfile import FILE
from stackctl.lifecycle import settled
from stackctl.lifecycle.settled import Asked, Settled
from stackctl.project import config_volumes
from stackctl.project.config_volumes import Copy
from stackctl.project.project import Project, ProjectState, UpRequest, open_project
from stackctl.render.rendering import Rendering
from stackctl.services.releases import Versions
from stackctl.util import paths
from tests.support.engine import MemoryEngine

RENDERING = Rendering(("slack",), {"email": ("ALERTMANAGER_SMTP_HOST",)}, ("x",), (), ())


def listed(service: str) -> dict[str, Any]:
    """A running container as ContainerList describes it."""
    return {
        "Id": f"id-{service}",
        "Names": [f"/{service}"],
        "Image": f"stackctl/{service}:local",
        "ImageID": f"sha256:{service}",
        "State": "running",
        "Status": "Up 5 minutes (healthy)",
        "Labels": {
            "com.docker.compose.project": "bot-core",
            "com.docker.compose.service": service,
            "com.docker.compose.config-hash": f"hash-{service}",
        },
        "NetworkSettings": {"Networks": {"bot-core_bot-network": {"NetworkID": "net1"}}},
    }


@dataclass
class Stage:
    """A project after an `up` that ended well."""

    project: Project
    engine: MemoryEngine
    containers: list[dict[str, Any]]
    environment: pytest.MonkeyPatch
    choice: Choice = "auto"
    versions: Versions | None = None
    request: UpRequest = field(default_factory=UpRequest)

    def record(self) -> None:
        settled.record(
            self.project,
            Asked(UpRequest(), "auto", None),
            self.engine,
            Resolved("local", {}, "kept"),
            RENDERING,
        )

    def recall(self) -> Settled | None:
        # A later command reads its settings again.
        self.project = open_project(name=None, env_file=None)
        return settled.recall(
            self.project, Asked(self.request, self.choice, self.versions), self.engine
        )


@pytest.fixture
def sources(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Sources that a test may change."""
    root = tmp_path_factory.mktemp("sources")
    for name in ("compose/docker-compose.yml", "infrastructure/a.yml", "standins/loki/app.py"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("a: 1\n")
    monkeypatch.setattr(paths, "root", lambda: root)
    return root


@pytest.fixture
def stage(own_folders: None, sources: Path, monkeypatch: pytest.MonkeyPatch) -> Stage:
    project = open_project(name=None, env_file=None)
    project.keep(ProjectState(images="local"))
    for name in ("config/loki/loki.yml", "secrets/grafana_password", "compose.env", "engine.env"):
        path = project.state.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{name}\n")
    stage = Stage(project, MemoryEngine(), [listed("grafana"), listed("loki")], monkeypatch)
    foreign = listed("other") | {"Labels": {"com.docker.compose.project": "other"}}
    monkeypatch.setattr(Command, "listing", lambda _: [*copy.deepcopy(stage.containers), foreign])
    stage.record()
    return stage


def test_nothing_has_changed(stage: Stage) -> None:
    known = stage.recall()
    assert known is not None
    assert known.resolved.name == "local"
    # What `up` prints of the channels; nothing was rendered, so nothing has changed.
    assert known.rendering == replace(RENDERING, changed=())


def test_containers_in_another_order_are_the_same(stage: Stage) -> None:
    stage.containers.reverse()
    assert stage.recall() is not None


def test_journals_of_faults_and_reloads_decide_nothing(stage: Stage) -> None:
    stage.project.state.write_json("chaos.json", {"open": []})
    stage.project.state.write_json("loaded.json", {"prometheus": "1"})
    assert stage.recall() is not None


Change = Callable[[Stage, Path], object]


def container(**changes: Any) -> Change:
    return lambda stage, _: stage.containers[0].update(changes)


def labels(**changes: str) -> Change:
    return lambda stage, _: stage.containers[0]["Labels"].update(changes)


def state_file(name: str, text: str | None) -> Change:
    def change(stage: Stage, _: Path) -> None:
        path = stage.project.state.folder / name
        path.unlink(missing_ok=True) if text is None else path.write_text(text)

    return change


def source_file(name: str, text: str | None) -> Change:
    def change(_: Stage, sources: Path) -> None:
        path = sources / name
        path.unlink() if text is None else path.write_text(text)

    return change


CHANGES: dict[str, Change] = {
    "a container stopped": container(State="exited"),
    "a container paused": container(State="paused"),
    "a container unhealthy": container(Status="Up 5 minutes (unhealthy)"),
    "a container replaced": container(Id="id-new"),
    "a container renamed": container(Names=["/old"]),
    "a container of another configuration": labels(**{"com.docker.compose.config-hash": "h2"}),
    "an image rebuilt": container(Image="sha256:grafana"),
    "a container of another image": container(ImageID="sha256:new"),
    "a container off its network": container(NetworkSettings={"Networks": {}}),
    "a recreated network": container(
        NetworkSettings={"Networks": {"bot-core_bot-network": {"NetworkID": "net2"}}}
    ),
    "a container removed": lambda stage, _: stage.containers.pop(),
    "all containers removed": lambda stage, _: stage.containers.clear(),
    "a container added": lambda stage, _: stage.containers.append(listed("prometheus")),
    "a scratch container left": lambda stage, _: stage.containers.append(
        listed("scratch") | {"Labels": {"stackctl.scratch": "bot-core"}}
    ),
    "a rendered file edited": state_file("config/loki/loki.yml", "config/loki/loki.yMl\n"),
    "a rendered file removed": state_file("config/loki/loki.yml", None),
    "a rendered file added": state_file("config/loki/more.yml", ""),
    "a secret file edited": state_file("secrets/grafana_password", "other"),
    "compose.env edited": state_file("compose.env", "other"),
    "the engine's file removed": state_file("engine.env", None),
    "the record of choices edited": state_file("project.json", '{"images": "upstream"}'),
    "a rendered file that nobody can read": lambda stage, _: (
        stage.project.state.folder / "config/loki/loki.yml"
    ).chmod(0),
    "a Compose file edited": source_file("compose/docker-compose.yml", "a: 12\n"),
    "a template removed": source_file("infrastructure/a.yml", None),
    "a stand-in's source added": source_file("standins/loki/more.py", ""),
    "a setting": lambda stage, _: stage.environment.setenv("GRAFANA_PORT", "3999"),
    "a setting in .env": lambda *_: Path(".env").write_text("LOKI_PORT=3999\n"),
    "a secret": lambda stage, _: stage.environment.setenv("GRAFANA_PASSWORD", "another one"),
    "a lock": lambda *_: FILE.write_text("{}"),
    "an override": lambda *_: Path(OVERRIDE_FILE).write_text("services: {}\n"),
    "another engine": lambda stage, _: setattr(
        stage.engine, "endpoint", Endpoint("unix", socket=Path("/other.sock"))
    ),
    "another choice of images": lambda stage, _: setattr(stage, "choice", "local"),
    "another choice of versions": lambda stage, _: setattr(stage, "versions", "current"),
    "a request without the demo": lambda stage, _: setattr(stage, "request", UpRequest(demo=False)),
    "a request for a network": lambda stage, _: setattr(stage, "request", UpRequest(network="net")),
    "a request for bot-core's files": lambda stage, _: setattr(
        stage, "request", UpRequest(app_files=(Path("none.yml"),))
    ),
    "a record that is damaged": state_file("settled.json", '{"inputs": 1}'),
    "a record that is not JSON": state_file("settled.json", "{"),
    "no record": state_file("settled.json", None),
}


@pytest.mark.parametrize("what", CHANGES)
def test_whatever_changes_an_up_looks_at_everything(stage: Stage, sources: Path, what: str) -> None:
    CHANGES[what](stage, sources)
    assert stage.recall() is None


def test_an_engine_that_cannot_be_asked_at_once_is_looked_at(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Command, "listing", lambda _: None)
    assert stage.recall() is None
    stage.record()
    assert stage.project.state.read_json("settled.json") == {}


def test_beside_bot_core_with_copies_or_unseen_containers_everything_is_looked_at(
    stage: Stage,
) -> None:
    for state in (
        ProjectState(network="net"),
        ProjectState(app_files=("/a.yml",)),
        ProjectState(unseen="socket"),
    ):
        stage.project.keep(state)
        stage.record()
        assert stage.recall() is None
    stage.project.keep(ProjectState())
    config_volumes.keep(stage.project.state, [Copy("v", {"": "config/loki"}, "image")])
    stage.record()
    assert stage.recall() is None


@pytest.mark.parametrize(
    ("text", "known"),
    [
        ("services: {loki: {mem_limit: 2g}}\n", True),
        ("services: {loki: {mem_limit: $MEMORY}}\n", False),
        ("services: {loki: {env_file: loki.env}}\n", False),
        ("include: [more.yml]\n", False),
        ("services: {own: {build: .}}\n", False),
        ("secrets: {a: {file: a.txt}}\n", False),
    ],
)
def test_an_override_counts_where_it_is_all_that_compose_reads(
    stage: Stage, text: str, known: bool
) -> None:
    Path(OVERRIDE_FILE).write_text(text)
    stage.project.keep(replace(stage.project.choices, override=str(Path(OVERRIDE_FILE).absolute())))
    stage.record()
    assert (stage.recall() is not None) is known
    Path(OVERRIDE_FILE).write_text("services: {}\n")
    assert stage.recall() is None


@pytest.mark.thorough
@pytest.mark.parametrize("seed", range(200))
def test_a_byte_changed_anywhere_is_noticed(stage: Stage, sources: Path, seed: int) -> None:
    at = random.Random(seed)  # noqa: S311 - a test's choice
    kind = at.choice(["state", "source", "container"])
    if kind == "container":
        # A leaf of what is compared, in any container.
        one = at.choice(stage.containers)
        key = at.choice(["Id", "Image", "ImageID"])
        one[key] = _spoilt(one[key].encode(), at).decode(errors="replace")
    else:
        top = stage.project.state.folder if kind == "state" else sources
        # What is damaged there is refused by every command.
        ours = {"settled.json", "lock", "format", "secrets.json", "project.json"}
        files = [
            path for path in sorted(top.rglob("*")) if path.is_file() and path.name not in ours
        ]
        path = at.choice(files)
        status = path.stat()
        path.write_bytes(_spoilt(path.read_bytes(), at))
        if kind == "state":
            # Not even a file that claims to be as old as before.
            os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert stage.recall() is None


def _spoilt(content: bytes, at: random.Random) -> bytes:
    place = at.randrange(len(content))
    other = bytes([at.choice([one for one in b"abcxyz012" if one != content[place]])])
    return content[:place] + other + content[place + 1 :]
