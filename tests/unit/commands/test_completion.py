"""Completion: what is offered, in the real shells, quickly, and without a word on errors."""

from __future__ import annotations

import contextlib
import os
import pty
import re
import select
import shutil
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from stackctl.alerts import runbooks
from stackctl.chaos.faults import FAULTS
from stackctl.commands import COMMANDS
from stackctl.config.registry import SETTINGS
from stackctl.services.catalog import PUBLISHED_PORTS, SERVICES
from stackctl.util import paths
from stackctl.verify.runner import CHECKS, SECTIONS
from tests.support.cli import run_here

SHELLS = ("bash", "zsh", "fish")
_TAB_SECONDS = 60.0


@pytest.fixture(autouse=True)
def _own_folders(state_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).resolve().parents[3]))
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("HOME", str(tmp_path))


def ask(line: str, **env: str) -> subprocess.CompletedProcess[str]:
    """Ask as bash does when Tab is pressed at the end of the line."""
    asked = {"COMP_WORDS": line, "COMP_CWORD": str(line.count(" "))}
    return run_here(env={**asked, "_STACKCTL_COMPLETE": "bash_complete", **env})


def offered(line: str) -> list[str]:
    done = ask(line)
    assert (done.returncode, done.stderr) == (0, "")
    return [row.removeprefix("plain,") for row in done.stdout.split()]


OFFERS: dict[str, Callable[[], object]] = {
    "stackctl ": lambda: COMMANDS,
    "stackctl logs ": lambda: SERVICES,
    "stackctl logs redis ": lambda: SERVICES,
    "stackctl chaos stop ": lambda: SERVICES,
    "stackctl chaos ": lambda: {name.split()[0] for name in FAULTS} | {"list", "heal"},
    "stackctl chaos fill ": lambda: {name.split()[1] for name in FAULTS if " " in name},
    "stackctl chaos stop redis --expect ": runbooks.by_alert,
    "stackctl runbook ": runbooks.by_alert,
    "stackctl alerts silence add ": runbooks.by_alert,
    "stackctl snapshot ": paths.dashboards,
    "stackctl open --dashboard ": paths.dashboards,
    "stackctl open ": lambda: {one.name for one in SERVICES.values() if one.page},
    "stackctl load ": lambda: PUBLISHED_PORTS,
    "stackctl verify ": lambda: {*SECTIONS, *(check.id for check in CHECKS)},
    "stackctl config ": lambda: SETTINGS,
    "stackctl completion ": lambda: SHELLS,
    "stackctl status --format ": lambda: ("table", "json"),
}


@pytest.mark.parametrize("line", OFFERS)
def test_everything_there_is_is_offered(line: str) -> None:
    assert sorted(offered(line)) == sorted(OFFERS[line]())  # type: ignore[call-overload]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("stackctl sn", ["snapshot"]),
        ("stackctl chaos st", ["stop"]),
        ("stackctl runbook ServiceD", ["ServiceDown"]),
        ("stackctl verify prometheus.t", ["prometheus.targets"]),
        ("stackctl config GRAFANA_PO", ["GRAFANA_PORT"]),
        ("stackctl snapshot sy", ["system-overview"]),
        ("stackctl -p other logs lo", ["loki"]),
        ("stackctl help troub", ["troubleshooting"]),
        ("stackctl snapshot nothing-like-it", []),
        ("stackctl --env", ["--env-file"]),
        ("stackctl up --no-d", ["--no-demo"]),
        ("stackctl restore mon", ["file,mon"]),
    ],
)
def test_what_is_written_already_narrows_it(line: str, words: list[str]) -> None:
    assert offered(line) == words


@pytest.mark.parametrize(
    ("line", "env"),
    [
        ("stackctl nosuch ", {}),
        ("stackctl chaos brek re", {}),
        ("stackctl logs --from nowhere lo", {}),
        ("stackctl 'unfinished", {}),
        ("stackctl --env-file /nonexistent logs lo", {}),
        ("stackctl logs lo", {"LOKI_PORT": "no port"}),
        ("stackctl logs lo", {"COMP_CWORD": "no number"}),
        ("stackctl logs lo", {"_STACKCTL_COMPLETE": "nosuch_complete"}),
    ],
)
def test_errors_are_silent(line: str, env: dict[str, str]) -> None:
    assert ask(line, **env).stderr == ""


