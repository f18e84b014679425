"""Annotations, in memory: up to 10000, of which the oldest are removed first."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

_MAX = 10_000


@dataclass(frozen=True)
class Annotation:
    """A mark in time, from `time` to `time_end` in milliseconds since 1970."""

    id: int
    text: str
    tags: tuple[str, ...]
    time: int
    time_end: int
    created: int
    login: str
    dashboard_uid: str = ""
    dashboard_id: int = 0
    panel_id: int = 0

    def json(self) -> dict[str, Any]:
        """Return the annotation as GET /api/annotations lists it."""
        return {
            "id": self.id,
            "alertId": 0,
            "alertName": "",
            "dashboardId": self.dashboard_id,
            "dashboardUID": self.dashboard_uid,
            "panelId": self.panel_id,
            "userId": 1,
            "newState": "",
            "prevState": "",
            "created": self.created,
            "updated": self.created,
            "time": self.time,
            "timeEnd": self.time_end,
            "text": self.text,
            "tags": list(self.tags),
            "login": self.login,
            "email": "admin@localhost",
            "avatarUrl": "",
            "data": {},
        }


class Annotations:
    """All annotations."""

    def __init__(self) -> None:
        self._kept: deque[Annotation] = deque(maxlen=_MAX)
        self._last = 0

    def add(self, **values: Any) -> Annotation:
        """Add an annotation from its members other than the id."""
        self._last += 1
        new = Annotation(id=self._last, **values)
        self._kept.append(new)
        return new

    def remove(self, number: int) -> bool:
        """Remove an annotation by id and return whether it existed."""
        found = next((one for one in self._kept if one.id == number), None)
        if found:
            self._kept.remove(found)
        return found is not None

    def find(
        self,
        *,
        start: int | None,
        end: int | None,
        tags: Iterable[str],
        match_any: bool,
        dashboard_uid: str,
        panel_id: int,
        limit: int,
    ) -> list[Annotation]:
        """Return the annotations in a time range with all of the tags, or any of them; latest first."""
        wanted = set(tags)
        found = [
            one
            for one in self._kept
            if (end is None or one.time <= end)
            and (start is None or one.time_end >= start)
            and (not wanted or (wanted & set(one.tags) if match_any else wanted <= set(one.tags)))
            and (not dashboard_uid or one.dashboard_uid == dashboard_uid)
            and (not panel_id or one.panel_id == panel_id)
        ]
        return sorted(found, key=lambda one: one.time, reverse=True)[:limit]
