"""What a rendering of the configuration comes to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Rendering:
    """What was rendered: the channels that are on and off, what is left out, and the files that changed."""

    channels: tuple[str, ...]
    left_out: Mapping[str, tuple[str, ...]]
    """Channel → the settings that it lacks. With the demo it goes to the demo's sink, else nowhere."""
    changed: tuple[str, ...]
    """By path below `config/`."""
    alerts_left_out: tuple[str, ...]
    """Alerts that tell only of services that are not there."""
    panels_left_out: tuple[str, ...]
    """Panels, each after its dashboard's title, that show only such services."""
