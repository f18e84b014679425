"""The admin's account: one file in the data folder with the login and a salted scrypt hash of the password."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import secrets
import tempfile
from dataclasses import dataclass
from pathlib import Path

from standins.shared.process import ConfigError

_FILE = "admin.json"
_COST = {"n": 2**14, "r": 8, "p": 1}
_MIN_LENGTH = 4  # Grafana 10 calls a password of four characters or fewer weak.


class WeakPassword(Exception):
    """A password that is too short."""


@dataclass(frozen=True)
class _Record:
    login: str
    salt: bytes
    digest: bytes


class Account:
    """The account whose file is in `folder`. The file is reread whenever it has changed.

    A correct password is remembered as a keyed hash, so that scrypt does not run for every request.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / _FILE
        self._seen: tuple[int, int] | None = None
        self._record: _Record | None = None
        self._key = secrets.token_bytes(32)
        self._right: tuple[_Record, bytes] | None = None

    def create(self, login: str, password: str) -> bool:
        """Create the account if it does not exist, and return whether it was created. Raises ConfigError."""
        if self._path.exists():
            self.read()
            return False
        self._write(login, password)
        return True

    def set_password(self, password: str) -> None:
        """Replace the password. Raises WeakPassword, and ConfigError if there is no account."""
        if len(password) <= _MIN_LENGTH:
            raise WeakPassword("new password is too short")
        self._write(self.read(), password)

    def read(self) -> str:
        """Return the login; a changed file is reread. Raises ConfigError if the file is invalid."""
        return self._load().login

    def check(self, login: str, password: str) -> bool:
        """Return whether login and password are correct. Takes tens of milliseconds. Raises ConfigError."""
        record = self._load()
        if not hmac.compare_digest(login.encode(), record.login.encode()):
            return False
        mark = hmac.digest(self._key, password.encode(), "sha256")
        right = self._right
        if right and right[0] is record and hmac.compare_digest(mark, right[1]):
            return True
        if not hmac.compare_digest(_digest(password, record.salt), record.digest):
            return False
        self._right = (record, mark)
        return True

    def _load(self) -> _Record:
        try:
            status = self._path.stat()
            seen = (status.st_ino, status.st_mtime_ns)
            if self._record is None or seen != self._seen:
                content = json.loads(self._path.read_text())
                self._record = _Record(
                    str(content["login"]),
                    base64.b64decode(content["salt"]),
                    base64.b64decode(content["scrypt"]),
                )
                self._seen = seen
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ConfigError(f"cannot read {self._path}: {error}") from None
        return self._record

    def _write(self, login: str, password: str) -> None:
        salt = secrets.token_bytes(16)
        content = {
            "login": login,
            "salt": base64.b64encode(salt).decode(),
            "scrypt": base64.b64encode(_digest(password, salt)).decode(),
        }
        try:
            # mkstemp creates the file with access only for its owner.
            handle, name = tempfile.mkstemp(dir=self._path.parent, prefix=_FILE)
            with os.fdopen(handle, "w") as file:
                json.dump(content, file)
                file.flush()
                os.fsync(file.fileno())
            Path(name).replace(self._path)
        except OSError as error:
            raise ConfigError(f"cannot write {self._path}: {error}") from None


def _digest(password: str, salt: bytes) -> bytes:
    return hashlib.scrypt(password.encode(), salt=salt, **_COST)
