"""Expressions that more than one panel needs."""

from __future__ import annotations

WINDOW = "$__rate_interval"


def quantile(
    fraction: float, histogram: str, window: str = WINDOW, *, by: str = "", where: str = ""
) -> str:
    """Return a quantile of a histogram, summed over all labels but those of `by`."""
    labels = f"le, {by}" if by else "le"
    return f"histogram_quantile({fraction}, sum by ({labels}) (rate({histogram}_bucket{where}[{window}])))"


def counted(counter: str, *, by: str, where: str = "") -> str:
    """Return how often something happened within the time range, as a whole number."""
    return f"round(sum by ({by}) (increase({counter}{where}[$__range])))"


def slower_than(bound: str, histogram: str, *, by: str, where: str = "") -> str:
    """Return how many observations within the time range were above a bucket's bound, zero if none was.

    `bound` is a regular expression of the label `le`: client libraries write one second as "1" or as "1.0".
    """
    given = where.strip("{}")
    bucket = "{" + ",".join([*([given] if given else []), f'le=~"{bound}"']) + "}"
    every = counted(f"{histogram}_count", by=by, where=where)
    return f"{every} - {counted(f'{histogram}_bucket', by=by, where=bucket)}"
