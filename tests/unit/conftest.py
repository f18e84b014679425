"""What the unit tests share: no waiting for the disk, no looking for a module that is not there, and folders."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture(scope="session", autouse=True)
def _nothing_is_synced() -> Iterator[None]:
    """What is on the disk after a power cut cannot be seen here, and to sync thousands of files takes seconds."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda _descriptor: None)
        yield


@pytest.fixture(scope="session", autouse=True)
def _sniffio_is_known_to_be_absent() -> Iterator[None]:
    """httpcore works without it, but looks for it in every folder of Python's path, twice per request."""
    with pytest.MonkeyPatch.context() as patch:
        # What Python has for a module that cannot be imported.
        patch.setitem(sys.modules, "sniffio", None)
        yield


@pytest.fixture(autouse=True)
def _the_socket_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Questions go to the `docker` command, in whose place the tests put their own, not to this machine's engine."""
    monkeypatch.setattr("stackctl.docker.command.Command._socket", None)


@pytest.fixture(autouse=True)
def _secrets_of_other_tests_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """The password of one test may be a word in another's error."""
    monkeypatch.setattr("stackctl.util.redaction._known", set())


@pytest.fixture
def own_folders(state_dir: Path, clean_environment: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A folder to work in and a state folder that are the test's own, with stackctl to be found by its processes."""
    clean_environment.chdir(tmp_path)
    # Python finds the checkout's packages by its own path, not by the folder it runs in.
    clean_environment.setenv("PYTHONPATH", str(Path(__file__).resolve().parents[2]))


@pytest.fixture
def no_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    """No engine, also where this machine has one."""
    monkeypatch.setenv("DOCKER_HOST", "unix:///nonexistent/docker.sock")
