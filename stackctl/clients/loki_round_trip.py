"""Loki's readiness: a line that is pushed and comes back. The rest of its HTTP API takes longer to load."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from stackctl.clients.base import HttpClient
from stackctl.util.polling import until

_ROUND_TRIP_JOB = "stackctl"
_ROUND_TRIP_PAUSE = 0.1
_QUERY_PATH = "/loki/api/v1/query_range"


@dataclass(frozen=True, slots=True)
class Entry:
    """A log line and its time."""

    timestamp: int
    line: str


class LokiRoundTrip(HttpClient):
    """A client of Loki for pushing lines. Every method raises ServiceError where it does not answer as documented."""

    service = "loki"

    async def ready(self) -> None:
        """Return if Loki reports that it is ready; queries may nevertheless hang (see `round_trip`)."""
        await self._request("GET", "/ready")

    async def push(self, labels: Mapping[str, str], entries: list[Entry]) -> None:
        """Push lines to the stream of these labels."""
        values = [[str(entry.timestamp), entry.line] for entry in entries]
        stream = {"stream": dict(labels), "values": values}
        await self._request("POST", "/loki/api/v1/push", body={"streams": [stream]})

    async def round_trip(self, marker: str) -> None:
        """Push a line and wait until a query returns it, which shows that Loki really works.

        Raises ServiceError if the line is not returned within the client's timeout.
        """
        now = time.time_ns()
        await self.push({"job": _ROUND_TRIP_JOB}, [Entry(now, marker)])
        params = {
            "query": f'{{job="{_ROUND_TRIP_JOB}"}} |= "{marker}"',
            "start": str(now - 1),
            "end": str(now + 1),
            "limit": "1",
        }
        found = await until(
            lambda: self._read(_lines, "GET", _QUERY_PATH, params=params),
            bool,
            seconds=self._timeout,
            pause=_ROUND_TRIP_PAUSE,
        )
        if not found:
            raise self._error(
                self.base_url + _QUERY_PATH,
                f"queries did not return a pushed line within {self._timeout:g} s",
            )


def _lines(answer: Any) -> int:
    """Return how many lines the streams of an answer have."""
    return sum(len(stream["values"]) for stream in answer["data"]["result"])
