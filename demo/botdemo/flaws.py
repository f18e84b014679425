"""Metrics with the mistakes that the switches select: mistakes that a programmer can make."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from datetime import datetime

from prometheus_client import Metric
from prometheus_client.samples import Sample, Timestamp

from botdemo.switches import ApplicationSwitches

_MISNAMED = "orders_open_total"


def flawed(
    families: Iterable[Metric], switches: ApplicationSwitches, now: datetime
) -> Iterator[Metric]:
    """Yield the families with every mistake that is switched on; `now` is the time of a correct clock."""
    for family in families:
        samples = [
            _stamped(sample, switches.clock_offset_seconds, now)
            for sample in family.samples
            if not _beyond(sample, switches.largest_bucket)
        ]
        if family.name == "http_requests":
            samples += _by_id(samples, switches.endpoints_by_id)
        if not (switches.missing_metrics and _goes_missing(family)):
            yield _family(family, samples, as_gauge=switches.counters_as_gauges)
    if switches.counters_as_gauges:
        misnamed = Metric(_MISNAMED, "Orders that are open", "gauge")
        misnamed.add_sample(_MISNAMED, {}, 3)
        yield misnamed


def _family(family: Metric, samples: list[Sample], *, as_gauge: bool) -> Metric:
    counter = family.type == "counter"
    wrong = as_gauge and counter
    # A counter's family has its name without the suffix, a gauge's has the whole name.
    changed = Metric(
        f"{family.name}_total" if wrong else family.name,
        family.documentation,
        "gauge" if wrong else family.type,
    )
    changed.samples = samples
    return changed


def _beyond(sample: Sample, largest: float | None) -> bool:
    bound = float(sample.labels.get("le", "nan"))
    return largest is not None and math.isfinite(bound) and bound > largest


def _goes_missing(family: Metric) -> bool:
    own = not family.name.startswith("process_")
    return own and (family.type == "histogram" or not any(one.labels for one in family.samples))


def _by_id(samples: list[Sample], count: int) -> list[Sample]:
    example = next(iter(samples), None)
    if example is None:
        return []
    return [
        example._replace(labels={**example.labels, "endpoint": f"/api/orders/{number}"}, value=1)
        for number in range(count)
    ]


def _stamped(sample: Sample, seconds: float, now: datetime) -> Sample:
    if not seconds:
        return sample
    at = now.timestamp() + seconds
    return sample._replace(timestamp=Timestamp(int(at), int(at % 1 * 1e9)))
