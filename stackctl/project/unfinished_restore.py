"""The record of a restore that is under way, so that what a killed one leaves is not taken for whole."""

from __future__ import annotations

from collections.abc import Collection

from stackctl.docker import named_volumes
from stackctl.errors import StackctlError
from stackctl.project.state import StateFolder

FILE = "restore.json"


def begin(state: StateFolder, volumes: Collection[str]) -> None:
    """Record that these volumes are about to be replaced."""
    state.write_json(FILE, {"volumes": sorted(volumes)})


def end(state: StateFolder) -> None:
    """Remove the record of the restore: its volumes are complete, or removed."""
    (state.folder / FILE).unlink(missing_ok=True)


def pending(state: StateFolder) -> list[str]:
    """Return the volumes of an interrupted restore, whether or not they still exist."""
    return state.read_json(FILE).get("volumes") or []


def refuse(state: StateFolder) -> None:
    """Raise StackctlError where a restore was cut off and some of its volumes are still there."""
    volumes = pending(state)
    left = named_volumes.present(volumes) if volumes else set()
    if left:
        raise StackctlError(
            f"a restore was cut off: {', '.join(sorted(left))} may hold a part of the data only",
            remedy="run `stackctl restore` again, or begin empty with `stackctl down --volumes`",
        )
