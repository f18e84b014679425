"""promtool and amtool of the local image set, in both releases: another one on PATH has its own opinions."""

from __future__ import annotations

import shlex
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest
import yaml

from stackctl.config.load import load
from stackctl.images import sets
from stackctl.services.releases import PLAN, Releases, current

_IMAGES = {"promtool": "prometheus", "amtool": "alertmanager"}
RELEASES = [pytest.param(PLAN, id="plan"), pytest.param(current(), id="current")]
"""For a test that both releases of a program have to pass."""


def tool(
    name: str, *arguments: str, folder: Path, releases: Releases = PLAN
) -> subprocess.CompletedProcess[str]:
    """Run promtool or amtool in a folder, read-only and without a network; paths are relative to the folder."""
    return _run(name, name, arguments, folder, releases)


def passing_folders(
    name: str, arguments: str, folders: Sequence[str], *, folder: Path
) -> list[str]:
    """Run promtool or amtool in each of the folders below one, and give those where it ended well.

    `arguments` may have patterns of the shell.
    """
    script = (
        f'for one; do (cd "$one" && {name} {arguments} >/dev/null 2>&1) && echo "$one"; done; true'
    )
    done = _run("sh", name, ("-c", script, "sh", *folders), folder)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def said_in_folders(name: str, arguments: str, folders: Sequence[str], *, folder: Path) -> str:
    """Run promtool or amtool in each of the folders below one, and give what it says, however it ends.

    `arguments` may have patterns of the shell.
    """
    script = f'for one; do (cd "$one" && {name} {arguments} 2>&1); done; true'
    done = _run("sh", name, ("-c", script, "sh", *folders), folder)
    assert done.returncode == 0, done.stderr
    return done.stdout


def _run(
    program: str, name: str, arguments: Sequence[str], folder: Path, releases: Releases = PLAN
) -> subprocess.CompletedProcess[str]:
    image = sets.references(load(environ={}), "local", releases)[_IMAGES[name]]
    command = [
        # What promtool keeps in memory is little, and to collect its garbage less often saves a fifth of the processor.
        *("docker", "run", "--rm", "--network", "none", "--user", "0:0", "--env", "GOGC=400"),
        *("-v", f"{folder}:/work:ro", "-w", "/work", "--entrypoint", program),
        *(image, *arguments),
    ]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def check_expressions(exprs: Sequence[str], folder: Path) -> subprocess.CompletedProcess[str]:
    """Let promtool read PromQL, in a rule file with a recording rule for each, on lines that its messages name."""
    recorded = [
        {"record": f"checked:query:{number}", "expr": expr} for number, expr in enumerate(exprs)
    ]
    groups = [{"name": "checked", "rules": recorded}]
    text = yaml.safe_dump({"groups": groups}, width=10_000)
    (folder / "rules.yml").write_text(text, encoding="utf-8")
    return tool("promtool", "check", "rules", "rules.yml", folder=folder)


def outputs(name: str, calls: Sequence[Sequence[str]], *, folder: Path) -> list[str]:
    """Run promtool or amtool once for each list of arguments, in one container, and return what each prints.

    Raises AssertionError with its message where one of them fails.
    """
    between = "=-=-=-="
    lines = [f"{shlex.join([name, *arguments])} || exit 1; echo {between}" for arguments in calls]
    done = _run("sh", name, ("-c", "\n".join(lines)), folder)
    assert done.returncode == 0, done.stdout[-500:] + done.stderr
    return done.stdout.split(f"{between}\n")[:-1]
