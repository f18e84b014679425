"""Where code that does not print reports its progress."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from stackctl.readiness.wait import Progress


@dataclass(frozen=True, slots=True)
class Observer:
    """Callbacks for progress: a step that begins, a note to keep, a service's readiness."""

    step: Callable[[str], None]
    note: Callable[[str], None]
    progress: Callable[[Progress], None]
