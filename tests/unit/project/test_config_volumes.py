"""Copies of configuration and secrets in volumes: what is put where, and only what differs."""

from __future__ import annotations

import contextlib
import io
import tarfile
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

import pytest
import yaml

from stackctl.docker import named_volumes
from stackctl.errors import StackctlError
from stackctl.project import compose_overlay, config_volumes
from stackctl.project.config_volumes import Copy
from stackctl.project.state import StateFolder
from stackctl.util import yaml_text
from tests.support.engine import MemoryEngine

_DATA = {"bot-core_prometheus_data"}


class Volumes:
    """Docker's volumes in memory: the members of each by path."""

    def __init__(self) -> None:
        self.members: dict[str, dict[str, tuple[tarfile.TarInfo, bytes]]] = {}
        self.labels: dict[str, Mapping[str, str]] = {}
        self.written: list[str] = []

    def present(self, names: Collection[str]) -> set[str]:
        return set(names) & set(self.members)

    def create(self, volume: str, labels: Mapping[str, str]) -> None:
        assert volume not in self.members
        self.members[volume] = {}
        self.labels[volume] = labels

    def remove(self, names: Collection[str]) -> None:
        for name in names:
            del self.members[name]

    @contextlib.contextmanager
    def open_transfer(self, project: str) -> Iterator[Volumes]:
        yield self

    @contextlib.contextmanager
    def mounted(self, volumes: Mapping[str, str], mode: str) -> Iterator[None]:
        assert set(volumes) <= set(self.members)
        yield

    def contents(self, path: str) -> bytes:
        name = Path(path).name
        made = io.BytesIO()
        with tarfile.open(fileobj=made, mode="w") as tar:
            root = tarfile.TarInfo(name)
            root.type = tarfile.DIRTYPE
            tar.addfile(root)
            for member, data in self.members[name].values():
                moved = member.replace(name=f"{name}/{member.name}", deep=True)
                tar.addfile(moved, io.BytesIO(data))
        return made.getvalue()

    def copy_in(self, path: str, source: IO[bytes]) -> None:
        name = Path(path).name
        with tarfile.open(fileobj=source) as tar:
            for member in tar:
                stream = tar.extractfile(member)
                self.members[name][member.name] = (member, stream.read() if stream else b"")
                self.written.append(f"{name}:{member.name}")

    def files(self, name: str) -> dict[str, bytes]:
        return {path: data for path, (one, data) in self.members[name].items() if one.isfile()}


class CopyingEngine(MemoryEngine):
    """Has the volumes' `rm`, and which of them are copies."""

    def __init__(self, volumes: Volumes) -> None:
        super().__init__()
        self._kept = volumes

    def run_in_volume(self, volume: str, image: str, command: Sequence[str]) -> None:
        program, option, *paths = command
        assert (program, option) == ("rm", "-rf")
        for path in paths:
            self._kept.members[volume].pop(path.removeprefix("/volume/"), None)

    def copies(self) -> list[str]:
        return sorted(set(self._kept.members) - _DATA)


@pytest.fixture
def volumes(monkeypatch: pytest.MonkeyPatch) -> Volumes:
    fake = Volumes()
    for name in ("present", "create", "remove", "open_transfer"):
        monkeypatch.setattr(named_volumes, name, getattr(fake, name))
    return fake


@pytest.fixture
def state(tmp_path: Path) -> StateFolder:
    for name, text in {
        "config/prometheus/prometheus.yml": "a: 1\n",
        "config/prometheus/alerts/one.yml": "groups: []\n",
        "secrets/key": "hush",
        "secrets/empty": "",
    }.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (tmp_path / "config/prometheus/scrape-configs").mkdir()
    return StateFolder(tmp_path)


def configuration(folder: Path) -> dict[str, Any]:
    def bind(source: str, target: str) -> dict[str, Any]:
        return {"type": "bind", "source": source, "target": target, "read_only": True}

    return {
        "secrets": {
            "key": {"file": f"{folder}/secrets/key"},
            "empty": {"file": f"{folder}/secrets/empty"},
            "own": {"file": "/home/user/own.txt"},
        },
        "services": {
            "prometheus": {
                "image": "p:1",
                "volumes": [
                    bind(f"{folder}/config/prometheus", "/etc/prometheus"),
                    {"type": "volume", "source": "prometheus_data", "target": "/prometheus"},
                ],
                "secrets": [
                    {"source": "key", "target": "renamed"},
                    {"source": "empty", "target": "/run/secrets/empty"},
                ],
            },
            "reader": {
                "image": "r:1",
                "volumes": [bind(f"{folder}/config/prometheus", "/etc/r"), bind("/", "/host")],
                "secrets": [{"source": "own"}],
            },
            "plain": {"image": "x:1"},
        },
    }


def made(state: StateFolder) -> list[Copy]:
    planned, _ = config_volumes.plan(configuration(state.folder), state.folder)
    return [one for one in planned if one.volume != "secrets_reader"]


