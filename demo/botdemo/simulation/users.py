"""The users of the platform."""

from __future__ import annotations

from random import Random

from botdemo.metrics import UserMetrics
from botdemo.simulation.chance import Arrivals, MeanReverting
from botdemo.switches import EngineSwitches

_USUAL = 120.0
_REGISTRATIONS_PER_SECOND = 0.05
_LOGINS_PER_SECOND = 0.2
_SESSIONS_PER_SECOND = 0.3


class Users:
    """The number of users, and of those who register, log in and begin a session, in proportion."""

    def __init__(self, rng: Random, metrics: UserMetrics) -> None:
        self._active = MeanReverting(rng, _USUAL, 8, 900)
        self._metrics = metrics
        self._flows = (
            (metrics.registrations, _REGISTRATIONS_PER_SECOND, Arrivals(rng)),
            (metrics.logins, _LOGINS_PER_SECOND, Arrivals(rng)),
            (metrics.sessions, _SESSIONS_PER_SECOND, Arrivals(rng)),
        )

    def advance(self, seconds: float, activity: float, switches: EngineSwitches) -> None:
        """Simulate users for `seconds`."""
        present = round(self._active.advance(seconds) * activity)
        users = present if switches.users_active is None else switches.users_active
        self._metrics.active.set(users)
        for counter, rate, arrivals in self._flows:
            counter.inc(arrivals.due(rate * users / _USUAL, seconds))
