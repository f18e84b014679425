"""Backups without Docker: the file whole and damaged in every way, what is stopped when, and what a failure leaves."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import io
import json
import os
import signal
import stat
import subprocess
import tarfile
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO

import click
import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stackctl import __version__
from stackctl.backup import archive, data, restore, save
from stackctl.backup.archive import BadBackup, Manifest
from stackctl.chaos.journal import Journal
from stackctl.commands.backup import backup as backup_command
from stackctl.commands.common import Session
from stackctl.commands.restore import restore as restore_command
from stackctl.config.load import load
from stackctl.docker import named_volumes
from stackctl.docker.engine import Engine, EngineInfo
from stackctl.docker.run import SCRATCH_LABEL
from stackctl.errors import EngineError, StackctlError, UsageError
from stackctl.project import unfinished_restore
from stackctl.project.project import Project, ProjectState
from stackctl.project.state import open_state
from stackctl.readiness.observer import Observer
from stackctl.util import paths, yaml_text
from tests.support.engine import MemoryEngine, container

SILENT = Observer(lambda _: None, lambda _: None, lambda _: None)


def member(name: str, content: bytes = b"", **changes: object) -> tuple[tarfile.TarInfo, bytes]:
    """A member of a tar: a file, unless `type` says otherwise."""
    info = tarfile.TarInfo(name)
    info.size = len(content)
    for attribute, value in changes.items():
        setattr(info, attribute, value)
    return info, content


def tar_of(*members: tuple[tarfile.TarInfo, bytes]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for info, content in members:
            tar.addfile(info, io.BytesIO(content))
    return out.getvalue()


FOLDER = member("volume", type=tarfile.DIRTYPE, mode=0o755, uid=472)
GRAFANA = tar_of(
    FOLDER,
    member("volume/grafana.db", b"rows" * 5000, mode=0o600, uid=472),
    member("volume/latest", type=tarfile.SYMTYPE, linkname="grafana.db"),
    member("volume/same", type=tarfile.LNKTYPE, linkname="volume/grafana.db"),
)
LOKI = tar_of(FOLDER, member("volume/chunks/1", os.urandom(3000)))


def write(path: Path, volumes: Mapping[str, bytes]) -> Manifest:
    with archive.writing(path) as writer:
        for name, content in volumes.items():
            writer.add(name, f"image-of-{name}", io.BytesIO(content))
        return writer.close("bot-core")


def read(path: Path) -> dict[str, bytes]:
    with archive.reading(path, data.SERVICES) as backup:
        return {volume.name: content.read() for volume, content in backup.volumes()}


@pytest.fixture
def whole(tmp_path: Path) -> Path:
    path = tmp_path / "whole.tar.gz"
    write(path, {"grafana_data": GRAFANA, "loki_data": LOKI})
    return path


def handmade(path: Path, *members: tuple[tarfile.TarInfo, bytes]) -> Path:
    path.write_bytes(gzip.compress(tar_of(*members)))
    return path


def manifest_of(volumes: Mapping[str, bytes], **changes: object) -> tuple[tarfile.TarInfo, bytes]:
    content = {
        "format": 1,
        "stackctl": __version__,
        "project": "bot-core",
        "time": "2026-01-02T03:04:05Z",
        "volumes": [
            {
                "name": name,
                "image": "i",
                "size": len(tar),
                "sha256": hashlib.sha256(tar).hexdigest(),
            }
            for name, tar in volumes.items()
        ],
        **changes,
    }
    return member("manifest.json", json.dumps(content).encode())


# The file


def test_what_is_written_is_read(whole: Path) -> None:
    assert read(whole) == {"grafana_data": GRAFANA, "loki_data": LOKI}


def test_only_its_user_can_read_it(whole: Path) -> None:
    assert stat.S_IMODE(whole.stat().st_mode) == 0o600


def test_it_is_a_plain_tar_whose_manifest_tells_sizes_and_checksums(whole: Path) -> None:
    with tarfile.open(whole) as tar:
        assert tar.getnames() == [
            "volumes/grafana_data.tar",
            "volumes/loki_data.tar",
            "manifest.json",
        ]
        content = tar.extractfile("manifest.json")
        assert content is not None
        manifest = json.load(content)
    assert (manifest["format"], manifest["stackctl"]) == (1, __version__)
    assert manifest["project"] == "bot-core"
    assert manifest["time"].endswith("Z")
    assert manifest["volumes"][0] == {
        "name": "grafana_data",
        "image": "image-of-grafana_data",
        "size": len(GRAFANA),
        "sha256": hashlib.sha256(GRAFANA).hexdigest(),
    }


def test_a_failure_while_writing_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "b.tar.gz"
    path.write_bytes(b"the old one")

    class CutOff(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            raise EngineError("docker cp failed")

    with pytest.raises(EngineError), archive.writing(path) as writer:
        writer.add("loki_data", "i", CutOff(LOKI))
    assert [one.name for one in tmp_path.iterdir()] == ["b.tar.gz"]
    assert path.read_bytes() == b"the old one"


def test_a_full_disk_is_one_line_and_leaves_nothing(tmp_path: Path) -> None:
    class Full(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            raise OSError(28, "No space left on device")

    path = tmp_path / "b.tar.gz"
    with (
        pytest.raises(StackctlError, match=r"b\.tar\.gz cannot be written: No space left"),
        archive.writing(path) as writer,
    ):
        writer.add("loki_data", "i", Full(LOKI))
    assert list(tmp_path.iterdir()) == []


def test_an_existing_file_is_kept_without_force(tmp_path: Path) -> None:
    path = tmp_path / "b.tar.gz"
    archive.refuse_existing(path, force=False)
    path.touch()
    with pytest.raises(UsageError) as caught:
        archive.refuse_existing(path, force=False)
    assert caught.value.remedy == "--force replaces it"
    archive.refuse_existing(path, force=True)


@pytest.mark.parametrize("place", [".", "no-such-folder/b.tar.gz"])
def test_a_place_where_no_file_can_be(tmp_path: Path, place: str) -> None:
    with pytest.raises(UsageError):
        archive.refuse_existing(tmp_path / place, force=True)


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None
)
@given(at=st.integers(0, 10**9), flip=st.integers(1, 255))
def test_one_wrong_byte_anywhere_is_found(whole: Path, at: int, flip: int) -> None:
    content = bytearray(whole.read_bytes())
    content[at % len(content)] ^= flip
    damaged = whole.with_name("damaged.tar.gz")
    damaged.write_bytes(content)
    try:
        found = read(damaged)
    except BadBackup as error:
        assert "\n" not in error.message
    else:
        # Bits that say nothing of the content: time and system in gzip's header, unused codes of its compression.
        assert found == {"grafana_data": GRAFANA, "loki_data": LOKI}


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None
)
@given(part=st.floats(0, 1, exclude_max=True))
def test_a_file_that_is_cut_short_is_found(whole: Path, part: float) -> None:
    content = whole.read_bytes()
    cut = whole.with_name("cut.tar.gz")
    cut.write_bytes(content[: int(len(content) * part)])
    with pytest.raises(BadBackup), archive.reading(cut, data.SERVICES):
        pytest.fail("the body must not run")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"plain text\n" * 100,
        gzip.compress(b"plain text\n" * 100),
        gzip.compress(tar_of()),
        gzip.compress(tar_of(member("etc/passwd", b"root"))),
        gzip.compress(tar_of(member("manifest.json", b"{}"))),
        gzip.compress(tar_of(member("manifest.json", b"[1"))),
        tar_of(member("manifest.json", b"{}")),
    ],
    ids=["empty", "text", "gzip", "empty-tar", "tar", "other-manifest", "no-json", "not-packed"],
)
def test_a_foreign_file_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "foreign.tar.gz"
    path.write_bytes(content)
    with pytest.raises(BadBackup) as caught, archive.reading(path, data.SERVICES):
        pytest.fail("the body must not run")
    assert "foreign.tar.gz" in caught.value.message
    assert "\n" not in caught.value.message


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="No such file"), archive.reading(tmp_path / "x", ()):
        pytest.fail("the body must not run")


LOKI_MEMBER = member("volumes/loki_data.tar", LOKI)


@pytest.mark.parametrize(
    "members",
    [
        [manifest_of({"loki_data": LOKI})],
        [LOKI_MEMBER, manifest_of({"loki_data": GRAFANA})],
        [LOKI_MEMBER, manifest_of({"grafana_data": LOKI})],
        [LOKI_MEMBER, manifest_of({"loki_data": LOKI, "grafana_data": GRAFANA})],
        [LOKI_MEMBER, LOKI_MEMBER, manifest_of({"loki_data": LOKI})],
        [manifest_of({"loki_data": LOKI}), LOKI_MEMBER],
        [member("volumes/mongodb_data.tar", LOKI), manifest_of({"mongodb_data": LOKI})],
        [member("volumes/../loki_data.tar", LOKI), manifest_of({"loki_data": LOKI})],
        [
            member("volumes/loki_data.tar", type=tarfile.SYMTYPE, linkname="/etc/passwd"),
            manifest_of({"loki_data": LOKI}),
        ],
        [LOKI_MEMBER, manifest_of({"loki_data": LOKI}, time="yesterday")],
        [LOKI_MEMBER],
    ],
    ids=[
        "no-volume",
        "other-checksum",
        "other-name",
        "one-missing",
        "one-twice",
        "manifest-first",
        "unknown-volume",
        "path",
        "link",
        "no-time",
        "no-manifest",
    ],
)
def test_a_manifest_and_volumes_that_do_not_agree(
    tmp_path: Path, members: list[tuple[tarfile.TarInfo, bytes]]
) -> None:
    path = handmade(tmp_path / "b.tar.gz", *members)
    with pytest.raises(BadBackup), archive.reading(path, data.SERVICES):
        pytest.fail("the body must not run")


def test_a_newer_format_names_the_version_that_can_read_it(tmp_path: Path) -> None:
    newer = manifest_of({}, format=2, stackctl="9.0.0", time="another shape")
    path = handmade(tmp_path / "b.tar.gz", LOKI_MEMBER, newer)
    with pytest.raises(BadBackup) as caught, archive.reading(path, data.SERVICES):
        pytest.fail("the body must not run")
    assert "has format 2" in caught.value.message
    assert caught.value.remedy == "restore it with stackctl 9.0.0, which wrote it"


@pytest.mark.parametrize(
    "inside",
    [
        tar_of(FOLDER, member("../etc/cron.d/x", b"x")),
        tar_of(FOLDER, member("/etc/cron.d/x", b"x")),
        tar_of(FOLDER, member("volume/../../x", b"x")),
        tar_of(FOLDER, member("elsewhere/x", b"x")),
        tar_of(FOLDER, member("volume/x", type=tarfile.LNKTYPE, linkname="/etc/shadow")),
        tar_of(FOLDER, member("volume/x", type=tarfile.LNKTYPE, linkname="volume/../../x")),
        tar_of(
            FOLDER,
            member("volume/out", type=tarfile.SYMTYPE, linkname="/etc"),
            member("volume/out/passwd", b"x"),
        ),
        tar_of(FOLDER, member("volume/sda", type=tarfile.BLKTYPE, devmajor=8)),
        tar_of(FOLDER, member("volume/mem", type=tarfile.CHRTYPE, devmajor=1, devminor=1)),
        LOKI + tar_of(member("../x", b"x")),
        b"no tar at all" * 100,
    ],
    ids=[
        "parent",
        "absolute",
        "through-parent",
        "elsewhere",
        "hard-link",
        "hard-link-parent",
        "through-a-link",
        "block-device",
        "character-device",
        "behind-the-end",
        "no-tar",
    ],
)
def test_a_volume_that_would_leave_its_place_is_refused(tmp_path: Path, inside: bytes) -> None:
    path = handmade(
        tmp_path / "b.tar.gz",
        member("volumes/loki_data.tar", inside),
        manifest_of({"loki_data": inside}),
    )
    with pytest.raises(BadBackup), archive.reading(path, data.SERVICES):
        pytest.fail("the body must not run")


# The volumes


def test_the_volumes_are_those_of_the_compose_file_with_the_services_that_write_them() -> None:
    compose = yaml_text.load((paths.compose() / "docker-compose.yml").read_text())
    mounts = {
        mount.partition(":")[0]: service
        for service, body in compose["services"].items()
        for mount in body.get("volumes", [])
        if isinstance(mount, str)
    }
    assert {name: mounts[name] for name in data.SERVICES} == dict(data.SERVICES)
    # Promtail's positions are about this machine's log files, and mean nothing beside a restored Loki.
    assert set(compose["volumes"]) - set(data.SERVICES) == {"promtail_positions"}


@dataclass
class Docker:
    """Volumes in memory in the place of the engine's, and what went on."""

    volumes: dict[str, bytes] = field(default_factory=dict)
    labels: dict[str, Mapping[str, str]] = field(default_factory=dict)
    on_read: Callable[[str], None] = lambda _: None
    on_write: Callable[[str], None] = lambda _: None
    others: set[str] = field(default_factory=set)
    """Volumes of somebody else's."""
    in_use: dict[str, list[str]] = field(default_factory=dict)

    def foreign(self, names: Collection[str], project: str) -> set[str]:
        assert project == "bot-core"
        return self.present(names) & self.others

    def users(self, volume: str) -> list[str]:
        return self.in_use.get(volume, [])

    def present(self, names: Collection[str]) -> set[str]:
        return set(names) & set(self.volumes)

    def create(self, volume: str, labels: Mapping[str, str]) -> None:
        assert volume not in self.volumes, "only into fresh volumes"
        self.volumes[volume] = b""
        self.labels[volume] = labels

    def remove(self, volumes: Collection[str]) -> None:
        for volume in volumes:
            self.volumes.pop(volume, None)

    @contextlib.contextmanager
    def open_transfer(self, project: str) -> Iterator[Docker]:
        yield self

    def read(self, volume: str, sink: IO[bytes]) -> None:
        self.on_read(volume)
        sink.write(self.volumes[volume])

    def write(self, volume: str, source: IO[bytes]) -> None:
        self.on_write(volume)
        self.volumes[volume] = source.read()


