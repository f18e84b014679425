"""Where what goes on is told, by code that does not print."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from stackctl.readiness.wait import Progress


@dataclass(frozen=True, slots=True)
class Observer:
    """Where progress goes: a step that begins, a note to keep, a service's readiness."""

    step: Callable[[str], None]
    note: Callable[[str], None]
    progress: Callable[[Progress], None]
