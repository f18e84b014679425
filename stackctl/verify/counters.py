"""How much a counter has grown of late, in PromQL."""

from __future__ import annotations

_BEFORE = "1d"
"""How far back a series is looked for, to tell a new one from one that was not scraped for a while."""


def grown(metric: str, seconds: float) -> str:
    """Return an expression for the growth of each series of a counter over the last `seconds`.

    `increase` reckons from a series' first sample, and so misses what a new series begins with: a counter with labels
    often appears with its first failure. The whole value of a series that was not there before is growth.
    """
    window = f"{seconds:.0f}s"
    known = f"last_over_time({metric}[{_BEFORE}] offset {window})"
    return f"((increase({metric}[{window}]) and {known}) or ({metric} unless {known}))"