@pytest.fixture
def docker(monkeypatch: pytest.MonkeyPatch) -> Docker:
    fake = Docker()
    for name in ("present", "foreign", "users", "create", "remove", "open_transfer"):
        monkeypatch.setattr(named_volumes, name, getattr(fake, name))
    return fake


NAMES = {volume: f"bot-core_{volume}" for volume in data.SERVICES}


@dataclass
class Stack:
    project: Project
    engine: MemoryEngine

    @property
    def running(self) -> set[str]:
        return {name for name, state in self.engine.states.items() if state.running}


@pytest.fixture
def stack(
    state_dir: Path, clean_environment: pytest.MonkeyPatch, monkeypatch: pytest.MonkeyPatch
) -> Stack:
    """A project that is up, but for Docker."""
    project = Project(load(project="bot-core", env_file=None, environ={}), open_state("bot-core"))
    engine = MemoryEngine(*map(container, [*data.SERVICES.values(), "promtail"]))
    engine.engine_info = EngineInfo("26.1", "2.26.1", "Linux", 2**34, 2, Path("/"))

    def of_project(_: Project, choices: object = None) -> Engine:
        return engine

    async def ready(*_: object, **__: object) -> list[object]:
        return []

    monkeypatch.setattr(Project, "engine", of_project)
    monkeypatch.setattr("stackctl.readiness.wait.wait", ready)
    return Stack(project, engine)


