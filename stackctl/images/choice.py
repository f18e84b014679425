"""Which image set is asked for, and which is in use."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from stackctl.services.catalog import SetName

Choice = Literal["auto", "upstream", "local"]


@dataclass(frozen=True, slots=True)
class Resolved:
    """The image set in use, the variables that select it, and one line why where that was not asked for."""

    name: SetName
    variables: Mapping[str, str]
    reason: str | None = None
    pins: Mapping[str, str] = field(default_factory=dict)
    """Reference → the digest that it is locked to, or the local image in its place."""
