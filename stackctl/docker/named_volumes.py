"""Reads and writes whole volumes with the engine's archive API, wherever the engine stores them.

`docker cp` works on the volumes of a container that was never started, so this creates one from an empty image: no
image needs to exist or be pulled, and no program runs. python-on-whales only copies files, hence the docker command.
The copy keeps owners, modes and links (docs.docker.com/reference/cli/docker/container/cp).
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import subprocess
from collections.abc import Collection, Iterator, Mapping
from typing import IO, Literal

from stackctl.docker.errors import failed, translated
from stackctl.docker.models import PROJECT_LABEL
from stackctl.docker.run import scratch_labels
from stackctl.errors import EngineError
from stackctl.util.signals import held_back

ROOT = "volume"
"""The folder with a volume's content in its tar."""

_EMPTY_TAR = bytes(1024)
_CHUNK = 1024 * 1024
_ANSWER_SECONDS = 300.0
"""How long the engine may take for a call that copies no data; removing a large volume takes a while."""


@contextlib.contextmanager
def open_transfer(project: str) -> Iterator[Transfer]:
    """Yield a `Transfer` for a project's volumes, and remove its container and image afterwards."""
    image = f"stackctl/volume-copy:{project}"
    try:
        _docker("import", "-", image, given=_EMPTY_TAR)
        yield Transfer(project, image)
    finally:
        _docker("image", "rm", "--force", image)


class Transfer:
    """Copies a project's volumes; `image` is an empty image."""

    def __init__(self, project: str, image: str) -> None:
        self._image = image
        self._container = f"{project}-volume-copy"
        self._labels = scratch_labels(project)

    def read(self, volume: str, sink: IO[bytes]) -> None:
        """Write a volume's tar to a file.

        Raises EngineError if Docker fails, OSError if the file cannot be written completely.
        """
        with self.mounted({volume: ROOT}, "ro"):
            self._copy_out(ROOT, sink)

    def write(self, volume: str, source: IO[bytes]) -> None:
        """Unpack a volume's tar into a volume. Raises EngineError if Docker fails."""
        with self.mounted({volume: ROOT}, "rw"):
            self.copy_in("", source)

    def contents(self, path: str) -> bytes:
        """Return a tar of the content at a path in the container."""
        return self._copy_out(path, subprocess.PIPE)

    def _copy_out(self, path: str, sink: IO[bytes] | int) -> bytes:
        command = ["docker", "cp", f"{self._container}:/{path}", "-"]
        done = subprocess.run(command, stdout=sink, stderr=subprocess.PIPE, check=False)
        if b"write /dev/stdout: no space left" in done.stderr:
            # The disk of the file is full, not Docker's.
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        with translated("docker cp"):
            if done.returncode:
                raise failed(command, done.returncode, done.stderr)
        return done.stdout or b""

    def copy_in(self, path: str, source: IO[bytes]) -> None:
        """Unpack a tar at a path in the container."""
        command = ["docker", "cp", "-", f"{self._container}:/{path}"]
        with subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        ) as process:
            assert process.stdin is not None  # noqa: S101 - it is a pipe
            try:
                # If the command has exited, its stderr shows why.
                with contextlib.suppress(BrokenPipeError):
                    shutil.copyfileobj(source, process.stdin, _CHUNK)
                _, stderr = process.communicate()
            except BaseException:
                process.kill()
                raise
        with translated("docker cp"):
            if process.returncode:
                raise failed(command, process.returncode, stderr)

    @contextlib.contextmanager
    def mounted(self, volumes: Mapping[str, str], mode: Literal["ro", "rw"]) -> Iterator[None]:
        """Mount volumes, each at its path, while the body runs."""
        _docker("rm", "--force", self._container)
        labels = [f"--label={name}={value}" for name, value in self._labels.items()]
        mounts = [f"--volume={volume}:/{path}:{mode}" for volume, path in volumes.items()]
        name = f"--name={self._container}"
        try:
            # An image without a default command requires one, although it never runs.
            _docker("create", name, *labels, *mounts, "--network=none", self._image, "none")
            yield
        finally:
            _docker("rm", "--force", self._container)


def present(names: Collection[str]) -> set[str]:
    """Return the volumes among these that exist."""
    return set(names) & set(_docker("volume", "ls", "--quiet").splitlines())


def foreign(names: Collection[str], project: str) -> set[str]:
    """Return the existing volumes without the project's label, which belong to another owner."""
    own = _docker("volume", "ls", "--quiet", "--filter", f"label={PROJECT_LABEL}={project}")
    return present(names) - set(own.splitlines())


def users(volume: str) -> list[str]:
    """Return the names of the containers, including stopped ones, that mount a volume and so prevent its removal."""
    return _docker(
        "ps", "--all", "--filter", f"volume={volume}", "--format", "{{.Names}}"
    ).splitlines()


def create(volume: str, labels: Mapping[str, str]) -> None:
    """Create an empty volume with these labels."""
    _docker(
        "volume", "create", *(f"--label={name}={text}" for name, text in labels.items()), volume
    )


def remove(volumes: Collection[str]) -> None:
    """Remove volumes; missing ones are ignored."""
    for volume in volumes:
        _docker("volume", "rm", "--force", volume)


def _docker(*arguments: str, given: bytes = b"") -> str:
    """Run a short docker command and return its output. Raises EngineError if it fails."""
    processes: list[subprocess.Popen[bytes]] = []

    def end() -> None:
        for process in processes:
            process.kill()

    with (
        # The engine completes interrupted requests, so its result would remain after the cleanup. A second signal ends
        # the wait for an engine that does not respond at all.
        held_back(insisted=end),
        # In its own session it does not receive the terminal's Ctrl-C.
        subprocess.Popen(
            ["docker", *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        ) as process,
    ):
        processes.append(process)
        try:
            printed, stderr = process.communicate(given, timeout=_ANSWER_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            raise EngineError(
                f"docker {arguments[0]}: the engine does not respond", remedy="restart Docker"
            ) from None
    with translated(f"docker {arguments[0]}"):
        if process.returncode:
            raise failed(["docker", *arguments], process.returncode, stderr)
    return printed.decode().strip()