def test_each_service_is_stopped_for_its_own_volume_only_and_runs_again(
    stack: Stack, docker: Docker, tmp_path: Path
) -> None:
    docker.volumes = dict.fromkeys(NAMES.values(), LOKI)
    seen = {}
    docker.on_read = lambda volume: seen.update({volume: stack.running})
    before = stack.running
    manifest = save.save(stack.project, tmp_path / "b.tar.gz", force=False, observer=SILENT)
    assert seen == {NAMES[volume]: before - {service} for volume, service in data.SERVICES.items()}
    assert stack.running == before
    assert [one.name for one in manifest.volumes] == list(data.SERVICES)
    assert {one.image for one in manifest.volumes} >= {"stackctl/grafana:local"}
    assert read(tmp_path / "b.tar.gz") == dict.fromkeys(data.SERVICES, LOKI)


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, EngineError("cut off")])
def test_however_the_copy_ends_the_service_runs_again_and_no_file_is_left(
    stack: Stack, docker: Docker, tmp_path: Path, error: BaseException | type[BaseException]
) -> None:
    def fail(volume: str) -> None:
        if volume == NAMES["loki_data"]:
            raise error

    docker.volumes = dict.fromkeys(NAMES.values(), LOKI)
    docker.on_read = fail
    before = stack.running
    folder = tmp_path / "backups"
    folder.mkdir()
    with pytest.raises(BaseException) as caught:  # noqa: PT011 - whichever it is
        save.save(stack.project, folder / "b.tar.gz", force=False, observer=SILENT)
    assert caught.value is error or caught.type is error
    assert stack.running == before
    assert Journal(stack.project.state).open_faults() == []
    assert list(folder.iterdir()) == []


