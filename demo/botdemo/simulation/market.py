"""The prices of the symbols that bot-core trades."""

from __future__ import annotations

import math
from collections.abc import Mapping
from random import Random

from botdemo.simulation.chance import MeanReverting

REFERENCE_PRICES: Mapping[str, float] = {
    "BTCUSDT": 97_000.0,
    "ETHUSDT": 3_400.0,
    "SOLUSDT": 190.0,
    "BNBUSDT": 650.0,
}
"""The traded symbols, in USDT, most traded first."""

BITCOIN = "BTCUSDT"

_DEVIATION = 0.015
_RELAXATION_SECONDS = 8 * 3600.0


class Market:
    """Prices that wander around a reference, so they stay bounded however long the demo runs."""

    def __init__(self, rng: Random) -> None:
        self._logarithms = {
            symbol: MeanReverting(rng, 0.0, _DEVIATION, _RELAXATION_SECONDS)
            for symbol in REFERENCE_PRICES
        }
        self.prices = dict(REFERENCE_PRICES)

    def advance(self, seconds: float) -> None:
        """Advance every price by `seconds`."""
        for symbol, logarithm in self._logarithms.items():
            self.prices[symbol] = REFERENCE_PRICES[symbol] * math.exp(logarithm.advance(seconds))

    def richness(self, symbol: str) -> float:
        """Return how far a price is above its reference, in deviations, which is what a reversion strategy uses."""
        return self._logarithms[symbol].value / _DEVIATION
