"""promtool and amtool: those on PATH, else those of the local image set."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

_IMAGES = {"promtool": "stackctl/prometheus:local", "amtool": "stackctl/alertmanager:local"}


def tool(name: str, *arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run promtool or amtool in a folder, read-only and without a network; paths are relative to the folder."""
    if shutil.which(name):
        command = [name, *arguments]
    else:
        command = [
            *("docker", "run", "--rm", "--network", "none", "--user", "0:0"),
            *("-v", f"{folder}:/work:ro", "-w", "/work", "--entrypoint", f"/usr/bin/{name}"),
            *(_IMAGES[name], *arguments),
        ]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
