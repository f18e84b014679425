"""PromQL for the recent growth of a counter."""

from __future__ import annotations

_BEFORE = "1d"
"""How far back to look for a series, to distinguish a new one from one that was not scraped for a while."""


def grown(metric: str, seconds: float) -> str:
    """Return an expression for the growth of each series of a counter over the last `seconds`.

    `increase` starts from a series' first sample and so misses the initial value of a new series: a counter with labels
    often appears with its first failure. For a series that did not exist before, the whole value counts as growth.
    """
    window = f"{seconds:.0f}s"
    known = f"last_over_time({metric}[{_BEFORE}] offset {window})"
    return f"((increase({metric}[{window}]) and {known}) or ({metric} unless {known}))"
