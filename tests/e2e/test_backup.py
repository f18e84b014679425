"""Backup and restore on a real Docker Engine: the shared stack stays up and whole, a second project gets its data."""

from __future__ import annotations

import asyncio
import io
import json
import os
import shutil
import subprocess
import tarfile
import time
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from stackctl.backup import archive, data
from stackctl.clients.loki import Entry, LokiClient
from stackctl.clients.prometheus import PrometheusClient
from stackctl.docker import named_volumes
from stackctl.docker.engine import Engine
from stackctl.project import unfinished_restore
from stackctl.project.state import StateFolder
from tests.e2e.conftest import PROJECT, Stack, docker
from tests.support.cli import stackctl

pytestmark = pytest.mark.docker

OTHER = f"{PROJECT}-restored"
VOLUMES = [data.full_name(OTHER, volume) for volume in data.SERVICES]


def call(
    stack: Stack, *arguments: str, env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run stackctl for the second project, which never has a container."""
    options = ("-p", OTHER, "--env-file", str(stack.env_file))
    return stackctl(*options, *arguments, env={**stack.environment, **(env or {})})


@pytest.fixture
def other(stack: Stack) -> Iterator[None]:
    """The second project, gone with its volumes at the end."""
    yield
    docker("volume", "rm", "--force", *VOLUMES)
    unfinished_restore.end(StateFolder(stack.folder / "state" / OTHER))


def leftovers() -> str:
    """Return the containers and images that a backup makes for itself."""
    return docker("ps", "-aq", "--filter", "name=volume-copy") + docker(
        "images", "-q", "stackctl/volume-copy"
    )


def content_of(volume: str, folder: Path) -> dict[str, tuple[int, int, int, bytes]]:
    """Return every file of a volume: its mode, its owner and group, and what is in it."""
    name = f"stackctl-test-{uuid.uuid4().hex}"
    docker(
        "create", "--name", name, "--volume", f"{volume}:/volume:ro", "stackctl/redis:local", "true"
    )
    try:
        copied = subprocess.run(
            ["docker", "cp", f"{name}:/volume", "-"], capture_output=True, check=True
        )
    finally:
        docker("rm", "--force", name)
    path = folder / f"{name}.tar"
    path.write_bytes(copied.stdout)
    with tarfile.open(path) as tar:
        found = {}
        for member in tar:
            inside = tar.extractfile(member) if member.isreg() else None
            content = inside.read() if inside else b""
            found[member.name] = (member.mode, member.uid, member.gid, content)
        return found


def samples(stack: Stack) -> int:
    """Return how many samples of `up` Prometheus has of the time before now."""

    async def ask() -> int:
        async with PrometheusClient(stack.settings.url("prometheus")) as client:
            found = await client.query("sum(count_over_time(up[1h]))")
            return int(found[0].value[1])

    return asyncio.run(ask())


@pytest.mark.core
def test_a_backup_of_a_stack_that_is_up_and_a_restore_of_all_of_it(
    stack: Stack, other: None, tmp_path: Path
) -> None:
    marker = f"backup-{uuid.uuid4().hex}"
    at = time.time_ns()

    async def push() -> None:
        async with LokiClient(stack.settings.url("loki")) as loki:
            await loki.push({"job": "backup-test"}, [Entry(at, marker)])

    async def find() -> list[str]:
        async with LokiClient(stack.settings.url("loki")) as loki:
            streams = await loki.query_range('{job="backup-test"}', start=at - 1, end=at + 1)
        return [entry.line for stream in streams for entry in stream.entries]

    asyncio.run(push())
    before = Engine(PROJECT).containers()
    counted = samples(stack)

    path = tmp_path / "b.tar.gz"
    done = stack.run("backup", str(path))
    assert done.returncode == 0, done.stderr
    assert path.stat().st_mode & 0o777 == 0o600

    # The same containers run, each of the four was restarted once, and each has its data.
    after = Engine(PROJECT).containers()
    assert {name: state.id for name, state in after.items()} == {
        name: state.id for name, state in before.items()
    }
    assert all(state.running for state in after.values())
    again = {name for name, state in after.items() if state.started != before[name].started}
    assert again == set(data.SERVICES.values())
    assert stack.run("status").returncode == 0
    assert samples(stack) >= counted
    assert asyncio.run(find()) == [marker]
    assert leftovers() == ""

    done = call(stack, "restore", str(path))
    assert done.returncode == 0, done.stderr
    assert leftovers() == ""
    for volume in VOLUMES:
        labels = json.loads(docker("volume", "inspect", "--format", "{{json .Labels}}", volume))
        assert labels["com.docker.compose.project"] == OTHER
        assert volume == f"{OTHER}_{labels['com.docker.compose.volume']}"

    # Loki's data has the line; Prometheus' and Grafana's have their own owners, which the programs need to write it.
    loki = content_of(f"{OTHER}_loki_data", tmp_path)
    assert any(marker.encode() in content for _, _, _, content in loki.values())
    assert loki["volume"][1] == 10001
    assert content_of(f"{OTHER}_prometheus_data", tmp_path)["volume"][1] == 65534
    grafana = content_of(f"{OTHER}_grafana_data", tmp_path)
    assert grafana["volume"][1] == 472
    assert len(grafana) > 1

    # A backup of what was restored, which nothing has written since, has the same volumes to the byte.
    second = tmp_path / "second.tar.gz"
    assert call(stack, "backup", str(second)).returncode == 0
    assert sums(second) == sums(path)

    # Compose takes the volumes for its own.
    done = call(stack, "down", "--volumes", "--yes")
    assert done.returncode == 0, done.stderr
    assert docker("volume", "ls", "-q", "--filter", f"name={OTHER}") == ""


def handmade(path: Path, size: int, marker: str) -> Path:
    """Write a backup with a Loki volume of about this size."""
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as tar:
        folder = tarfile.TarInfo("volume")
        folder.type, folder.mode = tarfile.DIRTYPE, 0o755
        tar.addfile(folder)
        for name, data_of in (("marker", marker.encode()), ("chunk", bytes(size))):
            member = tarfile.TarInfo(f"volume/{name}")
            member.size = len(data_of)
            tar.addfile(member, io.BytesIO(data_of))
    with archive.writing(path) as writer:
        writer.add("loki_data", "stackctl/loki:local", content)
        writer.close(OTHER)
    return path


LOKI_VOLUME = f"{OTHER}_loki_data"


def test_a_volume_of_somebody_elses_by_the_same_name_is_left_alone(
    stack: Stack, other: None, tmp_path: Path
) -> None:
    path = handmade(tmp_path / "b.tar.gz", 10, "new")
    # Made by hand: it has no label of the project.
    docker("volume", "create", LOKI_VOLUME)
    put(LOKI_VOLUME, "theirs", b"precious")
    network = docker("network", "create", f"{OTHER}_theirs").strip()
    try:
        done = call(stack, "restore", "--yes", str(path))
        assert done.returncode == 1, done.stdout
        (line,) = [one for one in done.stderr.splitlines() if one.startswith("stackctl: ")]
        assert f"volume {LOKI_VOLUME} does not belong to project {OTHER}" in line
        assert content_of(LOKI_VOLUME, tmp_path)["volume/theirs"][3] == b"precious"
        # Nor does `down --volumes` take it.
        assert call(stack, "down", "--volumes", "--yes").returncode == 0
        assert content_of(LOKI_VOLUME, tmp_path)["volume/theirs"][3] == b"precious"
        assert network in docker("network", "ls", "-q", "--no-trunc")
    finally:
        docker("network", "rm", network)


def put(volume: str, name: str, content: bytes) -> None:
    """Put a file into a volume."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        member = tarfile.TarInfo(f"volume/{name}")
        member.size = len(content)
        tar.addfile(member, io.BytesIO(content))
    packed.seek(0)
    with named_volumes.open_transfer(f"{OTHER}-put") as copies:
        copies.write(volume, packed)


def small_volumes(folder: Path, volume: str) -> dict[str, str]:
    """Return an environment in which Docker makes this volume a file system of one megabyte."""
    command = folder / "bin" / "docker"
    command.parent.mkdir()
    real = shutil.which("docker")
    small = "--opt type=tmpfs --opt device=tmpfs --opt o=size=1m"
    command.write_text(
        f'#!/bin/sh\ncase "$*" in "volume create "*" {volume}")\n'
        f'  shift 2; exec {real} volume create {small} "$@";; esac\nexec {real} "$@"\n'
    )
    command.chmod(0o755)
    return {"PATH": f"{command.parent}:{os.environ['PATH']}"}


def test_a_restore_for_which_the_disk_has_no_room_leaves_what_was_there(
    stack: Stack, other: None, tmp_path: Path
) -> None:
    old = handmade(tmp_path / "old.tar.gz", 10, "old")
    assert call(stack, "restore", str(old)).returncode == 0
    trial = data.trial_name(OTHER, "loki_data")
    path = handmade(tmp_path / "new.tar.gz", 4_000_000, "new")
    done = call(stack, "restore", "--yes", str(path), env=small_volumes(tmp_path, trial))
    assert done.returncode == 1, done.stdout
    (line,) = [one for one in done.stderr.splitlines() if one.startswith("stackctl: ")]
    assert "no space left on device" in line
    assert content_of(LOKI_VOLUME, tmp_path)["volume/marker"][3] == b"old"
    assert trial not in docker("volume", "ls", "-q")
    assert leftovers() == ""
    # With room it is all there.
    assert call(stack, "restore", "--yes", str(path)).returncode == 0
    assert content_of(LOKI_VOLUME, tmp_path)["volume/marker"][3] == b"new"
    assert trial not in docker("volume", "ls", "-q")


def sums(path: Path) -> dict[str, str]:
    """Return the checksum of every volume in a backup."""
    with tarfile.open(path) as tar:
        content = tar.extractfile("manifest.json")
        assert content is not None
        return {one["name"]: one["sha256"] for one in json.load(content)["volumes"]}


def test_the_running_stack_is_never_restored_over(stack: Stack, tmp_path: Path) -> None:
    before = Engine(PROJECT).volumes()
    done = stack.run("restore", "--yes", str(tmp_path / "b.tar.gz"))
    assert done.returncode == 1
    assert "stackctl down" in done.stderr
    assert Engine(PROJECT).volumes() == before
