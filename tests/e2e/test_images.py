"""Images with a mirror, without a registry, and locked: a real registry, and small images for the real ones."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pytest

from stackctl.config.load import load
from stackctl.docker.engine import Engine
from stackctl.errors import EngineError
from stackctl.images import build, lockfile, resolve, sets
from stackctl.images.bundle import BadBundle
from stackctl.services.catalog import image_variable
from stackctl.services.releases import PLAN
from stackctl.util import paths
from tests.e2e.conftest import docker
from tests.support.cli import stackctl
from tests.support.http import wait_until
from tests.support.registry import registry

pytestmark = pytest.mark.docker

PROJECT = "stackctl-e2e-images"
LARGE = 48 * 1024 * 1024
IMAGES = tuple(image.name for image in sets.catalogue(PLAN))
VARIABLES = tuple(map(image_variable, IMAGES))


@dataclass(frozen=True)
class Laptop:
    """A folder to call stackctl in, with a state folder and settings of its own."""

    folder: Path
    values: Mapping[str, str]

    @property
    def environment(self) -> dict[str, str]:
        return {"STACKCTL_STATE_DIR": str(self.folder / "state"), **self.values}

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return stackctl(
            "-p", PROJECT, *arguments, cwd=self.folder, env=self.environment, timeout=300
        )

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "stackctl", "-p", PROJECT, *arguments]

    def done(self, *arguments: str) -> str:
        done = self.run(*arguments)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    def killed_when(self, moment: Callable[[], bool], *arguments: str) -> None:
        """Start a command, and kill it at a moment at which it is still at work."""
        process = subprocess.Popen(
            self.command(*arguments),
            cwd=self.folder,
            env={**os.environ, **self.environment},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + 120
        while not moment():
            assert process.poll() is None, "it ended before the moment came"
            assert time.monotonic() < deadline
            time.sleep(0.005)
        process.kill()
        assert process.wait() == -9


def error_line(done: subprocess.CompletedProcess[str], code: int) -> str:
    assert done.returncode == code, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("stackctl: ")]
    return line


def image_id(reference: str) -> str | None:
    done = subprocess.run(
        ["docker", "image", "inspect", "--format", "{{.Id}}", reference],
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout.strip() or None


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Callable[[str, bytes], str]]:
    """Makes an image of one file by a reference; all that it made go at the end."""
    made: set[str] = set()

    def make(reference: str, content: bytes) -> str:
        file, archive = tmp_path / "content", tmp_path / "content.tar"
        file.write_bytes(content)
        with tarfile.open(archive, "w") as tar:
            tar.add(file, "content")
        id_ = docker("import", str(archive), reference).strip()
        made.add(id_)
        archive.unlink()
        file.unlink()
        return id_

    yield make
    for id_ in made:
        subprocess.run(["docker", "rmi", "--force", id_], capture_output=True, check=False)


@pytest.fixture
def mirror(tmp_path: Path, make: Callable[[str, bytes], str]) -> Iterator[str]:
    """A registry with a small image for each upstream one; images pulled from it are removed at the end."""
    with registry(tmp_path) as address:
        for reference in mirrored(address).values():
            make(reference, reference.encode())
            docker("push", "--quiet", reference)
            docker("rmi", "--force", reference)
        yield address
    left = docker("images", "--quiet", "--filter", f"reference={address}/*/*").split()
    if left:
        docker("rmi", "--force", *set(left))


def mirrored(address: str) -> dict[str, str]:
    settings = load(environ={"STACKCTL_REGISTRY_MIRROR": address})
    return {
        image.name: sets.reference(image, settings, "upstream")
        for image in sets.catalogue(PLAN)
        if not image.built_here
    }


# From a mirror, and locked


def test_a_locked_tag_that_moves_changes_nothing(
    tmp_path: Path, mirror: str, make: Callable[[str, bytes], str]
) -> None:
    laptop = Laptop(tmp_path, {"STACKCTL_REGISTRY_MIRROR": mirror})
    assert "14 of 14 images are present." in laptop.done("images", "pull")
    reference = mirrored(mirror)["prometheus"]
    assert reference == f"{mirror}/prom/prometheus:v2.48.0"
    first = image_id(reference)
    assert "14 images of the upstream set" in laptop.done("images", "lock", "--set", "upstream")

    other = make(reference, b"another version")
    docker("push", "--quiet", reference)
    docker("rmi", "--force", str(first))
    assert image_id(reference) == other != first
    checked = laptop.run("images", "lock", "--check")
    assert checked.returncode == 1
    (line,) = checked.stderr.splitlines()
    assert line.startswith(f"the digest of {reference} differs: locked ")
    docker("rmi", "--force", other)
    checked = laptop.run("images", "lock", "--check")
    assert (checked.returncode, checked.stderr.count("\n")) == (1, 1)
    assert checked.stderr.startswith(f"missing image: {reference}@sha256:")
    docker("pull", "--quiet", reference)

    lock = lockfile.read(tmp_path / "stackctl.lock")
    found = resolve.resolve(
        Engine(PROJECT),
        load(environ=dict(laptop.values)),
        choice="auto",
        previous=None,
        releases=PLAN,
        demo=False,
        progress=lambda _: None,
        lock=lock,
    )
    pinned = found.variables["PROMETHEUS_IMAGE"]
    assert pinned.startswith(f"{reference}@sha256:")
    assert image_id(pinned) == first
    assert "match stackctl.lock" in laptop.done("images", "lock", "--check")


def test_the_demos_image_is_built_on_the_mirrors_base(tmp_path: Path, mirror: str) -> None:
    settings = load(environ={"STACKCTL_REGISTRY_MIRROR": mirror})
    base, built = f"{mirror}/library/python:3.12-slim", "stackctl/demo:upstream"
    kept = image_id(built)
    if kept:
        docker("tag", built, f"{PROJECT}/kept:1")
        docker("rmi", built)
    said: list[str] = []

    def resolved(choice: Literal["auto", "upstream"]) -> resolve.Resolved:
        return resolve.resolve(
            Engine(PROJECT),
            settings,
            choice=choice,
            previous=None,
            releases=PLAN,
            demo=True,
            progress=said.append,
        )

    try:
        # The mirror has no base yet: `auto` goes on with the local image in its place.
        found = resolved("auto")
        assert (found.name, image_id(built)) == ("upstream", None)
        assert found.pins == {built: "stackctl/demo:local"}
        assert found.reason == ("cannot build the demo's image: using stackctl/demo:local instead")
        with pytest.raises(
            EngineError, match=rf"cannot build the demo's image: .*{base}: not found"
        ) as caught:
            resolved("upstream")
        assert "\n" not in caught.value.line
        docker("tag", build.BASE_IMAGE, base)
        docker("push", "--quiet", base)
        docker("rmi", base)
        assert resolved("upstream").name == "upstream"
        assert f"building the demo's image on {base}" in said
        assert "botdemo" in docker("inspect", "--format", "{{.Config.Entrypoint}}", built)
    finally:
        subprocess.run(["docker", "rmi", "--force", built], capture_output=True, check=False)
        if kept:
            docker("tag", f"{PROJECT}/kept:1", built)
            docker("rmi", f"{PROJECT}/kept:1")


def test_pull_names_what_the_mirror_has_not(tmp_path: Path, mirror: str) -> None:
    laptop = Laptop(
        tmp_path, {"STACKCTL_REGISTRY_MIRROR": mirror, "LOKI_IMAGE": f"{mirror}/grafana/loki:none"}
    )
    done = laptop.run("images", "pull")
    assert done.returncode == 1
    assert "13 of 14 images are present." in done.stdout
    assert f"cannot pull {mirror}/grafana/loki:none" in done.stderr
    assert "manifest unknown" in done.stderr


def test_up_refuses_an_image_that_is_not_the_locked_one_before_it_starts_anything(
    tmp_path: Path, laptop: Laptop, make: Callable[[str, bytes], str]
) -> None:
    laptop.done("images", "lock", "--set", "upstream")
    reference = laptop.values["LOKI_IMAGE"]
    make(reference, b"another version")
    line = error_line(laptop.run("up", "--images", "upstream"), 1)
    assert line.startswith(f"stackctl: {reference} differs: locked ")
    assert line.endswith("; update the lock with `stackctl images lock`")
    checked = laptop.run("images", "lock", "--check")
    assert (checked.returncode, checked.stderr.count(reference)) == (1, 1)
    assert docker("ps", "-aq", "--filter", f"label=com.docker.compose.project={PROJECT}") == ""


def test_an_image_of_ones_own_that_is_nowhere_is_one_line_before_anything_starts(
    tmp_path: Path, laptop: Laptop
) -> None:
    own = {"LOKI_IMAGE": "127.0.0.1:1/own/loki:1"}
    line = error_line(Laptop(tmp_path, {**laptop.values, **own}).run("up", "--images", "local"), 1)
    assert line.startswith("stackctl: LOKI_IMAGE: cannot pull 127.0.0.1:1/own/loki:1: ")
    assert "connection refused" in line
    assert line.endswith("; correct LOKI_IMAGE, or remove it")
    assert docker("ps", "-aq", "--filter", f"label=com.docker.compose.project={PROJECT}") == ""


# Without a registry


@pytest.fixture
def laptop(tmp_path: Path, make: Callable[[str, bytes], str]) -> Laptop:
    """A laptop with its own image for each service, three of them large, and with free ports."""
    values: dict[str, str] = {}
    for place, variable in enumerate(VARIABLES):
        reference = f"{PROJECT}/{variable.lower()}:1"
        make(reference, os.urandom(LARGE if place in {0, 6, 12} else 1000))
        values[variable] = reference
    ports = [name for name in load(environ={}).values if name.endswith("_PORT")]
    values |= {
        name: str(29_000 + place)
        for place, name in enumerate(ports)
        if name != "ALERTMANAGER_SMTP_PORT"
    }
    return Laptop(tmp_path, values)


def ids(laptop: Laptop) -> list[str | None]:
    return [image_id(laptop.values[variable]) for variable in VARIABLES]


def remove(laptop: Laptop) -> None:
    docker("rmi", "--force", *(laptop.values[variable] for variable in VARIABLES))


def written(folder: Path) -> int:
    """Return how many bytes a save has written that has not ended yet."""
    return sum(path.stat().st_size for path in folder.glob(".team.bundle.*"))


def test_a_save_that_is_killed_leaves_no_bundle_and_the_next_one_nothing_else(
    laptop: Laptop,
) -> None:
    bundle = laptop.folder / "team.bundle"
    command = ("images", "save", "--set", "upstream", bundle.name)
    laptop.killed_when(lambda: written(laptop.folder) > LARGE, *command)
    assert not bundle.exists()
    assert written(laptop.folder) > 0
    assert "15 images of the upstream set" in laptop.done(*command)
    assert written(laptop.folder) == 0
    assert bundle.stat().st_size > 3 * LARGE


def running(command: str) -> bool:
    listed = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True)
    return command in listed.stdout


def test_a_load_that_is_killed_is_completed_by_the_next_one(laptop: Laptop) -> None:
    before = ids(laptop)
    laptop.done("images", "save", "--set", "upstream", "team.bundle")
    remove(laptop)
    assert set(ids(laptop)) == {None}
    laptop.killed_when(lambda: running("image load"), "images", "load", "team.bundle")
    assert wait_until(lambda: not running("image load"), 30)
    assert None in ids(laptop)
    laptop.done("images", "load", "team.bundle")
    assert ids(laptop) == before
    assert "0 images of the upstream set loaded, 15 were already present" in laptop.done(
        "images", "load", "team.bundle"
    )


def test_docker_itself_loads_a_bundle(laptop: Laptop) -> None:
    before = ids(laptop)
    laptop.done("images", "save", "--set", "upstream", "team.bundle")
    remove(laptop)
    docker("load", "--input", str(laptop.folder / "team.bundle"))
    assert ids(laptop) == before


def test_a_damaged_bundle_loads_nothing(laptop: Laptop) -> None:
    bundle = laptop.folder / "team.bundle"
    laptop.done("images", "save", "--set", "upstream", bundle.name)
    remove(laptop)
    with bundle.open("r+b") as stream:
        stream.seek(bundle.stat().st_size // 2)
        byte = stream.read(1)[0]
        stream.seek(-1, os.SEEK_CUR)
        stream.write(bytes([byte ^ 1]))
    line = error_line(laptop.run("images", "load", bundle.name), 1)
    assert "is damaged or not a bundle: checksum mismatch" in line
    os.truncate(bundle, bundle.stat().st_size // 2)
    assert "its end is missing" in error_line(laptop.run("images", "load", bundle.name), 1)
    assert set(ids(laptop)) == {None}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a small file system")
def test_a_full_disk_is_one_line_and_leaves_nothing(laptop: Laptop) -> None:
    disk = laptop.folder / "disk"
    disk.mkdir()
    size = f"size={int(1.5 * LARGE)}"
    subprocess.run(["mount", "-t", "tmpfs", "-o", size, "tmpfs", str(disk)], check=True)
    try:
        command = ("images", "save", "--set", "upstream", "disk/team.bundle")
        line = error_line(laptop.run(*command), 1)
        assert line.startswith("stackctl: cannot write disk/team.bundle: No space left")
        assert list(disk.iterdir()) == []
        size = f"remount,size={5 * LARGE}"
        subprocess.run(["mount", "-o", size, str(disk)], check=True)
        laptop.done(*command)
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_ctrl_c_ends_a_save_at_once_and_leaves_neither_docker_nor_a_file_behind(
    laptop: Laptop,
) -> None:
    process = subprocess.Popen(
        laptop.command("images", "save", "--set", "upstream", "team.bundle"),
        cwd=laptop.folder,
        env={**os.environ, **laptop.environment},
        stderr=subprocess.PIPE,
        text=True,
    )
    assert wait_until(lambda: written(laptop.folder) > LARGE // 4, 60)
    process.terminate()
    _, said = process.communicate(timeout=10)
    assert process.returncode == 130
    assert said.splitlines()[-1] == "stackctl: interrupted"
    assert not running(f"image save {PROJECT}/")
    assert not list(laptop.folder.glob("*team.bundle*"))


# The engine


def test_what_the_engine_refuses_to_load_is_an_error_in_one_line() -> None:
    engine = Engine(PROJECT)
    with pytest.raises(EngineError, match=r"docker load failed \(exit 1\): \S") as caught:
        engine.load_image(iter([b"no tar at all"] * 1000))
    assert "\n" not in caught.value.message
    with pytest.raises(
        EngineError, match=r"docker save failed \(exit 1\): .*does not exist|No such image"
    ):
        list(engine.save_images([f"{PROJECT}/none:1"]))


def test_a_tar_that_breaks_off_loads_nothing(laptop: Laptop) -> None:
    engine = Engine(PROJECT)
    reference = laptop.values["PROMETHEUS_IMAGE"]
    pieces = list(engine.save_images([reference]))
    docker("rmi", "--force", reference)

    def breaks_off() -> Iterator[bytes]:
        yield from pieces[: len(pieces) // 2]
        raise BadBundle("damaged")

    with pytest.raises(BadBundle):
        engine.load_image(breaks_off())
    assert image_id(reference) is None
    engine.load_image(pieces)
    assert image_id(reference) is not None


def test_a_registry_that_nobody_answers_at_is_told_without_another_attempt(tmp_path: Path) -> None:
    done = Laptop(tmp_path, {"STACKCTL_REGISTRY_MIRROR": "127.0.0.1:1"}).run("images", "pull")
    assert (done.returncode, done.stderr.count("connection refused")) == (1, 14)
    assert "retrying " not in done.stderr


# Built here


def forget_files() -> None:
    """Let what was read of the compose files be read again."""
    for cached in (sets.catalogue, sets._local, sets.built):
        cached.cache_clear()


@pytest.fixture
def sources(tmp_path: Path, state_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A copy of the images' sources, whose images have names of their own."""
    for name in ("compose", "demo", "images", "standins"):
        shutil.copytree(paths.root() / name, tmp_path / name)
    file = tmp_path / "compose" / "build" / "local.yml"
    file.write_text(file.read_text().replace("image: stackctl/", f"image: {PROJECT}/"))
    monkeypatch.setattr(paths, "root", lambda: tmp_path)
    forget_files()
    built = [image.local for image in sets.catalogue(PLAN)]
    yield tmp_path
    forget_files()
    subprocess.run(["docker", "rmi", "--force", *built], capture_output=True, check=False)