def test_what_did_not_run_before_does_not_run_after(
    stack: Stack, docker: Docker, tmp_path: Path
) -> None:
    stack.engine.states["loki"] = container("loki", status="exited")
    docker.volumes = dict.fromkeys(NAMES.values(), LOKI)
    save.save(stack.project, tmp_path / "b.tar.gz", force=False, observer=SILENT)
    assert "loki" not in stack.running
    assert ("start", "id-loki") not in stack.engine.done


def test_a_backup_of_a_stack_that_is_down_names_the_images_of_its_set(
    stack: Stack, docker: Docker, tmp_path: Path
) -> None:
    stack.engine.states.clear()
    stack.project.keep(ProjectState(images="local"))
    docker.volumes = {NAMES["loki_data"]: LOKI}
    notes: list[str] = []
    observer = Observer(lambda _: None, notes.append, lambda _: None)
    manifest = save.save(stack.project, tmp_path / "b.tar.gz", force=False, observer=observer)
    assert [(one.name, one.image) for one in manifest.volumes] == [
        ("loki_data", "stackctl/loki:local")
    ]
    assert len(notes) == 3
    assert "bot-core_grafana_data is not there" in notes[0]


def test_no_data_is_said_before_anything_is_stopped(
    stack: Stack, docker: Docker, tmp_path: Path
) -> None:
    with pytest.raises(StackctlError, match="no data yet"):
        save.save(stack.project, tmp_path / "b.tar.gz", force=False, observer=SILENT)
    assert stack.engine.done == []


