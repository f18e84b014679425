"""An image's content: equal in engines that list it differently, and another for every change that matters."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from stackctl.docker.engine import Engine
from stackctl.docker.images import Content

CONFIG = {"Env": ["A=b"], "Entrypoint": ["loki"], "Labels": {"a": "b"}, "User": "10001"}
IMAGE: dict[str, Any] = {
    "Id": "sha256:1",
    "Created": "2026-01-02T03:04:05.6Z",
    "Architecture": "amd64",
    "Os": "linux",
    "Config": CONFIG,
    "RootFS": {"Type": "layers", "Layers": ["sha256:a", "sha256:b"]},
}


@pytest.fixture
def says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What `docker image inspect` prints."""
    printed, program = tmp_path / "printed", tmp_path / "docker"
    program.write_text(
        f'#!/bin/sh\n[ -s {printed} ] || {{ echo "Error: No such image: x" >&2; exit 1; }}\n'
        f"cat {printed}\n"
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    return printed


def content(says: Path, **changes: Any) -> Content | None:
    says.write_text(json.dumps([IMAGE | changes]))
    return Engine("p").image_content("x")


def test_ids_sizes_and_members_without_a_value_make_no_difference(says: Path) -> None:
    found = content(says)
    assert found is not None
    assert found.layers == ("sha256:a", "sha256:b")
    older = {"Hostname": "", "Cmd": None, "Volumes": {}, "WorkingDir": "", "Image": ""}
    assert found == content(
        says, Id="sha256:2", Size=7, Variant="", GraphDriver=None, Config=older | CONFIG
    )


@pytest.mark.parametrize(
    "changes",
    [
        {"Created": "2026-01-02T03:04:06Z"},
        {"Architecture": "arm64"},
        {"RootFS": {"Layers": ["sha256:b", "sha256:a"]}},
        {"Config": None},
        *({"Config": CONFIG | {name: ["other"]}} for name in ("Env", "Entrypoint", "Cmd")),
        {"Config": CONFIG | {"Labels": {"a": "c"}}},
        {"Config": CONFIG | {"User": "0"}},
    ],
)
def test_another_image_has_another_content(says: Path, changes: dict[str, Any]) -> None:
    assert content(says) != content(says, **changes)


def test_an_image_that_is_not_here_has_none(says: Path) -> None:
    assert Engine("p").image_content("x") is None
