"""The result of rendering the configuration."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Rendering:
    """The result of a rendering: channels that are on or off, what was left out, and the files that changed."""

    channels: tuple[str, ...]
    left_out: Mapping[str, tuple[str, ...]]
    """Channel → its missing settings. With the demo its messages go to the demo's sink, otherwise nowhere."""
    changed: tuple[str, ...]
    """Changed files, by path below `config/`."""
    alerts_left_out: tuple[str, ...]
    """Alerts that only concern services that are not monitored."""
    panels_left_out: tuple[str, ...]
    """Panels that only show such services, prefixed with their dashboard's title."""
