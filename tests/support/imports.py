"""What each command may load: a module costs a command its time whether or not it is used."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterable, Mapping

_LIBRARIES = frozenset(
    {
        *("anyio", "dotenv", "httpcore", "httpx", "jinja2", "packaging", "pydantic", "pygal"),
        *("prometheus_client", "psutil", "pygments", "python_on_whales", "rich", "tenacity"),
        *("yaml", "zstandard"),
    }
)
_NEVER = frozenset({"httpx._main", "prometheus_client", "pygal", "pygments"})
_OWN_ASYNC = {"anyio", "asyncio", "httpcore", "httpx", "zstandard"}
"""What a command that asks the services by HTTP loads; httpx decodes zstandard where it is installed."""

ALLOWED: Mapping[str, frozenset[str]] = {
    "--version": frozenset(),
    "--help": frozenset(),
    "urls": frozenset({"rich", "dotenv"}),
    "up": frozenset({"rich", "dotenv", "packaging", *_OWN_ASYNC}),
    "status": frozenset({"rich", "dotenv", "packaging", *_OWN_ASYNC}),
    "verify": frozenset({"rich", "dotenv", "packaging", "pydantic", "yaml", *_OWN_ASYNC}),
    "down": frozenset({"rich", "dotenv", "packaging", "psutil", "yaml"}),
}
"""Command → the libraries that it may load where it finds nothing out of the ordinary."""

REFUSED: Mapping[str, frozenset[str]] = {
    "up": frozenset(
        f"stackctl.{name}"
        for name in (
            *("chaos.faults", "images.lockfile", "images.resolve", "lifecycle.apply"),
            *("lifecycle.attach", "lifecycle.down", "lifecycle.plan", "lifecycle.preflight"),
            *("render.configuration", "verify"),
        )
    ),
    "status": frozenset({"stackctl.lifecycle", "stackctl.clients.prometheus", "stackctl.verify"}),
    "verify": frozenset({"stackctl.lifecycle", "stackctl.snapshot", "stackctl.report.html"}),
    "urls": frozenset({"stackctl.clients", "stackctl.docker.engine", "stackctl.lifecycle"}),
}
"""Command → the modules of our own that it may not load then."""


_SCRIPT = """
import atexit, sys
sys.argv[0] = "stackctl"
atexit.register(lambda: print(*(name for name, one in sys.modules.items() if one), file=sys.stderr))
from stackctl.cli import main
main()
"""


def excess(command: str, loaded: Iterable[str]) -> set[str]:
    """Return what a command has loaded beyond its budget."""
    names = set(loaded)
    refused = (_LIBRARIES | {"asyncio"} | _NEVER) - ALLOWED[command]
    return names & (refused | _NEVER | REFUSED.get(command, frozenset()))


def loaded_by(
    arguments: Iterable[str], environment: Mapping[str, str] | None = None
) -> tuple[list[str], int]:
    """Run the command line in a process of its own; return the modules that it loaded, and its exit code."""
    done = subprocess.run(
        [sys.executable, "-c", _SCRIPT, *arguments],
        env={**os.environ, **(environment or {})},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    *_, modules = done.stderr.splitlines()
    return modules.split(), done.returncode
