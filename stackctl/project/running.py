"""The addresses of a running stack: those that its `up` published, even if the settings have changed since."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from stackctl.config.settings import Settings, Value
from stackctl.services.catalog import PUBLISHED_PORTS

_HOST = "STACKCTL_HOST"
_ADDRESSES = (*(port.setting for port in PUBLISHED_PORTS.values()), "STACKCTL_BIND_ADDRESS", _HOST)
_NAMED = 3
"""How many settings the note lists."""


def addresses(settings: Settings) -> dict[str, str]:
    """Return the settings that the services' addresses are derived from, to record when the stack starts."""
    return {name: text for name in _ADDRESSES if (text := settings[name]) is not None}


def with_addresses(settings: Settings, recorded: Mapping[str, str]) -> tuple[Settings, str | None]:
    """Return the settings with the recorded addresses, and a note that lists those that differ; None if none do.

    STACKCTL_HOST, which is how this machine reaches the engine, takes its recorded value only if it is not set.
    """
    known = {name: recorded[name] for name in _ADDRESSES if name in recorded}
    if settings[_HOST] is not None:
        known.pop(_HOST, None)
    changed = {name: text for name, text in known.items() if settings[name] != text}
    if not changed:
        return settings, None
    values = {
        **settings.values,
        **{name: Value(text, "the running stack") for name, text in changed.items()},
    }
    running = replace(settings, values=values)
    named = [
        f"{name}={text}, not {settings[name] or 'unset'} ({settings.values[name].origin})"
        for name, text in changed.items()
        if name != _HOST
    ]
    if not named:
        return running, None
    more = len(named) - _NAMED
    listed = "; ".join(named[:_NAMED]) + (f"; and {more} more" if more > 0 else "")
    return running, (
        f"using the addresses of the running project {settings.project}, which differ from the settings: {listed}."
        " To apply the settings, run `stackctl up`"
    )