@pytest.mark.parametrize("status", ["paused", "restarting"])
def test_a_service_that_cannot_be_at_rest_is_refused_before_anything_is_stopped(
    stack: Stack, docker: Docker, tmp_path: Path, status: str
) -> None:
    docker.volumes = dict.fromkeys(NAMES.values(), LOKI)
    stack.engine.states["loki"] = container("loki", status=status)
    with pytest.raises(StackctlError, match=f"loki is {status}"):
        save.save(stack.project, tmp_path / "b.tar.gz", force=False, observer=SILENT)
    assert stack.engine.done == []


def test_an_open_fault_is_refused_before_anything_is_stopped(
    stack: Stack, docker: Docker, tmp_path: Path
) -> None:
    docker.volumes = dict.fromkeys(NAMES.values(), LOKI)
    Journal(stack.project.state).begin("disconnect", "promtail", "id-promtail")
    with pytest.raises(StackctlError) as caught:
        save.save(stack.project, tmp_path / "b.tar.gz", force=False, observer=SILENT)
    assert caught.value.remedy == "stackctl chaos heal"
    assert stack.engine.done == []


# Restoring


@dataclass
class Restoring:
    """A call of `restore`: what was asked, what was said."""

    stack: Stack
    asked: list[list[str]] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    refuse: bool = False

    def __call__(self, path: Path) -> Manifest:
        return restore.restore(self.stack.project, path, confirm=self.confirm, say=self.said.append)

    def confirm(self, manifest: Manifest, replaced: list[str]) -> None:
        self.asked.append(replaced)
        if self.refuse:
            raise click.Abort


@pytest.fixture
def restoring(stack: Stack) -> Restoring:
    stack.engine.states.clear()
    return Restoring(stack)


OLD = {NAMES["loki_data"]: b"old", NAMES["prometheus_data"]: b"old"}


