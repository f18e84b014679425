"""How far each container's log has been read, in the positions file of Promtail or of Alloy.

Both store whole seconds since 1970 under `cursor-` and the container's ID. Alloy's keys are mappings that also have the
labels of the target.
"""

from __future__ import annotations

import json
import logging
import os
from pathlib import Path

import yaml

from standins.shared.logs import fields

_log = logging.getLogger("standins.promtail.positions")

_CURSOR = "cursor-"
_Key = tuple[str, str]


class Positions:
    """The positions of a file.

    Raises ValueError for an invalid file, OSError for one that cannot be read.
    """

    def __init__(self, path: Path, *, labelled: bool = False) -> None:
        self._path = path
        self._labelled = labelled
        self._values: dict[_Key, str] = {}
        self._changed = False
        if path.exists():
            self._values = _read(path, labelled)

    def get(self, container: str, labels: str) -> int | None:
        """Return the position of a container whose target has these labels, or None for a new one."""
        found = self._values.get(self._key(container, labels))
        return None if found is None else int(found)

    def put(self, container: str, labels: str, seconds: int) -> None:
        """Record how far a container has been read."""
        self._values[self._key(container, labels)] = str(seconds)
        self._changed = True

    def forget(self, container: str) -> None:
        """Remove a container that no longer exists."""
        for key in [key for key in self._values if key[0] == _CURSOR + container]:
            del self._values[key]
            self._changed = True

    def save(self) -> None:
        """Replace the file if anything changed: a reader sees the old or the new one."""
        if not self._changed:
            return
        temporary = self._path.with_name(f".{self._path.name}.new")
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write(self._text())
            temporary.replace(self._path)
        except OSError as error:
            _log.error("error writing positions file", extra=fields(error=error))
        else:
            self._changed = False

    def _key(self, container: str, labels: str) -> _Key:
        return _CURSOR + container, labels if self._labelled else ""

    def _text(self) -> str:
        if not self._labelled:
            plain = {path: value for (path, _), value in self._values.items()}
            return yaml.safe_dump({"positions": plain}, sort_keys=True)
        entries = (
            f"  ? path: {json.dumps(path)}\n    labels: {json.dumps(labels)}\n  : {json.dumps(value)}\n"
            for (path, labels), value in sorted(self._values.items())
        )
        return "positions:\n" + "".join(entries) if self._values else "positions: {}\n"


def _read(path: Path, labelled: bool) -> dict[_Key, str]:
    try:
        node = yaml.compose(path.read_text(encoding="utf-8"), yaml.SafeLoader)
        return {} if node is None else dict(_entry(*pair, labelled) for pair in _pairs(node))
    except (yaml.YAMLError, UnicodeDecodeError, ValueError, KeyError) as error:
        raise ValueError(f"invalid yaml positions file [{path}]: {error}") from None


def _pairs(document: yaml.Node) -> list[tuple[yaml.Node, yaml.Node]]:
    for key, value in _mapping(document):
        if key.value == "positions":
            return _mapping(value)
    raise ValueError("no mapping `positions`")


def _entry(key: yaml.Node, value: yaml.Node, labelled: bool) -> tuple[_Key, str]:
    if labelled:
        named = {name.value: part.value for name, part in _mapping(key)}
        path, labels = named["path"], named["labels"]
    else:
        if not isinstance(key, yaml.ScalarNode):
            raise ValueError("a key is no string")
        path, labels = key.value, ""
    if path.startswith(_CURSOR):
        int(value.value)
    return (path, labels), value.value


def _mapping(node: yaml.Node) -> list[tuple[yaml.Node, yaml.Node]]:
    if not isinstance(node, yaml.MappingNode):
        raise ValueError("not a mapping")
    pairs: list[tuple[yaml.Node, yaml.Node]] = node.value
    return pairs
