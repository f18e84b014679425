"""One stack for many end-to-end tests: a project of its own, on ports of its own, beside whatever else is up."""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from stackctl.config.load import load
from stackctl.config.settings import Settings
from stackctl.services import catalog
from stackctl.services.catalog import PUBLISHED_PORTS
from stackctl.services.releases import PLAN
from tests.support.cli import stackctl

PROJECT = os.environ.get("E2E_PROJECT", "stackctl-e2e")
MARK = "marked-e2e-secret"
"""In every password of the test's stack, so that a leak can be searched for."""

RUNNING = frozenset(service.name for service in catalog.select(releases=PLAN))
"""The services of the shared stack."""

_HERE = Path(__file__).parent

_PORT_OFFSETS = range(10_000, 17_000, 500)
"""All below 32768, where the kernel's own choice of ports begins."""

_UP_SECONDS = 900
"""`up` may have to build the images on a bare machine."""

DISTRIBUTION_ENGINE = os.environ.get("DISTRIBUTION_ENGINE")
"""The address of the distribution's engine, where the tests run on the newer one (scripts/newer-engine.sh)."""

_FIRST = ("stack", "engines", "dashboards", "commands", "security", "alerts", "applications")
_SECOND = ("chaos", "container_metrics", "backup", "interruption", "damage")
_ORDER = (*_FIRST, *_SECOND, "daemon", "teardown")
"""The main job first, then what wears the shared stack, then its end; files without a place come last."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the tests that share a stack into their order, and mark each by the process that `make e2e` runs it in.

    Skip those of the newer engine on another.
    """
    places = {f"test_{name}.py": place for place, name in enumerate(_ORDER)}
    items.sort(key=lambda item: places.get(item.path.name, len(places)))
    for item in items:
        if item.path.parent == _HERE:
            item.add_marker(_process_of(item))
    if DISTRIBUTION_ENGINE is None:
        skip = pytest.mark.skip(reason="not on the newer engine: make e2e ENGINE=newer")
        for item in items:
            if item.get_closest_marker("newer"):
                item.add_marker(skip)


def _process_of(item: pytest.Item) -> str:
    """Return the mark of the process that runs a test: those of one process are run one after the other."""
    name = item.path.stem.removeprefix("test_")
    if name == "daemon":
        return "daemon"
    if "stack" not in getattr(item, "fixturenames", ()):
        return "own_stack"
    return "first_stack" if name in _FIRST else "second_stack"


