"""A `docker` command that gives an engine's recorded answers."""

from __future__ import annotations

import json
from pathlib import Path

_SCRIPT = """#!/bin/sh
case "$*" in
  *"context inspect"*) cat {folder}/context.json ;;
  *compose*version*) echo {compose} ;;
  version*) cat {folder}/version.json ;;
  *info*) cat {folder}/info.json ;;
  *"container list"*|*"volume list"*) ;;
  *) echo "not recorded: $*" >&2; exit 1 ;;
esac
"""


def recorded(answers: Path, folder: Path, *, compose: str = "2.26.1") -> Path:
    """Make the command in a folder, from a file below tests/unit/engines, and give the folder for PATH."""
    folder.mkdir(exist_ok=True)
    for name, answer in json.loads(answers.read_text()).items():
        (folder / f"{name}.json").write_text(json.dumps(answer) + "\n")
    program = folder / "docker"
    program.write_text(_SCRIPT.format(folder=folder, compose=compose))
    program.chmod(0o755)
    return folder
