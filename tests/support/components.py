"""A program of the local image set, alone in a container."""

from __future__ import annotations

import os
from collections.abc import Iterator

import httpx
import pytest

from tests.support.http import wait_until

# Its reaper is an image of a registry; the containers below are stopped by their context managers.
os.environ["TESTCONTAINERS_RYUK_DISABLED"] = "true"

from testcontainers.core.container import DockerContainer


def started(
    image: str,
    port: int,
    command: str,
    files: dict[str, str],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[str]:
    """Run a program of the local set in a container, with these files by path; return its address once it is ready."""
    container = DockerContainer(image).with_exposed_ports(port).with_command(command)
    folder = tmp_path_factory.mktemp("component")
    folder.chmod(0o755)
    for path, text in files.items():
        source = folder / path.rsplit("/", 1)[1]
        source.write_text(text)
        source.chmod(0o644)
        container = container.with_volume_mapping(str(source), path, "ro")
    with container:
        url = f"http://127.0.0.1:{container.get_exposed_port(port)}"

        def ready() -> bool:
            try:
                return httpx.get(f"{url}/-/ready").status_code == 200
            except httpx.HTTPError:
                return False

        assert wait_until(ready, 30)
        yield url
