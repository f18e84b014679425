"""Which program last wrote a volume, and whether another release of it, or a stand-in, can open the data.

The record is written by `up`, from the containers that it started, and by `restore`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cache
from typing import Any, Literal

from stackctl.project.state import StateFolder
from stackctl.services.catalog import Data
from stackctl.util import paths, yaml_text

_RECORD = "volumes.json"

Step = Literal["none", "forward", "back", "across", "unknown"]
"""From the program that wrote a volume to the one that would open it: `none` if the data stays as it is, `forward` if
a newer release takes it over, `back` and `across` if it cannot be read."""


@dataclass(frozen=True, slots=True)
class Writer:
    """A program in one release."""

    image: str
    """The image reference."""
    version: str | None
    """Its version number; None if the reference does not show it."""
    standin: bool = False

    def __str__(self) -> str:
        """Return the program's name for messages."""
        if self.standin:
            return f"the stand-in {self.image}"
        return f"version {self.version} ({self.image})" if self.version else self.image


def writer(reference: str) -> Writer:
    """Return the program of an image, from its reference.

    The version is that of the tag; for the local set it is in the compose files that build it.
    """
    plain = reference.partition("@")[0]
    if plain in _local():
        return _local()[plain]
    tag = re.search(r":v?(\d+(?:\.\d+)*)(?![\w.]*/)", plain.rpartition("/")[2])
    return Writer(reference, tag[1] if tag else None)


def step(data: Data, before: Writer, after: Writer) -> Step:
    """Return the step of opening a volume with `after` that `before` has written."""
    if before.image == after.image and before.version == after.version:
        return "none"
    if before.standin != after.standin:
        return "across"
    if before.standin:
        return "none"
    if before.version is None or after.version is None:
        return "unknown"
    old, new = _numbers(before.version), _numbers(after.version)
    if new[: data.forward] < old[: data.forward]:
        return "back"
    if new[: data.fixed] < old[: data.fixed]:
        return "back"
    if new[: data.fixed] > old[: data.fixed]:
        return "across"
    return "forward" if new[: data.forward] > old[: data.forward] else "none"


def recorded(state: StateFolder) -> dict[str, Writer]:
    """Return the recorded last writers of volumes, by the volume's key."""
    return {
        volume: Writer(one["image"], one.get("version"), one.get("standin") is True)
        for volume, one in state.read_json(_RECORD).items()
        if isinstance(one, dict) and isinstance(one.get("image"), str)
        if _is_version(one.get("version"))
    }


def record(state: StateFolder, written: Mapping[str, Writer]) -> None:
    """Record the writers of these volumes, and keep the records of others."""
    before = recorded(state)
    after = {**before, **written}
    if after != before:
        state.write_json(_RECORD, {volume: asdict(one) for volume, one in after.items()})


def _is_version(value: Any) -> bool:
    return value is None or (
        isinstance(value, str) and re.fullmatch(r"[0-9]+(\.[0-9]+)*", value) is not None
    )


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(map(int, version.split(".")))


@cache
def _local() -> Mapping[str, Writer]:
    """Return the programs of the local set, by image reference."""
    found: dict[str, Writer] = {}
    for name in ("local", "current", "current-standins"):
        services: dict[str, dict[str, Any]] = yaml_text.load(
            paths.build_file(name).read_text(encoding="utf-8")
        )["services"]
        for service in services.values():
            image, version = service["image"], service.get("x-version")
            found[image] = Writer(image, version, standin=service["build"]["context"] == _STANDINS)
    return found


_STANDINS = "../../standins"
