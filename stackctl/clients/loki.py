"""Loki's HTTP API (grafana.com/docs/loki/latest/reference/loki-http-api). Times are in Unix nanoseconds."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Generic, Literal, TypeVar

from pydantic import BaseModel, Field, TypeAdapter

from stackctl.clients.base import HttpClient
from stackctl.util.polling import until

T = TypeVar("T")

_ROUND_TRIP_JOB = "stackctl"
_ROUND_TRIP_PAUSE = 0.1


@dataclass(frozen=True, slots=True)
class Entry:
    """A log line and its time."""

    timestamp: int
    line: str


@dataclass(frozen=True, slots=True)
class Stream:
    """The lines of one set of labels."""

    labels: Mapping[str, str]
    entries: list[Entry]


class _Stream(BaseModel):
    stream: Mapping[str, str]
    # Loki 3 adds a third element, structured metadata.
    values: list[tuple[int, str] | tuple[int, str, Any]]


class _Streams(BaseModel):
    result_type: Literal["streams"] = Field(alias="resultType")
    result: list[_Stream]


class _Answer(BaseModel, Generic[T]):
    status: Literal["success"]
    data: T


class LokiClient(HttpClient):
    """A client for Loki. Every method raises ServiceError if it does not respond as documented."""

    service = "loki"

    async def ready(self) -> None:
        """Return if Loki reports that it is ready; queries may nevertheless hang (see `round_trip`)."""
        await self._request("GET", "/ready")

    async def push(self, labels: Mapping[str, str], entries: list[Entry]) -> None:
        """Push lines to the stream of these labels."""
        values = [[str(entry.timestamp), entry.line] for entry in entries]
        stream = {"stream": dict(labels), "values": values}
        await self._request("POST", "/loki/api/v1/push", body={"streams": [stream]})

    async def labels(self) -> list[str]:
        """Return the label names of the last six hours, Loki's default range."""
        # Without any streams, Loki omits `data`.
        return (await self._json(_NAMES, "GET", "/loki/api/v1/labels")).data or []

    async def label_values(self, name: str) -> list[str]:
        """Return the values of a label in the last six hours."""
        return (await self._json(_NAMES, "GET", f"/loki/api/v1/label/{name}/values")).data or []

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
        answer = await self._json(_LINES, "GET", "/loki/api/v1/query_range", params=params)
        return [
            Stream(one.stream, [Entry(value[0], value[1]) for value in one.values])
            for one in answer.data.result
        ]

    async def round_trip(self, marker: str) -> None:
        """Push a line and wait until a query returns it, which shows that Loki really works.

        Raises ServiceError if the line is not returned within the client's timeout.
        """
        now = time.time_ns()
        await self.push({"job": _ROUND_TRIP_JOB}, [Entry(now, marker)])
        query = f'{{job="{_ROUND_TRIP_JOB}"}} |= "{marker}"'
        found = await until(
            lambda: self.query_range(query, start=now - 1, end=now + 1, limit=1),
            bool,
            seconds=self._timeout,
            pause=_ROUND_TRIP_PAUSE,
        )
        if not found:
            raise self._error(
                f"{self.base_url}/loki/api/v1/query_range",
                f"queries did not return a pushed line within {self._timeout:g} s",
            )


class _Names(BaseModel):
    status: Literal["success"]
    data: list[str] | None = None


_NAMES = TypeAdapter(_Names)
_LINES = TypeAdapter(_Answer[_Streams])
