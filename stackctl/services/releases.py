"""The two releases of every image: the plan's and the current one, and which of them a stack runs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal, get_args

from stackctl.util import paths

Release = Literal["plan", "current"]
"""`plan` is the release that the plan names; `current` the newest that the stack was tried with."""

Versions = Literal["auto", "plan", "current"]
"""What can be asked for: one release of everything, or `auto`, the plan's where it can serve on the engine."""


@dataclass(frozen=True, slots=True)
class Releases:
    """Which release of each image a stack runs."""

    current: frozenset[str] = frozenset()
    """The names of the images whose current release runs; of all others it is the plan's."""

    def __getitem__(self, image: str) -> Release:
        """Return the release of an image."""
        return "current" if image in self.current else "plan"

    def record(self, images: Iterable[str]) -> dict[str, Release]:
        """Return the release of each of these images, for a file."""
        return {name: self[name] for name in images}

    @classmethod
    def recorded(cls, record: Any) -> Releases:
        """Return what `record` made of it. An image that is not in the record runs the plan's release."""
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
