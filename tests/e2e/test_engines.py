"""The newer engine beside the distribution's: what it is, and that locks and bundles hold on both."""

from __future__ import annotations

import io
import json
import os
import subprocess
import tarfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from stackctl.images import sets
from stackctl.services.catalog import image_variable
from stackctl.services.releases import PLAN
from tests.e2e.conftest import DISTRIBUTION_ENGINE, PROJECT, Stack, docker
from tests.support.cli import stackctl

pytestmark = [pytest.mark.docker, pytest.mark.newer]

THERE = {"DOCKER_HOST": DISTRIBUTION_ENGINE or ""}
"""What the distribution's engine is called by."""


IMAGES = tuple(image.name for image in sets.catalogue(PLAN))


def images(
    folder: Path, *words: str, env: Mapping[str, str] = {}
) -> subprocess.CompletedProcess[str]:
    """Run `stackctl images` in a folder, on this engine or another."""
    states = {"STACKCTL_STATE_DIR": str(folder / "state")}
    return stackctl("images", *words, cwd=folder, env={**states, **env}, timeout=300)


def done(process: subprocess.CompletedProcess[str]) -> str:
    assert process.returncode == 0, process.stdout + process.stderr
    return process.stdout


def ids(host: str) -> dict[str, str]:
    names = [image.local for image in sets.catalogue(PLAN)]
    printed = docker("--host", host, "image", "inspect", *names)
    return {one["RepoTags"][0]: one["Id"] for one in json.loads(printed)}


def test_the_engine_is_set_up_as_laptops_have_it_now() -> None:
    info = json.loads(docker("info", "--format", "{{json .}}"))
    assert ["driver-type", "io.containerd.snapshotter.v1"] in info["DriverStatus"]
    assert int(info["ServerVersion"].partition(".")[0]) >= 28
    server = json.loads(docker("version", "--format", "{{json .Server}}"))
    assert server["MinAPIVersion"] == "1.44"
    major, minor, *_ = map(int, docker("compose", "version", "--short").split("-")[0].split("."))
    assert (major, minor) >= (2, 40)


def test_a_lock_and_a_bundle_of_the_distributions_engine_hold_here(
    stack: Stack, carried: Path
) -> None:
    # The stack was brought up by that lock, from the images of that bundle.
    assert ids(os.environ["DOCKER_HOST"]).items().isdisjoint(ids(THERE["DOCKER_HOST"]).items())
    assert f"{len(IMAGES)} images of the local set match stackctl.lock" in done(
        images(carried, "lock", "--check")
    )
    assert "0 images of the local set loaded" in done(images(carried, "load", "team.bundle"))
    plan = json.loads(done(stack.run("up", "--dry-run", "--format", "json", cwd=carried)))
    assert not plan["changes"]


def test_a_lock_of_this_engine_holds_on_the_distributions(carried: Path, tmp_path: Path) -> None:
    done(images(tmp_path, "lock", "--set", "local"))
    made_here = (tmp_path / "stackctl.lock").read_bytes()
    assert made_here == (carried / "stackctl.lock").read_bytes()
    done(images(tmp_path, "lock", "--check", env=THERE))
    env = {**THERE, "STACKCTL_STATE_DIR": str(tmp_path / "state")}
    words = ("-p", f"{PROJECT}-there", "up", "--dry-run", "--images", "local")
    done(stackctl(*words, cwd=tmp_path, env=env))


@pytest.fixture
def small(tmp_path: Path) -> Iterator[dict[str, str]]:
    """Settings with an image of one small file for each of the stack, made here; they go from both engines."""
    values = {}
    for name in IMAGES:
        variable, archive = image_variable(name), tmp_path / "content.tar"
        values[variable] = f"{PROJECT}/{name}:1"
        with tarfile.open(archive, "w") as tar:
            file = tarfile.TarInfo("name")
            file.size = len(name)
            tar.addfile(file, io.BytesIO(name.encode()))
        docker("import", str(archive), values[variable])
        archive.unlink()
    yield values
    for env in ({}, THERE):
        subprocess.run(
            ["docker", "rmi", "--force", *values.values()],
            env={**os.environ, **env},
            capture_output=True,
            check=False,
        )


def test_a_bundle_of_this_engine_is_loaded_by_the_distributions(
    small: dict[str, str], tmp_path: Path
) -> None:
    bundle = ("save", "--set", "upstream", "team.bundle")
    done(images(tmp_path, "lock", "--set", "upstream", env=small))
    done(images(tmp_path, *bundle, env=small))
    there = {**small, **THERE}
    assert f"{len(IMAGES)} images of the upstream set loaded" in done(
        images(tmp_path, "load", "team.bundle", env=there)
    )
    done(images(tmp_path, "lock", "--check", env=there))
    lock = (tmp_path / "stackctl.lock").read_bytes()
    # And back: what the other engine saves of it is here.
    done(images(tmp_path, *bundle, "--force", env=there))
    assert "0 images of the upstream set loaded" in done(
        images(tmp_path, "load", "team.bundle", env=small)
    )
    done(images(tmp_path, "lock", "--set", "upstream", env=there))
    assert (tmp_path / "stackctl.lock").read_bytes() == lock