def test_an_edit_builds_the_image_that_it_goes_into_and_leaves_the_others(sources: Path) -> None:
    engine = Engine(PROJECT)

    def built() -> dict[str, str | None]:
        build.build(engine, PLAN, lambda _: None)
        assert not build.outdated(engine, PLAN)
        return {image.name: image_id(image.local) for image in sets.catalogue(PLAN)}

    before = built()
    assert None not in before.values()
    assert len(set(before.values())) == len(before) == len(IMAGES)
    main = sources / "standins" / "loki" / "main.py"
    main.write_text(main.read_text().replace("\nimport ", "\n# A comment.\nimport ", 1))
    assert built() == before
    main.write_text(f"{main.read_text()}\nmarker = 1\n")
    after = built()
    assert {name for name in before if before[name] != after[name]} == {"loki"}
    # What is in it is that program, without the others and without tests.
    inside = docker(
        *("run", "--rm", "--entrypoint", "find", f"{PROJECT}/loki:local"),
        *("/opt/standins/standins", "-name", "*.py", "-printf", "%P\n"),
    ).split()
    assert {path.partition("/")[0] for path in inside} == {"__init__.py", "loki", "shared"}
    assert {"loki/main.py", "shared/logql/parser.py"} <= set(inside)
    assert not [path for path in inside if "tests" in path]
