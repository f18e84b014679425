"""Command line flags as Go's flag package and kingpin parse them: `-name=value`, `--name value`, `--switch`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from standins.shared.process import UsageError

_TRUE = {"true", "1", "t"}
_FALSE = {"false", "0", "f"}


def parse(arguments: Sequence[str], flags: Mapping[str, str | bool]) -> dict[str, str | bool]:
    """Return the value of every flag in `flags`, which maps names to defaults; a flag with a bool default is a switch.

    Raises UsageError for a flag that is not in `flags`, a missing value, an invalid bool, or an argument.
    """
    values = dict(flags)
    rest = list(arguments)
    while rest:
        word = rest.pop(0)
        if not word.startswith("-") or word.strip("-") == "":
            raise UsageError(f"unexpected argument: {word}")
        name, equals, value = word.lstrip("-").partition("=")
        if name not in flags:
            raise UsageError(f"flag provided but not defined: -{name}")
        if isinstance(flags[name], bool):
            values[name] = _switch(name, value) if equals else True
        elif equals:
            values[name] = value
        elif rest:
            values[name] = rest.pop(0)
        else:
            raise UsageError(f"flag needs an argument: -{name}")
    return values


def _switch(name: str, value: str) -> bool:
    if value.lower() in _TRUE | _FALSE:
        return value.lower() in _TRUE
    raise UsageError(f'invalid boolean value "{value}" for -{name}')
