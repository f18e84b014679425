"""A setting as data: one row of the registry."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Setting:
    """A setting: `parse` returns the normalised text or raises ValueError with the reason."""

    name: str
    default: str | None
    parse: Callable[[str], str]
    help: str
    secret: bool = False
