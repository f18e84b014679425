"""Runs stackctl as a user does: a process of its own, its streams and its exit code."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path


def stackctl(
    *arguments: str,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    timeout: float = 60,
    text_input: str | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run a command and give what it printed and how it ended. `env` is added to this process's environment."""
    return subprocess.run(
        [sys.executable, "-m", "stackctl", *arguments],
        cwd=cwd,
        env={**os.environ, **(env or {})},
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
        input=text_input,
    )
