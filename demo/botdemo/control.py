"""Switches that change what a role simulates: declared as data and validated when they are set."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Generic, Literal, TypeVar

Kind = Literal["boolean", "integer", "number"]
T = TypeVar("T")

_SPEC = "spec"


class InvalidSwitchError(ValueError):
    """An unknown switch or an invalid value; the text says what is valid."""


@dataclass(frozen=True)
class Spec:
    """The values that a switch accepts, and its effect."""

    kind: Kind
    description: str
    minimum: float
    maximum: float

    @property
    def allowed(self) -> str:
        """Return a description of the valid values."""
        if self.kind == "boolean":
            return "true or false"
        noun = "an integer" if self.kind == "integer" else "a number"
        return f"{noun} from {self.minimum} to {self.maximum}"

    def accepts(self, value: object) -> bool:
        """Return whether a JSON value has the switch's type and is in its range."""
        if self.kind == "boolean" or isinstance(value, bool):
            return self.kind == "boolean" and isinstance(value, bool)
        numbers = int if self.kind == "integer" else (int, float)
        return isinstance(value, numbers) and self.minimum <= value <= self.maximum


def switch(default: T, kind: Kind, description: str, minimum: float = 0, maximum: float = 1) -> T:
    """Declare a dataclass field as a switch; a default of None means "as simulated"."""
    spec = Spec(kind, description, minimum, maximum)
    return dataclasses.field(default=default, metadata={_SPEC: spec})


@dataclass(frozen=True, kw_only=True)
class Switches:
    """The switches of every role."""

    unhealthy: bool = switch(False, "boolean", "The health endpoint returns 503.")


S = TypeVar("S", bound=Switches)


class Control(Generic[S]):
    """The switches of a role, which are replaced as a whole."""

    def __init__(self, kind: type[S]) -> None:
        self._kind = kind
        self._specs: dict[str, Spec] = {
            field.name: field.metadata[_SPEC] for field in dataclasses.fields(kind)
        }
        self.switches = kind()

    def update(self, changes: Mapping[str, object]) -> None:
        """Set the named switches, all or none; null resets one to its default.

        Raises InvalidSwitchError, which lists the switches or the valid values.
        """
        defaults = dataclasses.asdict(self._kind())
        values: dict[str, Any] = {}
        for name, value in changes.items():
            spec = self._specs.get(name)
            if spec is None:
                names = ", ".join(sorted(self._specs))
                raise InvalidSwitchError(f"unknown switch {name!r}; known: {names}")
            if value is not None and not spec.accepts(value):
                raise InvalidSwitchError(f"{name} must be {spec.allowed}, not {value!r}")
            values[name] = defaults[name] if value is None else value
        self.switches = dataclasses.replace(self.switches, **values)

    def reset(self) -> None:
        """Reset every switch to its default."""
        self.switches = self._kind()

    def values(self) -> dict[str, object]:
        """Return every switch's value by name."""
        return dataclasses.asdict(self.switches)

    def describe(self) -> dict[str, dict[str, object]]:
        """Return every switch's value, default, valid values and effect, by name."""
        defaults = dataclasses.asdict(self._kind())
        return {
            name: {
                "value": value,
                "default": defaults[name],
                "takes": self._specs[name].allowed,
                "description": self._specs[name].description,
            }
            for name, value in self.values().items()
        }
