"""The random processes of the simulation. All draw from the generator that they receive."""

from __future__ import annotations

import math
from datetime import datetime
from random import Random


def log_normal(rng: Random, median: float, sigma: float) -> float:
    """Return a random latency: usually near `median`, with a long tail above it that widens with `sigma`."""
    return median * math.exp(sigma * rng.gauss(0.0, 1.0))


def activity(now: datetime) -> float:
    """Return how busy the hour is, 0.65 to 1.35 around a mean of 1, busiest at 14:00 UTC."""
    hour = now.hour + now.minute / 60
    return 1 + 0.35 * math.cos((hour - 14) / 24 * math.tau)


class MeanReverting:
    """A value that wanders around its mean: an Ornstein-Uhlenbeck process kept within three deviations.

    `relaxation` is the time in seconds in which a deviation from the mean decays to 1/e.
    """

    def __init__(self, rng: Random, mean: float, deviation: float, relaxation: float) -> None:
        self._rng = rng
        self.mean = mean
        self.deviation = deviation
        self.relaxation = relaxation
        self.value = mean

    def advance(self, seconds: float) -> float:
        """Advance by `seconds`, exact for any step length, and return the new value."""
        kept = math.exp(-seconds / self.relaxation)
        spread = self.deviation * math.sqrt(1 - kept * kept)
        departure = (self.value - self.mean) * kept + spread * self._rng.gauss(0.0, 1.0)
        limit = 3 * self.deviation
        self.value = self.mean + max(-limit, min(limit, departure))
        return self.value


class Arrivals:
    """Counts events that occur at a rate, more evenly than by pure chance: a steady rate has no empty minutes."""

    def __init__(self, rng: Random) -> None:
        self._rng = rng
        self._waiting = rng.random()

    def due(self, rate: float, seconds: float) -> int:
        """Return how many events happen in the next `seconds` at `rate` per second."""
        self._waiting += rate * seconds * self._rng.uniform(0.5, 1.5)
        whole = int(self._waiting)
        self._waiting -= whole
        return whole
