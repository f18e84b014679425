"""What the models of the services' answers share. Each is built when it is needed: a command needs few of them."""

from __future__ import annotations

from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, TypeAdapter
from pydantic.alias_generators import to_camel

T = TypeVar("T")


_adapters: dict[object, TypeAdapter[Any]] = {}


def adapter(shape: type[T]) -> TypeAdapter[T]:
    """Return what reads values of a type; it is built once."""
    if shape not in _adapters:
        _adapters[shape] = TypeAdapter(shape)
    return _adapters[shape]


class Model(BaseModel):
    """An object in JSON."""

    model_config = ConfigDict(defer_build=True)


class CamelModel(Model):
    """An object with camelCase members in JSON."""

    model_config = ConfigDict(frozen=True, alias_generator=to_camel, populate_by_name=True)
