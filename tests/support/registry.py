"""A real container registry on a port of its own, as Debian's docker-registry or the upstream binary has it."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.http import wait_until

_CONFIG = """
version: 0.1
log: {{level: error}}
storage: {{filesystem: {{rootdirectory: {data}}}}}
http: {{addr: "{address}"}}
"""


@contextlib.contextmanager
def registry(folder: Path) -> Iterator[str]:
    """Run a registry that keeps its images below `folder`, and return its address. Skips where none is installed."""
    program = shutil.which("docker-registry") or shutil.which("registry")
    if program is None:
        reason = "no docker-registry is installed (scripts/ensure-test-tools.sh)"
        (pytest.fail if os.environ.get("CI") else pytest.skip)(reason)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address = f"127.0.0.1:{port}"
    config = folder / "registry.yml"
    config.write_text(_CONFIG.format(data=folder / "registry", address=address))
    with (folder / "registry.log").open("wb") as log:
        process = subprocess.Popen(
            [program, "serve", str(config)], stdout=log, stderr=subprocess.STDOUT
        )
        try:
            assert wait_until(lambda: _listens(port), 20), (folder / "registry.log").read_text()
            yield address
        finally:
            process.terminate()
            process.wait()


def _listens(port: int) -> bool:
    with socket.socket() as attempt:
        return attempt.connect_ex(("127.0.0.1", port)) == 0
