"""Sessions of users who logged in with a cookie. They are in memory, so a restart ends them."""

from __future__ import annotations

import secrets
import time
from collections import OrderedDict
from collections.abc import Callable

COOKIE = "grafana_session"
LIFETIME = 7 * 86400
"""Seconds without a request after which a session ends; Grafana's login_maximum_inactive_lifetime_duration."""

_MAX = 1000


class Sessions:
    """Up to 1000 tokens; the least recently used is removed first. `clock` returns seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._ends: OrderedDict[str, float] = OrderedDict()

    def begin(self) -> str:
        """Return the token of a new session."""
        token = secrets.token_hex(16)
        self._ends[token] = self._clock() + LIFETIME
        while len(self._ends) > _MAX:
            self._ends.popitem(last=False)
        return token

    def valid(self, token: str) -> bool:
        """Return whether a session is valid, and prolong it."""
        if self._ends.get(token, 0) <= self._clock():
            self._ends.pop(token, None)
            return False
        self._ends[token] = self._clock() + LIFETIME
        self._ends.move_to_end(token)
        return True

    def end(self, token: str) -> None:
        """End a session if it exists."""
        self._ends.pop(token, None)
