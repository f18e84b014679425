"""What the real exporters expose: series, types and labels of real runs, of the plan's version and of a newer one."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

_FOLDER = Path(__file__).parents[1] / "config" / "real"

VERSIONS = sorted(path.stem for path in _FOLDER.glob("*.txt"))
"""The exporters whose series are known, as `PROGRAM-VERSION`."""


@dataclass(frozen=True)
class Series:
    """The type of a series, and its labels in all runs together: not every one has all of them."""

    kind: str
    labels: frozenset[str]


def exposed(version: str) -> dict[str, Series]:
    """Return what a version exposes of that which rules, dashboards, docs, checks or a stand-in have, by name."""
    found = {}
    for line in (_FOLDER / f"{version}.txt").read_text(encoding="utf-8").splitlines():
        name, kind, labels = line.split(" ")
        found[name] = Series(kind, frozenset(labels.strip("{}").split(",")) - {""})
    return found
