"""What a setting accepts for an address or an image, the real program accepts too, and the other way round."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
import yaml

from tests.support.judged_values import IMAGES, URLS
from tests.support.tools import passing_folders

pytestmark = pytest.mark.docker


def test_alertmanager_agrees_on_every_address(tmp_path: Path) -> None:
    for number, url in enumerate(URLS):
        receiver = {"name": "r", "webhook_configs": [{"url": url}]}
        folder = tmp_path / str(number)
        folder.mkdir()
        config = {"route": {"receiver": "r"}, "receivers": [receiver]}
        (folder / "config.yml").write_text(yaml.safe_dump(config), encoding="utf-8")
    folders = [str(number) for number in range(len(URLS))]
    accepted = set(passing_folders("amtool", "check-config config.yml", folders, folder=tmp_path))
    found = {url: str(number) in accepted for number, url in enumerate(URLS)}
    assert found == dict(URLS)


def test_docker_agrees_on_every_image() -> None:
    found = {}
    for image in IMAGES:
        done = subprocess.run(
            ["docker", "image", "inspect", "--", image], capture_output=True, text=True, check=False
        )
        found[image] = "invalid" not in done.stderr
    assert found == dict(IMAGES)