def test_the_volumes_are_replaced_by_fresh_ones_that_compose_owns(
    restoring: Restoring, docker: Docker, whole: Path
) -> None:
    docker.volumes = dict(OLD)
    restoring(whole)
    assert restoring.asked == [[NAMES["loki_data"]]]
    assert docker.volumes == {
        NAMES["grafana_data"]: GRAFANA,
        NAMES["loki_data"]: LOKI,
        # The backup does not have it, so it stays.
        NAMES["prometheus_data"]: b"old",
    }
    assert docker.labels[NAMES["loki_data"]] == {
        "com.docker.compose.project": "bot-core",
        "com.docker.compose.volume": "loki_data",
        "com.docker.compose.version": "2.26.1",
    }
    unfinished_restore.refuse(restoring.stack.project.state)


def test_a_restore_needs_the_stack_down(stack: Stack, docker: Docker, whole: Path) -> None:
    docker.volumes = dict(OLD)
    with pytest.raises(StackctlError) as caught:
        Restoring(stack)(whole)
    assert caught.value.remedy == "stackctl down"
    assert docker.volumes == OLD


def test_a_restore_does_not_mind_containers_that_are_not_this_stacks(
    restoring: Restoring, docker: Docker, whole: Path
) -> None:
    theirs = container("redis", attached=True, project="bot")
    restoring.stack.engine.states["redis"] = theirs
    restoring(whole)
    assert docker.volumes[NAMES["loki_data"]] == LOKI
    restoring.stack.engine.states["promtail"] = container("promtail")
    with pytest.raises(StackctlError, match="has 1 containers"):
        restoring(whole)
    assert restoring.stack.engine.done == []


