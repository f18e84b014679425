"""The record of a running restore, so that the remains of a killed one are not mistaken for complete data."""

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
    """Raise StackctlError if a restore was interrupted and some of its volumes still exist."""
    volumes = pending(state)
    left = named_volumes.present(volumes) if volumes else set()
    if left:
        raise StackctlError(
            f"a restore was interrupted: {', '.join(sorted(left))} may be incomplete",
            remedy="run `stackctl restore` again, or start empty after `stackctl down --volumes`",
        )
