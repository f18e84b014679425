"""The Docker daemon restarts while stackctl is at work: one line, no traceback, and the next command goes on.

It is a daemon of the test's own, as there are others on the machine's.
"""

from __future__ import annotations

import os
import re
import subprocess
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from stackctl.stack import images
from tests.support.cli import stackctl
from tests.support.dockerd import OwnDaemon, own_daemon, why_not
from tests.support.http import wait_until

pytestmark = pytest.mark.docker

OPTIONS = ("-p", "stackctl-e2e-own")


@dataclass
class Own:
    """A stack on a daemon of its own."""

    daemon: OwnDaemon
    environment: dict[str, str]

    def started(self, *arguments: str) -> subprocess.Popen[str]:
        return self.daemon.stackctl(*OPTIONS, *arguments, env=self.environment)

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        with self.started(*arguments) as process:
            out, err = process.communicate(timeout=300)
        return subprocess.CompletedProcess(arguments, process.returncode, out, err)

    def interrupted(
        self, *arguments: str, when: Callable[[subprocess.Popen[str]], bool]
    ) -> subprocess.CompletedProcess[str]:
        """Run a command, and restart the daemon as soon as it is so far."""
        with self.started(*arguments) as process:
            assert when(process)
            self.daemon.stop()
            self.daemon.start()
            out, err = process.communicate(timeout=300)
        return subprocess.CompletedProcess(arguments, process.returncode, out, err)


def says_that_it_starts(process: subprocess.Popen[str]) -> bool:
    assert process.stderr is not None
    seen = []
    for line in process.stderr:
        seen.append(line)
        if "starting the containers" in line:
            return True
    raise AssertionError("".join(seen))


def asks_prometheus(process: subprocess.Popen[str]) -> bool:
    """Wait until there is a connection to Prometheus' port in the network of the process (proc(5), /proc/net/tcp)."""
    table = Path(f"/proc/{process.pid}/net/tcp")
    established = re.compile(rf":{9090:04X} 01 ")
    return wait_until(lambda: bool(established.search(table.read_text())), 60)


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Own]:
    if reason := why_not():
        if os.environ.get("CI"):
            pytest.fail(reason)
        warnings.warn(f"NO DAEMON OF THE TEST'S OWN: {reason}", stacklevel=1)
        pytest.skip(reason)
    folder = tmp_path_factory.mktemp("own")
    (folder / "engine").mkdir()
    environment = {"STACKCTL_STATE_DIR": str(folder / "state")}
    with own_daemon(folder / "engine") as daemon:
        # All of the set, and as it is now: otherwise it is built, for which this network has no way out.
        built = stackctl("images", "build", timeout=900)
        assert built.returncode == 0, built.stderr
        daemon.load(["stackctl/base:local", *sorted({one.local for one in images.catalogue()})])
        yield Own(daemon, environment)
        # Its containers' files are mounts below the folder until they are gone.
        if left := daemon.docker("ps", "-aq").split():
            daemon.docker("rm", "--force", *left)


def said(done: subprocess.CompletedProcess[str]) -> list[str]:
    assert "Traceback" not in done.stderr, done.stderr
    return [line for line in done.stderr.splitlines() if line.startswith("stackctl: ")]


UP = ("up", "--images", "local", "--no-demo")


def test_a_restart_during_up(own: Own) -> None:
    done = own.interrupted(*UP, when=says_that_it_starts)
    # It may have been quick enough, or be told by the engine that it is going.
    assert done.returncode in {0, 1}, done.stderr
    assert len(said(done)) == done.returncode, done.stderr
    again = own.run(*UP)
    assert again.returncode == 0, again.stderr


def test_a_restart_during_verify(own: Own) -> None:
    assert own.run(*UP).returncode == 0
    done = own.interrupted("verify", when=asks_prometheus)
    # All may be there again before the checks give up.
    assert done.returncode in {0, 1}, done.stderr
    assert len(said(done)) <= 1, done.stderr
    assert said(done) or "prometheus.targets" in done.stdout, done.stdout
    # What the daemon has stopped it starts again by itself.
    again = own.run(*UP)
    assert again.returncode == 0, again.stderr
    verified = own.run("verify", "--timeout", "60")
    assert verified.returncode == 0, verified.stdout
