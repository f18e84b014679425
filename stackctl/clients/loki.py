"""Loki's HTTP API (grafana.com/docs/loki/latest/reference/loki-http-api). Times are in Unix nanoseconds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Generic, Literal, TypeVar

from pydantic import Field

from stackctl.clients.loki_round_trip import Entry, LokiRoundTrip
from stackctl.clients.models import Model

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Stream:
    """The lines of one set of labels."""

    labels: Mapping[str, str]
    entries: list[Entry]


class _Stream(Model):
    stream: Mapping[str, str]
    # Loki 3 adds a third element, structured metadata.
    values: list[tuple[int, str] | tuple[int, str, Any]]


class _Streams(Model):
    result_type: Literal["streams"] = Field(alias="resultType")
    result: list[_Stream]


class _Answer(Model, Generic[T]):
    status: Literal["success"]
    data: T


class LokiClient(LokiRoundTrip):
    """A client for Loki. Every method raises ServiceError if it does not respond as documented."""

    async def labels(self) -> list[str]:
        """Return the label names of the last six hours, Loki's default range."""
        # Without any streams, Loki omits `data`.
        return (await self._json(_Names, "GET", "/loki/api/v1/labels")).data or []

    async def label_values(self, name: str) -> list[str]:
        """Return the values of a label in the last six hours."""
        return (await self._json(_Names, "GET", f"/loki/api/v1/label/{name}/values")).data or []

    async def query_range(
        self, query: str, *, start: int, end: int, limit: int = 100
    ) -> list[Stream]:
        """Return the newest `limit` lines of a log query, from `start` to before `end`."""
        params = {
            "query": query,
            "start": str(start),
            "end": str(end),
            "limit": str(limit),
            "direction": "backward",
        }
        answer = await self._json(
            _Answer[_Streams], "GET", "/loki/api/v1/query_range", params=params
        )
        return [
            Stream(one.stream, [Entry(value[0], value[1]) for value in one.values])
            for one in answer.data.result
        ]


class _Names(Model):
    status: Literal["success"]
    data: list[str] | None = None
