"""The observer to which code that does not print reports its progress."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    # It imports the HTTP client, which not every command that shows progress needs.
    from stackctl.readiness.wait import Progress


@dataclass(frozen=True, slots=True)
class Observer:
    """Callbacks for progress: a step that begins, a note that stays on the screen, a service's readiness."""

    step: Callable[[str], None]
    note: Callable[[str], None]
    progress: Callable[[Progress], None]
