"""The two releases of every image: the plan's and the current one, and which of them a stack runs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal, get_args

from stackctl.util import paths

Release = Literal["plan", "current"]
"""`plan` is the release in the plan; `current` is the newest with which the stack was tested."""

Versions = Literal["auto", "plan", "current"]
"""The choices: one release for everything, or `auto`: the plan's, unless the engine requires a current one."""


@dataclass(frozen=True, slots=True)
class Releases:
    """The releases of the images in a stack."""

    current: frozenset[str] = frozenset()
    """The names of the images in their current release; all others are in the plan's."""

    def __getitem__(self, image: str) -> Release:
        """Return the release of an image."""
        return "current" if image in self.current else "plan"

    def record(self, images: Iterable[str]) -> dict[str, Release]:
        """Return the release of each of these images, for storage."""
        return {name: self[name] for name in images}

    @classmethod
    def recorded(cls, record: Any) -> Releases:
        """Restore the result of `record`. Images that are not in it are in the plan's release."""
        found = record if isinstance(record, dict) else {}
        return cls(frozenset(name for name, release in found.items() if release == "current"))


PLAN = Releases()
"""The plan's release of every image."""


def current() -> Releases:
    """Return the current release of every image."""
    return Releases(frozenset(table()))


@cache
def table() -> Mapping[str, Mapping[Release, str]]:
    """Return the upstream references of every image, read from compose/images.yml: image → release → reference."""
    from stackctl.util import yaml_text

    rows = yaml_text.load((paths.compose() / "images.yml").read_text(encoding="utf-8"))
    return {
        name: {release: row[release] for release in get_args(Release) if release in row}
        for name, row in rows.items()
    }
