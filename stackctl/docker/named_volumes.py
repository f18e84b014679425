"""Whole volumes through the Engine's archive API, wherever the engine keeps them.

`docker cp` reads and writes the volumes of a container that was never started, so this makes one from an image with
nothing in it: no image need be there or pulled, and no program runs. python-on-whales copies files only, hence the
docker command itself. The copy keeps owners, modes and links (docs.docker.com/reference/cli/docker/container/cp).
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
"""The folder that a volume's content is under, in its tar."""

_EMPTY_TAR = bytes(1024)
_CHUNK = 1024 * 1024
_ANSWER_SECONDS = 300.0
"""How long the engine may take for one call that moves no data; to remove a large volume takes it a while."""


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
    """Copies a project's volumes out and in; `image` is one that has nothing in it."""

    def __init__(self, project: str, image: str) -> None:
        self._image = image
        self._container = f"{project}-volume-copy"
        self._labels = scratch_labels(project)

    def read(self, volume: str, sink: IO[bytes]) -> None:
        """Write a volume's tar to a file.

        Raises EngineError where Docker does not give all of it, OSError where the file does not take all of it.
        """
        with self.mounted({volume: ROOT}, "ro"):
            self._copy_out(ROOT, sink)

    def write(self, volume: str, source: IO[bytes]) -> None:
        """Unpack a volume's tar into a volume. Raises EngineError where Docker does not take all of it."""
        with self.mounted({volume: ROOT}, "rw"):
            self.copy_in("", source)

    def contents(self, path: str) -> bytes:
        """Return a tar of what is mounted below a path of the container."""
        return self._copy_out(path, subprocess.PIPE)

    def _copy_out(self, path: str, sink: IO[bytes] | int) -> bytes:
        command = ["docker", "cp", f"{self._container}:/{path}", "-"]
        done = subprocess.run(command, stdout=sink, stderr=subprocess.PIPE, check=False)
        if b"write /dev/stdout: no space left" in done.stderr:
            # It is the file's disk that is full, and not Docker's.
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        with translated("docker cp"):
            if done.returncode:
                raise failed(command, done.returncode, done.stderr)
        return done.stdout or b""

    def copy_in(self, path: str, source: IO[bytes]) -> None:
        """Unpack a tar below a path of the container."""
        command = ["docker", "cp", "-", f"{self._container}:/{path}"]
        with subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        ) as process:
            assert process.stdin is not None  # noqa: S101 - it is a pipe
            try:
                # A command that has ended says why on stderr.
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
            # An image without a command needs one to be named; it never runs.
            _docker("create", name, *labels, *mounts, "--network=none", self._image, "none")
            yield
        finally:
            _docker("rm", "--force", self._container)


def present(names: Collection[str]) -> set[str]:
    """Return the volumes that exist."""
    return set(names) & set(_docker("volume", "ls", "--quiet").splitlines())


def foreign(names: Collection[str], project: str) -> set[str]:
    """Return the volumes that exist without the project's label: another owner's under the same name."""
    own = _docker("volume", "ls", "--quiet", "--filter", f"label={PROJECT_LABEL}={project}")
    return present(names) - set(own.splitlines())


def users(volume: str) -> list[str]:
    """Return the names of the containers, stopped ones included, that mount a volume and so block its removal."""
    return _docker(
        "ps", "--all", "--filter", f"volume={volume}", "--format", "{{.Names}}"
    ).splitlines()


def create(volume: str, labels: Mapping[str, str]) -> None:
    """Create an empty volume with these labels."""
    _docker(
        "volume", "create", *(f"--label={name}={text}" for name, text in labels.items()), volume
    )


def remove(volumes: Collection[str]) -> None:
    """Remove volumes; no harm if one is not there."""
    for volume in volumes:
        _docker("volume", "rm", "--force", volume)


def _docker(*arguments: str, given: bytes = b"") -> str:
    """Run a short docker command and return what it printed. Raises EngineError if it fails."""
    processes: list[subprocess.Popen[bytes]] = []

    def end() -> None:
        for process in processes:
            process.kill()

    with (
        # The engine goes on with a request that is cut off, so what it then makes would be there after the cleaning up.
        # One that does not answer at all must not be waited for by who has asked twice.
        held_back(insisted=end),
        # In a session of its own the terminal's Ctrl-C does not reach it.
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
                f"docker {arguments[0]}: the engine does not answer", remedy="restart Docker"
            ) from None
    with translated(f"docker {arguments[0]}"):
        if process.returncode:
            raise failed(["docker", *arguments], process.returncode, stderr)
    return printed.decode().strip()
