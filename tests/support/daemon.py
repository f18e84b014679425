"""Stops and starts this machine's Docker daemon, for tests of what that does to a command at work."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import psutil

from tests.conftest import REPOSITORY
from tests.support.http import wait_until

_PID_FILE = Path("/var/run/docker.pid")
_SYSTEMD = Path("/run/systemd/system")


def why_not() -> str | None:
    """Say why the daemon is not to be restarted here, None where it may be: it ends every container of the machine."""
    if not os.environ.get("CI"):
        return "it would restart this machine's Docker daemon, and does so in CI alone"
    if not (_SYSTEMD.is_dir() or _PID_FILE.is_file()):
        return f"no {_PID_FILE} tells which process the daemon is"
    return None


def stop() -> None:
    """Have the daemon end as it does when the machine goes down, and wait until it has."""
    if _SYSTEMD.is_dir():
        subprocess.run(["systemctl", "stop", "docker.socket", "docker"], check=True)
        return
    daemon = psutil.Process(int(_PID_FILE.read_text()))
    daemon.send_signal(signal.SIGTERM)
    # Whoever started it may not take note of its end.
    assert wait_until(lambda: not daemon.is_running() or _is_zombie(daemon), 60), "dockerd goes on"


def start() -> None:
    """Start the daemon by the project's own script, and wait until it answers."""
    subprocess.run([REPOSITORY / "scripts" / "ensure-docker.sh"], check=True)


def _is_zombie(process: psutil.Process) -> bool:
    try:
        return process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True