def test_what_is_mounted_of_the_state_folder_gets_volumes_and_nothing_else_does(
    state: StateFolder,
) -> None:
    planned, services = config_volumes.plan(configuration(state.folder), state.folder)
    assert {one.volume: dict(one.parts) for one in planned} == {
        "config_prometheus": {"": "config/prometheus"},
        "secrets_prometheus": {"renamed": "secrets/key", "empty": "secrets/empty"},
        # A secret of the user's own file travels too.
        "secrets_reader": {"own": "/home/user/own.txt"},
    }
    assert set(services) == {"prometheus", "reader"}
    assert [mount["target"] for mount in services["reader"]["volumes"]] == [
        "/etc/r",
        "/run/secrets",
    ]
    assert all(
        mount["type"] == "volume" and mount["read_only"]
        for body in services.values()
        for mount in body["volumes"]
    )


def test_a_secret_that_is_no_file_is_left_to_compose_and_a_built_image_has_composes_name(
    state: StateFolder,
) -> None:
    found: dict[str, Any] = {
        "name": "bot-core",
        "secrets": {
            "token": {"environment": "TOKEN"},
            "key": {"file": f"{state.folder}/secrets/key"},
        },
        "services": {
            "app": {"build": {}, "secrets": [{"source": "key"}]},
            "plain": {"image": "x:1", "secrets": [{"source": "token"}]},
        },
    }
    planned, services = config_volumes.plan(found, state.folder)
    assert [(one.volume, one.image) for one in planned] == [("secrets_app", "bot-core-app")]
    assert set(services) == {"app"}
    found["services"]["app"]["secrets"].append({"source": "token"})
    with pytest.raises(StackctlError, match="token of app"):
        config_volumes.plan(found, state.folder)


def test_the_compose_file_takes_the_secrets_out(state: StateFolder) -> None:
    _, services = config_volumes.plan(configuration(state.folder), state.folder)
    text = compose_overlay.text({"services": services})
    assert text.count("secrets: !reset") == 2
    with pytest.raises(yaml.constructor.ConstructorError, match="!reset"):
        yaml_text.load(text)


@pytest.mark.parametrize("of", ["file", "secret"])
def test_what_no_volume_can_stand_in_for_is_refused_with_the_remedy(
    state: StateFolder, of: str
) -> None:
    found = configuration(state.folder)
    if of == "file":
        file = f"{state.folder}/config/prometheus/prometheus.yml"
        found["services"]["plain"]["volumes"] = [{"type": "bind", "source": file, "target": "/x"}]
    else:
        found["services"]["plain"]["secrets"] = [{"source": "key", "target": "/etc/plain/key"}]
    with pytest.raises(StackctlError, match="plain") as caught:
        config_volumes.plan(found, state.folder)
    assert caught.value.remedy


def test_volumes_are_made_filled_and_marked(state: StateFolder, volumes: Volumes) -> None:
    changed = config_volumes.refresh(CopyingEngine(volumes), state, made(state))
    assert changed == ["bot-core_config_prometheus", "bot-core_secrets_prometheus"]
    assert volumes.files("bot-core_config_prometheus") == {
        "prometheus.yml": b"a: 1\n",
        "alerts/one.yml": b"groups: []\n",
    }
    # The glob of prometheus.yml needs the folder, the program the file, also an empty one.
    assert volumes.members["bot-core_config_prometheus"]["scrape-configs"][0].isdir()
    assert volumes.files("bot-core_secrets_prometheus") == {"renamed": b"hush", "empty": b""}
    for name, mode in (("config", 0o644), ("secrets", 0o444)):
        for member, _ in volumes.members[f"bot-core_{name}_prometheus"].values():
            assert member.mode == (0o755 if member.isdir() else mode)
            assert (member.uid, member.gid) == (0, 0)
    assert volumes.labels["bot-core_config_prometheus"] == {
        "com.docker.compose.project": "bot-core",
        "com.docker.compose.volume": "config_prometheus",
        "stackctl.copy": "true",
    }


def test_only_what_differs_is_written_and_what_is_gone_is_removed(
    state: StateFolder, volumes: Volumes
) -> None:
    engine = CopyingEngine(volumes)
    config_volumes.refresh(engine, state, made(state))
    volumes.written.clear()
    assert config_volumes.refresh(engine, state, made(state)) == []
    assert volumes.written == []
    (state.config / "prometheus/prometheus.yml").write_text("a: 2\n")
    (state.config / "prometheus/alerts/one.yml").unlink()
    assert config_volumes.refresh(engine, state, made(state)) == ["bot-core_config_prometheus"]
    assert volumes.written == ["bot-core_config_prometheus:prometheus.yml"]
    assert volumes.files("bot-core_config_prometheus") == {"prometheus.yml": b"a: 2\n"}


def test_the_volumes_are_remembered_without_what_is_in_them(state: StateFolder) -> None:
    assert config_volumes.kept(state) == []
    config_volumes.keep(state, made(state))
    assert config_volumes.kept(state) == made(state)
    assert "hush" not in (state.folder / "copies.json").read_text()
    config_volumes.keep(state, [])
    assert config_volumes.kept(state) == []


def test_removing_takes_copies_that_are_not_used_and_no_data(
    state: StateFolder, volumes: Volumes
) -> None:
    engine = CopyingEngine(volumes)
    config_volumes.refresh(engine, state, made(state))
    volumes.create("bot-core_prometheus_data", {})
    config_volumes.remove(engine, but=made(state)[:1])
    assert set(volumes.members) == {"bot-core_config_prometheus", *_DATA}
    config_volumes.remove(engine)
    assert set(volumes.members) == _DATA
