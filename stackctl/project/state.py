"""The state folder of a project: only its user can enter it, and every file in it is written whole or not at all.

Layout: `config/` (rendered configuration), `secrets/` (files that containers mount), `secrets.json` (what was
generated), `compose.env`, `join.yml` (bot-core's networks), `engine.env` and `engine.yml` (what the compose files are
told of the engine), `copies.json` (volumes of copies), `project.json` (choices that later commands need),
`volumes.json` (what each volume was last written by), `mongodb.json` (what tells the password that MongoDB's data was
made with), `loki.json` (the day on which Loki 3's index begins), `chaos.json` (open faults), `loaded.json` (what the
programs have read of `config/`), `settled.json` (what the last `up` that ended well left), `lock`, `format` (the
number of this layout).
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import glob
import json
import os
import re
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from platformdirs import user_state_path

from stackctl.docker.models import COMPOSE_ENV
from stackctl.errors import StackctlError, UsageError
from stackctl.util.environment import shell

FORMAT = 1
"""The layout of a project's folder. A change that an older stackctl could not read needs the next number."""

PRIVATE_FILE = 0o600
MOUNTED_FILE = 0o444
"""Containers read mounted files as users of their own: the folder around, mode 0700, is what keeps others out."""

_TEMPORARY = re.compile(r"\..+\.(?P<pid>\d+)\.[a-z0-9_]{8}")
"""The names of temporary files; the end is mkstemp's."""


def write_atomic(path: Path, content: bytes | str, mode: int = PRIVATE_FILE) -> bool:
    """Write a file by way of a temporary one and a rename, and tell whether it changed anything.

    The content is on disk before the rename, so that a crash leaves the old file or the new one. Raises OSError with
    the path that was to be written, whichever file could not be.
    """
    data = content.encode() if isinstance(content, str) else content
    with contextlib.suppress(FileNotFoundError):
        if path.read_bytes() == data and path.stat().st_mode & 0o777 == mode:
            return False
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, temporary = temporary_beside(path)
        try:
            with os.fdopen(descriptor, "wb") as stream:
                stream.write(data)
                stream.flush()
                os.fchmod(stream.fileno(), mode)
                os.fsync(stream.fileno())
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error
    return True


def temporary_beside(path: Path) -> tuple[int, Path]:
    """Open a new file in a path's folder, mode 0600, to be renamed to it; its name tells whose it is.

    Those that a process which was killed has left there for the same path are removed.
    """
    for left in path.parent.glob(f".{glob.escape(path.name)}.*"):
        _remove_if_abandoned(left)
    prefix = f".{path.name}.{os.getpid()}."
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=prefix)
    return descriptor, Path(name)


def _remove_if_abandoned(path: Path) -> None:
    """Remove a temporary file whose process has gone."""
    if found := _TEMPORARY.fullmatch(path.name):
        import psutil

        if not psutil.pid_exists(int(found["pid"])):
            path.unlink(missing_ok=True)


@dataclass(frozen=True, slots=True)
class StateFolder:
    """The state folder of one project. Raises StackctlError where it cannot be made or read."""

    folder: Path

    @property
    def config(self) -> Path:
        """The rendered configuration."""
        return self.folder / "config"

    @property
    def dashboards(self) -> Path:
        """Grafana's dashboards as they were rendered."""
        return self.config / "grafana" / "dashboards"

    @property
    def secrets(self) -> Path:
        """The secret files that containers mount."""
        return self.folder / "secrets"

    @property
    def compose_env(self) -> Path:
        """The .env that the compose files read. It has no secret in it."""
        return self.folder / COMPOSE_ENV

    @property
    def join_file(self) -> Path:
        """The Compose file that puts ours on bot-core's networks, where it is watched."""
        return self.folder / "join.yml"

    def sweep(self) -> None:
        """Remove the temporary files of processes that were killed; there may be secrets in them."""
        for path in self.folder.rglob(".*"):
            _remove_if_abandoned(path)

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """Run the body while no other process is in one, for the moment that it takes to read, change and write."""
        # A folder can be locked as a file can: https://man7.org/linux/man-pages/man2/flock.2.html
        descriptor = os.open(self.folder, os.O_RDONLY)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def read_json(self, name: str) -> dict[str, Any]:
        """Return the object in a JSON file of this folder; empty if the file does not exist."""
        return _read_json(self.folder / name)

    def write_json(self, name: str, content: dict[str, Any]) -> None:
        """Write an object to a JSON file of this folder."""
        write_atomic(self.folder / name, json.dumps(content, indent=2) + "\n")


def root() -> Path:
    """Return the folder of all projects' state folders: STACKCTL_STATE_DIR, else the platform's location.

    Raises UsageError where the user has no home folder, as in a container under a number that no user has.
    """
    if override := shell().get("STACKCTL_STATE_DIR"):
        return Path(override).absolute()
    try:
        folder = user_state_path("stackctl")
    except (RuntimeError, KeyError):
        folder = Path()
    # An older platformdirs gives what it could not expand: ~/.local/state.
    if not folder.is_absolute():
        raise UsageError(
            f"this user (uid {os.getuid()}) has no home folder for the state of the stack",
            remedy="set HOME, or STACKCTL_STATE_DIR to a folder that you can write",
        )
    return folder


def open_state(project: str, *, create: bool = True) -> StateFolder:
    """Return the state folder of a project, created if it does not exist yet unless `create` is false."""
    folder = root() / project
    if not create:
        _check_format(folder / "format")
        return StateFolder(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o700)
    except OSError as error:
        raise _unusable(folder, error.errno) from None
    if not _check_format(folder / "format"):
        write_atomic(folder / "format", f"{FORMAT}\n")
    return StateFolder(folder)


def refuse_unwritable(state: StateFolder) -> None:
    """Raise the StackctlError of `open_state` where the folder cannot be made, without making it."""
    there = next(one for one in (state.folder, *state.folder.parents) if one.exists())
    if not there.is_dir():
        raise _unusable(state.folder, errno.ENOTDIR)
    # The mode of a folder of one's own is corrected.
    own = there == state.folder and there.stat().st_uid == os.geteuid()
    if not own and not os.access(there, os.W_OK | os.X_OK):
        raise _unusable(state.folder, errno.EACCES)


def _unusable(folder: Path, number: int | None) -> StackctlError:
    return StackctlError(
        f"the state folder {folder} cannot be made: {os.strerror(number or 0)}",
        remedy="set STACKCTL_STATE_DIR to a folder that you can write",
    )


def _check_format(path: Path) -> bool:
    """Refuse a folder that a newer stackctl wrote, and return whether there is a format: an older one has none."""
    try:
        text = path.read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        return False
    except OSError as error:
        raise _unusable(path.parent, error.errno) from None
    if not text.isdecimal() or int(text) > FORMAT:
        raise StackctlError(
            f"{path.parent} was written by a newer stackctl (format {text[:20]}, this one knows {FORMAT})",
            remedy="update stackctl, or use another project with -p",
        )
    return True


def read_shared_json(name: str) -> dict[str, Any]:
    """Return the object in a JSON file that all projects share; empty if the file does not exist."""
    return _read_json(root() / name)


def write_shared_json(name: str, content: dict[str, Any]) -> None:
    """Write an object to a JSON file that all projects share."""
    write_atomic(root() / name, json.dumps(content, indent=2) + "\n")


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_bytes())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise StackctlError(
            f"{path} cannot be read: {error}", remedy=f"remove {path} and try again"
        ) from None
    if not isinstance(content, dict):
        raise StackctlError(f"{path} is not a JSON object", remedy=f"remove {path} and try again")
    return content
