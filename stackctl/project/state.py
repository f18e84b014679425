"""The state folder of a project: only its user can enter it, and every file is written atomically.

Layout: `config/` (rendered configuration), `secrets/` (files that containers mount), `secrets.json` (what was
generated), `compose.env`, `join.yml` (bot-core's networks), `engine.env` and `engine.yml` (adapt the compose files to
the engine), `copies.json` (configuration volumes), `project.json` (the state that later commands act on),
`volumes.json` (the program that last wrote each volume), `mongodb.json` (fingerprint of the password of MongoDB's
data), `loki.json` (the day on which Loki 3's index begins), `chaos.json` (open faults), `loaded.json` (the version of
`config/` that the programs loaded), `settled.json` (the result of the last successful `up`), `lock`, `format` (the
version of this layout).
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
"""The version of the layout. Increment it for a change that an older stackctl could not read."""

PRIVATE_FILE = 0o600
MOUNTED_FILE = 0o444
"""Containers read mounted files under their own users; the folder's mode 0700 keeps other users of the machine out."""

_TEMPORARY = re.compile(r"\..+\.(?P<pid>\d+)\.[a-z0-9_]{8}")
"""The names of temporary files; mkstemp adds the suffix."""


def write_atomic(path: Path, content: bytes | str, mode: int = PRIVATE_FILE) -> bool:
    """Write a file atomically, by renaming a temporary one, and return whether anything changed.

    The content is on disk before the rename, so a crash leaves the old or the new file. The OSError of a failure always
    names `path`, not the temporary file.
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
    """Open a temporary file in a path's folder, mode 0600, to be renamed to it; its name contains our process ID.

    Temporary files that killed processes left for the same path are removed.
    """
    for left in path.parent.glob(f".{glob.escape(path.name)}.*"):
        _remove_if_abandoned(left)
    prefix = f".{path.name}.{os.getpid()}."
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=prefix)
    return descriptor, Path(name)


def _remove_if_abandoned(path: Path) -> None:
    """Remove a temporary file whose process no longer exists."""
    if found := _TEMPORARY.fullmatch(path.name):
        import psutil

        if not psutil.pid_exists(int(found["pid"])):
            path.unlink(missing_ok=True)


@dataclass(frozen=True, slots=True)
class StateFolder:
    """The state folder of one project. Raises StackctlError if it cannot be created or read."""

    folder: Path

    @property
    def config(self) -> Path:
        """The rendered configuration."""
        return self.folder / "config"

    @property
    def dashboards(self) -> Path:
        """Grafana's rendered dashboards."""
        return self.config / "grafana" / "dashboards"

    @property
    def secrets(self) -> Path:
        """The secret files that containers mount."""
        return self.folder / "secrets"

    @property
    def compose_env(self) -> Path:
        """The .env that the compose files read. It contains no secrets."""
        return self.folder / COMPOSE_ENV

    @property
    def join_file(self) -> Path:
        """The Compose file that connects the stack to the networks of an attached bot-core."""
        return self.folder / "join.yml"

    def sweep(self) -> None:
        """Remove the temporary files of killed processes, which may contain secrets."""
        for path in self.folder.rglob(".*"):
            _remove_if_abandoned(path)

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """Run the body while no other process runs one, to read, change and write a file."""
        # flock(2) works on folders too: https://man7.org/linux/man-pages/man2/flock.2.html
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
    """Return the parent of all projects' state folders: STACKCTL_STATE_DIR, else the platform's location.

    Raises UsageError if the user has no home folder, as in a container that runs under an unknown user ID.
    """
    if override := shell().get("STACKCTL_STATE_DIR"):
        return Path(override).absolute()
    try:
        folder = user_state_path("stackctl")
    except (RuntimeError, KeyError):
        folder = Path()
    # Older versions of platformdirs return ~/.local/state unexpanded.
    if not folder.is_absolute():
        raise UsageError(
            f"this user (uid {os.getuid()}) has no home folder for the stack's state",
            remedy="set HOME, or set STACKCTL_STATE_DIR to a writable folder",
        )
    return folder


def open_state(project: str, *, create: bool = True) -> StateFolder:
    """Return the state folder of a project; create it if it does not exist, unless `create` is false."""
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
    """Raise the StackctlError of `open_state` if the folder cannot be created, without creating it."""
    there = next(one for one in (state.folder, *state.folder.parents) if one.exists())
    if not there.is_dir():
        raise _unusable(state.folder, errno.ENOTDIR)
    # `open_state` corrects the mode of a folder that this user owns.
    own = there == state.folder and there.stat().st_uid == os.geteuid()
    if not own and not os.access(there, os.W_OK | os.X_OK):
        raise _unusable(state.folder, errno.EACCES)


def _unusable(folder: Path, number: int | None) -> StackctlError:
    return StackctlError(
        f"cannot create the state folder {folder}: {os.strerror(number or 0)}",
        remedy="set STACKCTL_STATE_DIR to a writable folder",
    )


def _check_format(path: Path) -> bool:
    """Refuse a folder that a newer stackctl wrote; return whether it has a format (older versions wrote none)."""
    try:
        text = path.read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        return False
    except OSError as error:
        raise _unusable(path.parent, error.errno) from None
    if not text.isdecimal() or int(text) > FORMAT:
        raise StackctlError(
            f"{path.parent} was written by a newer stackctl (format {text[:20]}; this version reads {FORMAT})",
            remedy="update stackctl, or choose another project with -p",
        )
    return True


def read_shared_json(name: str) -> dict[str, Any]:
    """Return the object in a JSON file shared by all projects; empty if the file does not exist."""
    return _read_json(root() / name)


def write_shared_json(name: str, content: dict[str, Any]) -> None:
    """Write an object to a JSON file shared by all projects."""
    write_atomic(root() / name, json.dumps(content, indent=2) + "\n")


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_bytes())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise StackctlError(
            f"cannot read {path}: {error}", remedy=f"remove {path} and try again"
        ) from None
    if not isinstance(content, dict):
        raise StackctlError(f"{path} is not a JSON object", remedy=f"remove {path} and try again")
    return content