@dataclass(frozen=True)
class Stack:
    """The running stack, and how to call stackctl for it."""

    folder: Path
    env_file: Path
    first_up: subprocess.CompletedProcess[str]

    @property
    def environment(self) -> dict[str, str]:
        """What is added to the environment of every call."""
        return {"STACKCTL_STATE_DIR": str(self.folder / "state")}

    @property
    def settings(self) -> Settings:
        """The stack's settings."""
        return load(project=PROJECT, env_file=self.env_file, environ={})

    def run(
        self, *arguments: str, timeout: float = 120, cwd: Path | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run stackctl for this stack, in a folder that may have a lock."""
        return _run(self.folder, self.env_file, *arguments, timeout=timeout, cwd=cwd)

    def command(self, *arguments: str) -> list[str]:
        """Return the arguments of a call, for a test that starts the process itself."""
        return ["-p", PROJECT, "--env-file", str(self.env_file), *arguments]

    def container(self, service: str) -> str:
        """Return the name of a service's container."""
        return f"{PROJECT}-{service}"


def _run(
    folder: Path, env_file: Path, *arguments: str, timeout: float, cwd: Path | None = None
) -> subprocess.CompletedProcess[str]:
    environment = {"STACKCTL_STATE_DIR": str(folder / "state")}
    words = ("-p", PROJECT, "--env-file", str(env_file), *arguments)
    return stackctl(*words, cwd=cwd, env=environment, timeout=timeout)


_claimed = contextlib.ExitStack()
"""The locks on the ports that this process has chosen last."""


def free_offset() -> int:
    """Give a number that, added to the stack's ports, gives ports on which nothing listens.

    No other process is given these until this one chooses again, when its stack is up.
    """
    _claimed.close()
    return next(offset for offset in _PORT_OFFSETS if _claim(offset) and _is_free(offset))


def _claim(offset: int) -> bool:
    """Lock the stack's ports, moved by so much, and tell whether no other process has one of them."""
    space = Path("/proc/self/ns/net")
    where = space.stat().st_ino if space.exists() else 0
    with contextlib.ExitStack() as locks:
        for port in PUBLISHED_PORTS.values():
            name = f"stackctl-port-{where}-{port.default + offset}.lock"
            file = locks.enter_context((Path(tempfile.gettempdir()) / name).open("w"))
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
        _claimed.push(locks.pop_all())
    return True


def _is_free(offset: int) -> bool:
    """Return whether nothing listens on the stack's ports, moved by so much."""
    for port in PUBLISHED_PORTS.values():
        with socket.socket() as attempt:
            if attempt.connect_ex(("127.0.0.1", port.default + offset)) == 0:
                return False
    return True


def docker(*arguments: str) -> str:
    """Run docker and return what it printed, of both streams."""
    done = subprocess.run(
        ["docker", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=True,
    )
    return done.stdout


def containers() -> dict[str, str]:
    """Return the IDs of the stack's containers by name."""
    listed = docker(
        "ps",
        "-a",
        "--no-trunc",
        "--filter",
        f"label=com.docker.compose.project={PROJECT}",
        "--format",
        "{{.Names}} {{.ID}}",
    )
    return dict(line.split() for line in listed.splitlines())


@pytest.fixture(scope="session")
def carried(tmp_path_factory: pytest.TempPathFactory) -> Path | None:
    """On the newer engine: the folder with the distribution's lock and bundle of the local set, loaded here."""
    if DISTRIBUTION_ENGINE is None:
        return None
    folder = tmp_path_factory.mktemp("carried")
    for host, *words in (
        (DISTRIBUTION_ENGINE, "lock", "--set", "local"),
        (DISTRIBUTION_ENGINE, "save", "--set", "local", "team.bundle"),
        (os.environ["DOCKER_HOST"], "load", "team.bundle"),
    ):
        env = {"DOCKER_HOST": host, "STACKCTL_STATE_DIR": str(folder / "state")}
        done = stackctl("images", *words, cwd=folder, env=env, timeout=600)
        assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory, carried: Path | None) -> Iterator[Stack]:
    """Bring the stack up once for all tests, and take it down with its data at the end.

    Where its images were carried here, it is brought up by their lock.
    """
    for name in list(os.environ):
        if name.startswith(("STACKCTL_", "COMPOSE_")):
            del os.environ[name]
    folder = tmp_path_factory.mktemp("e2e")
    env_file = folder / "e2e.env"
    offset = free_offset()
    ports = [f"{port.setting}={port.default + offset}" for port in PUBLISHED_PORTS.values()]
    secrets = [
        "GRAFANA_PASSWORD",
        "REDIS_EXPORTER_PASSWORD",
        "RABBITMQ_PASSWORD",
        "MONGODB_PASSWORD",
    ]
    lines = [*ports, *(f"{name}={MARK}-{name.lower()}" for name in secrets)]
    env_file.write_text("\n".join(lines) + "\n")
    done = _run(folder, env_file, "up", "--images", "local", timeout=_UP_SECONDS, cwd=carried)
    try:
        assert done.returncode == 0, done.stdout + done.stderr
        yield Stack(folder, env_file, done)
    finally:
        ended = _run(folder, env_file, "down", "--volumes", "--yes", timeout=180)
        assert ended.returncode == 0, ended.stdout + ended.stderr
