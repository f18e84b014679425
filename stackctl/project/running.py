"""The addresses of a stack that runs: those that its `up` published it at, whatever the settings say by now."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from stackctl.config.settings import Settings, Value
from stackctl.services.catalog import PUBLISHED_PORTS

_HOST = "STACKCTL_HOST"
_ADDRESSES = (*(port.setting for port in PUBLISHED_PORTS.values()), "STACKCTL_BIND_ADDRESS", _HOST)
_NAMED = 3
"""How many settings a sentence names."""


def addresses(settings: Settings) -> dict[str, str]:
    """Return the settings that make up the services' addresses, to be recorded when the stack is started."""
    return {name: text for name in _ADDRESSES if (text := settings[name]) is not None}


def with_addresses(settings: Settings, recorded: Mapping[str, str]) -> tuple[Settings, str | None]:
    """Return settings with the recorded addresses in their place, and a sentence that names those that differ.

    How this machine reaches the engine, STACKCTL_HOST, is decided here: the recorded one counts only where none is set.
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
        f"project {settings.project} runs with other addresses than the settings here, and they are used: {listed}."
        " `stackctl up` moves it to those of the settings"
    )
