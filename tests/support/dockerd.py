"""A Docker daemon of a test's own, which it may stop: in a network of its own, beside the machine's."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from tests.support.http import wait_until

_NEEDED = ("dockerd", "ip", "nsenter", "unshare")
_START_SECONDS = 60


def why_not() -> str | None:
    """Say why no daemon can be started here, None where one can."""
    if os.geteuid() != 0:
        return "only root can start a Docker daemon"
    missing = [name for name in _NEEDED if shutil.which(name) is None]
    return f"not installed: {', '.join(missing)}" if missing else None


class OwnDaemon:
    """The daemon, which runs between `start` and `stop`; its containers and ports are in the network `inside`."""

    def __init__(self, folder: Path, inside: Sequence[str]) -> None:
        self._folder = folder
        self._inside = list(inside)
        self._process: subprocess.Popen[bytes] | None = None
        self.environment: Mapping[str, str] = {"DOCKER_HOST": f"unix://{folder}/docker.sock"}

    def start(self) -> None:
        """Start it and wait until it answers."""
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [
                    *self._inside,
                    "dockerd",
                    f"--data-root={self._folder}/data",
                    f"--exec-root={self._folder}/exec",
                    f"--pidfile={self._folder}/pid",
                    f"--host=unix://{self._folder}/docker.sock",
                ],
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        if not wait_until(self._answers, _START_SECONDS):
            raise AssertionError((self._folder / "log").read_text()[-2000:])

    def stop(self) -> None:
        """End it as an init system does; it stops its containers first."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(_START_SECONDS)
            self._process = None

    def docker(self, *arguments: str, given: bytes | None = None) -> str:
        """Run docker against it and give what it printed."""
        done = subprocess.run(
            ["docker", *arguments],
            env={**os.environ, **self.environment},
            input=given,
            capture_output=True,
            check=True,
        )
        return done.stdout.decode()

    def load(self, images: Sequence[str]) -> None:
        """Copy images of the machine's own engine into it."""
        with subprocess.Popen(["docker", "save", *images], stdout=subprocess.PIPE) as saving:
            subprocess.run(
                ["docker", "load", "--quiet"],
                env={**os.environ, **self.environment},
                stdin=saving.stdout,
                stdout=subprocess.DEVNULL,
                check=True,
            )
        assert saving.returncode == 0

    def stackctl(self, *arguments: str, env: Mapping[str, str]) -> subprocess.Popen[str]:
        """Start stackctl for this daemon, in its network."""
        return subprocess.Popen(
            [*self._inside, sys.executable, "-m", "stackctl", *arguments],
            env={**os.environ, **self.environment, **env},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, (self._folder / "log").read_text()[-2000:]
        done = subprocess.run(
            ["docker", "version"],
            env={**os.environ, **self.environment},
            capture_output=True,
            check=False,
        )
        return done.returncode == 0


@contextlib.contextmanager
def own_daemon(folder: Path) -> Iterator[OwnDaemon]:
    """Have a daemon of one's own while the body runs; afterwards nothing of it is there."""
    # It holds the network, which outlives the daemon.
    with subprocess.Popen(
        ["unshare", "--net", "sh", "-c", "ip link set lo up && echo up && exec cat"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as network:
        assert network.stdout is not None
        assert network.stdout.readline() == "up\n"
        daemon = OwnDaemon(folder, ["nsenter", f"--net=/proc/{network.pid}/ns/net"])
        try:
            daemon.start()
            yield daemon
        finally:
            daemon.stop()
            network.kill()