def test_a_damaged_file_is_found_before_anything_is_asked_or_touched(
    restoring: Restoring, docker: Docker, whole: Path
) -> None:
    docker.volumes = dict(OLD)
    content = bytearray(whole.read_bytes())
    content[len(content) // 2] ^= 1
    whole.write_bytes(content)
    with pytest.raises(BadBackup):
        restoring(whole)
    assert restoring.asked == []
    assert docker.volumes == OLD


def test_a_no_changes_nothing(restoring: Restoring, docker: Docker, whole: Path) -> None:
    docker.volumes = dict(OLD)
    restoring.refuse = True
    with pytest.raises(click.Abort):
        restoring(whole)
    assert docker.volumes == OLD


def test_a_restore_with_podman_is_refused_before_anything_is_touched(
    restoring: Restoring, docker: Docker, whole: Path
) -> None:
    docker.volumes = dict(OLD)
    known = restoring.stack.engine.engine_info
    assert isinstance(known, EngineInfo)
    restoring.stack.engine.engine_info = replace(known, podman=True)
    with pytest.raises(StackctlError, match="Podman") as caught:
        restoring(whole)
    assert caught.value.remedy
    assert docker.volumes == OLD


TRIAL = "bot-core_loki_data-trial"


def fail_at(*volumes: str, error: BaseException | type[BaseException]) -> Callable[[str], None]:
    """Make a failure of writing to one of these volumes."""

    def fail(volume: str) -> None:
        if volume in volumes:
            raise error

    return fail


@pytest.mark.parametrize("error", [KeyboardInterrupt, EngineError("no space left on device")])
@pytest.mark.parametrize("at", [TRIAL, NAMES["grafana_data"]])
def test_a_restore_that_fails_before_all_is_known_to_fit_changes_nothing(
    restoring: Restoring,
    docker: Docker,
    whole: Path,
    at: str,
    error: BaseException | type[BaseException],
) -> None:
    docker.volumes = dict(OLD)
    docker.on_write = fail_at(at, error=error)
    with pytest.raises(BaseException) as caught:  # noqa: PT011 - whichever it is
        restoring(whole)
    assert caught.value is error or caught.type is error
    assert docker.volumes == OLD
    unfinished_restore.refuse(restoring.stack.project.state)


def test_a_restore_that_fails_when_a_part_is_replaced_is_told_and_can_be_done_again(
    restoring: Restoring, docker: Docker, whole: Path
) -> None:
    state = restoring.stack.project.state
    docker.volumes = dict(OLD)
    docker.on_write = fail_at(NAMES["loki_data"], error=EngineError("the engine has gone"))
    with pytest.raises(EngineError):
        restoring(whole)
    assert TRIAL not in docker.volumes
    with pytest.raises(StackctlError, match="a restore was cut off"):
        unfinished_restore.refuse(state)
    # Nor does one that fails earlier the next time strike that out.
    docker.on_write = fail_at(TRIAL, error=EngineError("no space left on device"))
    with pytest.raises(EngineError):
        restoring(whole)
    with pytest.raises(StackctlError, match="a restore was cut off"):
        unfinished_restore.refuse(state)
    docker.on_write = lambda _: None
    restoring(whole)
    assert docker.volumes[NAMES["loki_data"]] == LOKI
    unfinished_restore.refuse(state)


def test_a_trial_goes_before_its_volume_is_replaced_and_is_marked_for_removal(
    restoring: Restoring, docker: Docker, whole: Path
) -> None:
    docker.volumes = {**OLD, TRIAL: b"of one that was killed"}
    seen: dict[str, set[str]] = {}
    docker.on_write = lambda volume: seen.update({volume: set(docker.volumes)})
    restoring(whole)
    assert NAMES["loki_data"] in seen[TRIAL]
    assert TRIAL not in seen[NAMES["loki_data"]]
    assert TRIAL not in docker.volumes
    assert SCRATCH_LABEL in docker.labels[TRIAL]


@pytest.mark.parametrize("which", ["others", "in_use"])
def test_a_volume_of_somebody_elses_is_refused_before_anything_is_asked_or_touched(
    restoring: Restoring, docker: Docker, whole: Path, which: str
) -> None:
    docker.volumes = dict(OLD)
    if which == "others":
        docker.others = {NAMES["loki_data"]}
    else:
        docker.in_use = {NAMES["loki_data"]: ["their-loki"]}
    with pytest.raises(StackctlError, match="bot-core_loki_data is") as caught:
        restoring(whole)
    assert caught.value.remedy
    assert "\n" not in caught.value.line
    assert restoring.asked == []
    assert docker.volumes == OLD


def test_a_restore_that_was_killed_is_told_until_it_is_done_again_or_its_volumes_are_gone(
    restoring: Restoring, docker: Docker, whole: Path
) -> None:
    state = restoring.stack.project.state
    docker.volumes = {NAMES["loki_data"]: b"half"}
    unfinished_restore.begin(state, [NAMES["loki_data"], NAMES["grafana_data"]])
    with pytest.raises(StackctlError, match=r"cut off: bot-core_loki_data may hold a part"):
        unfinished_restore.refuse(state)
    docker.volumes.clear()
    unfinished_restore.refuse(state)
    docker.volumes = {NAMES["loki_data"]: b"half"}
    restoring(whole)
    unfinished_restore.refuse(state)


def test_data_of_other_programs_is_told(restoring: Restoring, docker: Docker, whole: Path) -> None:
    restoring.stack.project.keep(ProjectState(images="local"))
    restoring(whole)
    assert (
        "loki_data was written by image-of-loki_data; this project runs stackctl/loki:local"
        in restoring.said
    )


# The docker command


@pytest.fixture
def fake_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Puts a script in the place of the docker command."""

    def install(script: str) -> None:
        command = tmp_path / "bin" / "docker"
        command.parent.mkdir(exist_ok=True)
        command.write_text(f"#!/bin/sh\n{script}\n")
        command.chmod(0o755)
        monkeypatch.setenv("PATH", f"{command.parent}:{os.environ['PATH']}")

    return install


def test_what_docker_says_last_is_the_error(
    fake_command: Callable[[str], None], tmp_path: Path
) -> None:
    fake_command('case "$1" in cp) echo first >&2; echo "no space left" >&2; exit 3;; esac')
    volumes = named_volumes.Transfer("bot-core", "image")
    with (
        (tmp_path / "spool").open("wb") as sink,
        pytest.raises(EngineError, match=r"docker cp failed \(exit 3\): no space left"),
    ):
        volumes.read("v", sink)
    # It ends before it has read all: the pipe breaks, and what it said is the error all the same.
    with pytest.raises(EngineError, match="no space left"):
        volumes.write("v", io.BytesIO(bytes(10_000_000)))


def test_the_container_and_the_image_are_removed_even_if_making_them_fails(
    fake_command: Callable[[str], None], tmp_path: Path
) -> None:
    calls = tmp_path / "calls"
    fake_command(
        f'echo "$1 $2" >> {calls}; case "$1" in create) echo "no such volume" >&2; exit 1;; esac'
    )
    with (
        pytest.raises(EngineError, match="no such volume"),
        named_volumes.open_transfer("bot-core") as volumes,
    ):
        volumes.read("v", io.BytesIO())
    done = calls.read_text().splitlines()
    assert done[-2:] == ["rm --force", "image rm"]


def test_ctrl_c_waits_for_a_request_that_the_engine_would_go_on_with(
    fake_command: Callable[[str], None], tmp_path: Path
) -> None:
    made = tmp_path / "made"
    fake_command(f"kill -INT {os.getpid()}; sleep 0.2; touch {made}")
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        named_volumes.create("v", {})
    assert made.exists()
    assert signal.getsignal(signal.SIGINT) is before


def test_a_second_ctrl_c_ends_a_command_that_is_never_answered(
    fake_command: Callable[[str], None],
) -> None:
    # Nothing but the second signal ends it: two that come at once may count as one, so it goes on sending them.
    fake_command(f"while :; do kill -INT {os.getpid()}; sleep 0.05; done")
    with pytest.raises(KeyboardInterrupt):
        named_volumes.create("v", {})


def test_an_engine_that_never_answers_is_an_error(
    fake_command: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(named_volumes, "_ANSWER_SECONDS", 0.05)
    fake_command("exec sleep 600")
    with pytest.raises(EngineError, match="docker volume: the engine does not answer"):
        named_volumes.create("v", {})


def test_volumes_of_somebody_elses_are_those_without_the_projects_label(
    fake_command: Callable[[str], None],
) -> None:
    fake_command(
        'case "$*" in *label=com.docker.compose.project=p) echo mine;; *) printf "mine\\nother\\n";; esac'
    )
    assert named_volumes.foreign(["mine", "other", "gone"], "p") == {"other"}


def test_what_a_killed_command_made_for_itself_is_removed_and_what_a_live_one_has_is_not(
    fake_command: Callable[[str], None], tmp_path: Path
) -> None:
    with subprocess.Popen(["true"]) as gone:
        gone.wait()
    labels = {"stackctl.scratch": "p", "stackctl.process": "PID"}
    found = [
        {"Id": name, "Name": f"/{name}", "Config": {"Labels": {**labels, "stackctl.process": pid}}}
        for name, pid in (("dead", str(gone.pid)), ("alive", str(os.getpid())))
    ]
    found += [{**found[0], "Id": "other", "Name": "/other", "Config": {"Labels": {"of": "others"}}}]
    (tmp_path / "found.json").write_text(json.dumps(found))
    (tmp_path / "dead.json").write_text(json.dumps(found[:1]))
    calls = tmp_path / "calls"
    fake_command(
        f'echo "$*" >> {calls}; case "$*" in *"container list"*) echo dead alive other;;'
        f' *"inspect dead alive other") cat {tmp_path}/found.json;; *inspect*dead) cat {tmp_path}/dead.json;; esac'
    )
    Engine("p").remove_scratch(Engine("p").inventory())
    said = calls.read_text()
    assert "label=stackctl.scratch=p" in said
    removed = [line for line in said.splitlines() if " rm " in line]
    assert len(removed) == 1
    assert removed[0].split()[-1] == "dead"


# The commands


def test_backup_says_how_large_what_is(stack: Stack, docker: Docker, tmp_path: Path) -> None:
    docker.volumes = dict.fromkeys(NAMES.values(), LOKI)
    path = tmp_path / "b.tar.gz"
    done = CliRunner().invoke(backup_command, [str(path)], obj=Session("bot-core", None))
    assert done.exit_code == 0, done.output
    assert f"{path}: " in done.stdout
    assert "loki_data (" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "answer", "restored"),
    [(["--yes"], "", True), ([], "y\n", True), ([], "n\n", False), ([], "", False)],
)
def test_restore_asks_before_it_replaces(
    restoring: Restoring,
    docker: Docker,
    whole: Path,
    arguments: list[str],
    answer: str,
    restored: bool,
) -> None:
    docker.volumes = dict(OLD)
    session = Session("bot-core", None)
    done = CliRunner().invoke(restore_command, [*arguments, str(whole)], obj=session, input=answer)
    assert ("This replaces bot-core_loki_data for good" in done.stderr) is not bool(arguments)
    assert (done.exit_code == 0) is restored
    assert (docker.volumes[NAMES["loki_data"]] == LOKI) is restored
