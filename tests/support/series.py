"""The values of a series in promtool's notation, spelled out, and what may happen to a target while it has them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

Samples = list[str]

_NUMBER = r"[-+]?(?:\d+\.?\d*(?:e[-+]?\d+)?|Inf|NaN)"
_REPEATED = re.compile(
    rf"^(?P<first>{_NUMBER})(?P<step>[-+]\d[\d.]*(?:e[-+]?\d+)?)?x(?P<more>\d+)$"
)
_COUNTER = re.compile(r"_(total|bucket|count|sum)\{")


def expand(values: str) -> Samples:
    """Return one text a sample for values such as `0+10x3 stale _x2 NaN`.

    See prometheus.io/docs/prometheus/latest/configuration/unit_testing_rules: `axn` is a and n more, `_xn` n gaps.
    """
    found: Samples = []
    for token in values.split():
        if repeated := _REPEATED.match(token):
            first, step = float(repeated["first"]), float(repeated["step"] or 0)
            found += [f"{first + step * n:.12g}" for n in range(int(repeated["more"]) + 1)]
        elif gaps := re.fullmatch(r"_x(\d+)", token):
            found += ["_"] * int(gaps[1])
        else:
            found.append(token)
    return found


def is_counter(series: str) -> bool:
    """Return whether a series is a counter or a part of a histogram, by its name."""
    # One gauge of the contract has the name of a counter.
    return _COUNTER.search(series) is not None and not series.startswith("users_active_total{")


def with_failed_scrape(series: Iterable[dict[str, str]], at: int) -> list[dict[str, str]]:
    """Return input series of targets of which one scrape failed: stale until the next, and `up` is 0."""
    return [
        {**one, "values": " ".join(_failed(expand(str(one["values"])), at, one["series"]))}
        for one in series
    ]


def _failed(samples: Samples, at: int, name: str) -> Samples:
    if at >= len(samples) or samples[at] in {"_", "stale"}:
        return samples
    return [*samples[:at], "0" if name.startswith("up{") else "stale", *samples[at + 1 :]]


def restarted(samples: Samples, at: int) -> Samples:
    """Return the samples of a counter whose process was restarted just before a scrape: it counts from 0."""
    if at >= len(samples):
        return samples
    before = _number(samples[at - 1])
    return samples[:at] + [
        one if one in {"_", "stale"} else f"{_number(one) - before:.12g}" for one in samples[at:]
    ]


def idle(samples: Samples) -> Samples:
    """Return the samples of a counter that has stopped growing at its first value."""
    numbers = [one for one in samples if one not in {"_", "stale"}]
    return [one if one in {"_", "stale"} else numbers[0] for one in samples]


def with_counters(
    series: Iterable[dict[str, str]], change: Callable[[Samples], Samples]
) -> list[dict[str, str]]:
    """Return input series with a change made to the counters."""
    return [
        {**one, "values": " ".join(change(expand(str(one["values"]))))}
        if is_counter(one["series"])
        else one
        for one in series
    ]


def with_twins(series: Iterable[dict[str, str]]) -> list[dict[str, str]]:
    """Return input series with a second instance beside each, which does the same."""
    found = list(series)
    return found + [
        {**one, "series": re.sub(r'instance="([^"]*)"', r'instance="twin-\1"', one["series"])}
        for one in found
        if 'instance="' in one["series"]
    ]


def _number(sample: str) -> float:
    return 0.0 if sample in {"_", "stale"} else float(sample)
