"""The requested image set, and the one in use."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from stackctl.services.catalog import SetName

Choice = Literal["auto", "upstream", "local"]


@dataclass(frozen=True, slots=True)
class Resolved:
    """The image set in use, the variables that select it, and the reason if it is not the requested one."""

    name: SetName
    variables: Mapping[str, str]
    reason: str | None = None
    pins: Mapping[str, str] = field(default_factory=dict)
    """Reference → its locked digest, or the local image that replaces it."""
