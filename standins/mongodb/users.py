"""The users' keys in the data folder. As in the image, the environment's user is created only at the first start."""

from __future__ import annotations

import json
import os
import secrets
from pathlib import Path

from standins.mongodb.scram import ITERATIONS, Keys, keys_of
from standins.shared.process import ConfigError

_FILE = "standin-users.json"


class Users:
    """The file of the users. Raises ConfigError if it is invalid."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / _FILE
        self._keys = self._read()

    @property
    def any(self) -> bool:
        """Return whether there is a user; without one no login is needed."""
        return bool(self._keys)

    def create(self, name: str, password: str) -> bool:
        """Create the first user, and return whether there was none."""
        if self._keys:
            return False
        self._keys = {name: keys_of(password, secrets.token_bytes(28), ITERATIONS)}
        self._write()
        return True

    def keys(self, name: str) -> Keys | None:
        """Return the keys of a user, or None."""
        return self._keys.get(name)

    def _read(self) -> dict[str, Keys]:
        try:
            content = json.loads(self._path.read_text())
            return {name: Keys.load(entry) for name, entry in content.items()}
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise ConfigError(f"cannot read {self._path}: {error}") from None

    def _write(self) -> None:
        content = {name: keys.dump() for name, keys in self._keys.items()}
        new = self._path.with_suffix(".new")
        try:
            handle = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(handle, "w") as file:
                json.dump(content, file)
                file.flush()
                os.fsync(file.fileno())
            new.replace(self._path)
        except OSError as error:
            raise ConfigError(f"cannot write {self._path}: {error}") from None
