"""A `docker` command that gives an engine's recorded answers."""

from __future__ import annotations

import json
from pathlib import Path

_SCRIPT = """#!/bin/sh
case "$*" in
  *"context inspect"*) cat {folder}/context.json ;;
  version*) cat {folder}/version.json ;;
  *info*) cat {folder}/info.json ;;
  *"container list"*|*"volume list"*) ;;
  *) echo "not recorded: $*" >&2; exit 1 ;;
esac
"""


def recorded(answers: Path, folder: Path, *, compose: str = "2.26.1") -> Path:
    """Make the command in a folder, from a file below tests/unit/docker/engines, and return the folder for PATH."""
    folder.mkdir(exist_ok=True)
    told = json.loads(answers.read_text())
    # The client's part of the answer is this machine's, whatever the engine.
    told["info"]["ClientInfo"] = {"Plugins": [{"Name": "compose", "Version": compose}]}
    told["version"] = told["version"]["Server"]
    for name, answer in told.items():
        (folder / f"{name}.json").write_text(json.dumps(answer) + "\n")
    program = folder / "docker"
    program.write_text(_SCRIPT.format(folder=folder))
    program.chmod(0o755)
    return folder
