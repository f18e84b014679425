"""How far each source has been read and handed to Loki, kept in Promtail's positions file."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from pathlib import Path

import yaml

from standins.shared.logs import fields

_log = logging.getLogger("standins.promtail.positions")


class Positions:
    """The positions; iterating gives their keys.

    Raises ValueError for a file that cannot be understood, OSError for one that cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._values: dict[str, str] = {}
        self._changed = False
        if path.exists():
            self._values = _read(path)

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def get(self, key: str) -> str | None:
        """Give the position of a source, or None for one that is new."""
        return self._values.get(key)

    def put(self, key: str, value: str) -> None:
        """Note how far a source has been handed on."""
        self._values[key] = value
        self._changed = True

    def forget(self, key: str) -> None:
        """Remove a source that is gone."""
        if self._values.pop(key, None) is not None:
            self._changed = True

    def save(self) -> None:
        """Write the file whole, if anything changed: a reader sees the old or the new one."""
        if not self._changed:
            return
        temporary = self._path.with_name(f".{self._path.name}.new")
        text = yaml.safe_dump({"positions": self._values}, sort_keys=True)
        try:
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write(text)
            temporary.replace(self._path)
        except OSError as error:
            _log.error("error writing positions file", extra=fields(error=error))
        else:
            self._changed = False


def _read(path: Path) -> dict[str, str]:
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"invalid yaml positions file [{path}]: {error}") from None
    positions = document.get("positions") if isinstance(document, dict) else None
    if document is None:
        return {}
    if not isinstance(positions, dict):
        raise ValueError(f"invalid yaml positions file [{path}]: no mapping `positions`")
    return {str(key): str(value) for key, value in positions.items()}
