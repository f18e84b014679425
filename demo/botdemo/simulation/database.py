"""MongoDB as rust-core-engine's client sees it."""

from __future__ import annotations

from random import Random

from botdemo.metrics import DatabaseMetrics
from botdemo.simulation.chance import Arrivals, MeanReverting, log_normal
from botdemo.switches import EngineSwitches

POOL_SIZE = 100

_QUERIES_PER_SECOND = 8.0
_MEDIAN_SECONDS = {
    ("trades", "insert"): 0.004,
    ("trades", "find"): 0.006,
    ("orders", "update"): 0.005,
    ("orders", "find"): 0.004,
    ("users", "find"): 0.003,
    ("market_data", "insert"): 0.003,
    ("market_data", "aggregate"): 0.018,
}


class Database:
    """Queries and the pool connections that they use."""

    def __init__(self, rng: Random, metrics: DatabaseMetrics) -> None:
        self._rng = rng
        self._metrics = metrics
        self._arrivals = Arrivals(rng)
        self._used = MeanReverting(rng, 14, 2, 120)
        self._queries = list(_MEDIAN_SECONDS)
        for query in self._queries:
            metrics.query_duration.labels(*query)

    def advance(self, seconds: float, activity: float, switches: EngineSwitches) -> None:
        """Simulate the queries of the next `seconds`."""
        for _ in range(self._arrivals.due(_QUERIES_PER_SECOND * activity, seconds)):
            query = self._rng.choice(self._queries)
            took = log_normal(self._rng, _MEDIAN_SECONDS[query], 0.5) + switches.db_query_seconds
            self._metrics.query_duration.labels(*query).observe(took)
        wandering = round(self._used.advance(seconds) * activity)
        used = wandering if switches.db_pool_used is None else switches.db_pool_used
        self._metrics.pool.labels("used").set(used)
        self._metrics.pool.labels("idle").set(POOL_SIZE - used)
        self._metrics.pool.labels("max").set(POOL_SIZE)