@pytest.mark.thorough
@pytest.mark.parametrize(
    "line", ["stackctl ", "stackctl config ", "stackctl logs ", "stackctl runbook "]
)
def test_nothing_heavy_is_loaded_on_the_way(line: str) -> None:
    script = (
        "import atexit, sys\n"
        "heavy = {'httpx', 'rich', 'python_on_whales', 'jinja2', 'asyncio'}\n"
        "atexit.register(lambda: print('loaded', *sorted(heavy & set(sys.modules))))\n"
        "from stackctl.cli import main\n"
        "main()"
    )
    env = {
        **os.environ,
        "COMP_WORDS": line,
        "COMP_CWORD": str(line.count(" ")),
        "_STACKCTL_COMPLETE": "bash_complete",
    }
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, env=env, check=False
    )
    assert len(done.stdout.splitlines()) > 5
    assert done.stdout.splitlines()[-1] == "loaded"


@pytest.mark.parametrize("shell", SHELLS)
def test_the_script_is_printed(shell: str) -> None:
    done = run_here("completion", shell)
    assert done.returncode == 0
    assert f"_STACKCTL_COMPLETE={shell}_complete" in done.stdout


def test_another_shell_is_refused() -> None:
    assert run_here("completion", "tcsh").returncode == 2


def in_shell(shell: str) -> str:
    """Return the shell's path. Where it is not there its test is skipped, loudly, and fails in CI."""
    found = shutil.which(shell)
    if found is None:
        reason = (
            f"NO {shell.upper()} HERE: its completion is not tested (scripts/ensure-test-tools.sh)"
        )
        if os.environ.get("CI"):
            pytest.fail(reason)
        warnings.warn(pytest.PytestWarning(reason), stacklevel=2)
        pytest.skip(reason)
    return found


START = {
    "bash": (["--norc", "--noprofile", "-i"], "source <(stackctl completion bash)"),
    "zsh": (["-f", "-i"], "autoload -U compinit; compinit -u; source <(stackctl completion zsh)"),
    "fish": (["--no-config", "-i"], "stackctl completion fish | source"),
}


_SUM = "echo is-$((40+2))-ready"
READY = {"bash": _SUM, "zsh": _SUM, "fish": "echo is-(math 40+2)-ready"}
"""Prints what is not on the screen from its being written there."""


@contextlib.contextmanager
def terminal_of(shell: str) -> Iterator[Callable[[str, str], str]]:
    """Run an interactive shell that completes stackctl.

    Gives what writes to its terminal and reads until a pattern is on the screen, and that screen.
    """
    arguments, setup = START[shell]
    process_id, terminal = pty.fork()
    if process_id == 0:
        os.environ.update(TERM="dumb" if shell != "fish" else "xterm", PS1="$ ")
        os.execv(in_shell(shell), [shell, *arguments])  # noqa: S606 - the shell is what is tested

    def write(text: str, until: str) -> str:
        os.write(terminal, text.encode())
        screen, deadline = "", time.monotonic() + _TAB_SECONDS
        while not re.search(until, screen) and time.monotonic() < deadline:
            if select.select([terminal], [], [], 0.2)[0]:
                screen += os.read(terminal, 4096).decode(errors="replace")
        return screen

    try:
        write(f"{setup}; {READY[shell]}\n", "is-42-ready")
        yield write
    finally:
        os.kill(process_id, 9)
        os.waitpid(process_id, 0)
        os.close(terminal)


TABS = [
    ("stackctl snap", "snapshot"),
    ("stackctl snapshot sy", "system-overview"),
    ("stackctl chaos stop rust-c", "rust-core-engine"),
    ("stackctl config GRAFANA_PO", "GRAFANA_PORT"),
    ("stackctl restore mon", "monday.tar.gz"),
]
_CLEAR_LINE = "\x15"


@pytest.mark.thorough
@pytest.mark.parametrize("shell", SHELLS)
def test_tab_completes_in_the_real_shell(shell: str) -> None:
    in_shell(shell)
    Path("monday.tar.gz").touch()
    with terminal_of(shell) as write:
        for line, wanted in TABS:
            rest = wanted.removeprefix(line.split()[-1])
            assert rest in write(f"{line}\t", re.escape(rest)), line
            # All that came of it has been read when the answer to this is there.
            write(f"{_CLEAR_LINE}{READY[shell]}\n", "is-42-ready")
