"""Whether bot-core's applications expose metrics that rules and dashboards can use, and what to change if not.

Everything is read from Prometheus or, if Prometheus does not know it, from the blackbox exporter: both reach the
applications wherever they run. A mistake in an application is a warning: the stack works, but whatever depends on the
metric does not.
"""

from __future__ import annotations

import asyncio
import functools
import json
import math
import re
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from stackctl.clients.prometheus import Target
from stackctl.services.contract import CONTRACT, PROCESS, Metric
from stackctl.verify import client_libraries as libraries
from stackctl.verify.limits import Needs, needs
from stackctl.verify.model import Check, Context, Finding, skipped

_MODULE = "metrics_content_type"
_CLOCK_SECONDS = 3.0
_YOUNG_SECONDS = 3600.0
"""How long a metric with labels may have no series because what it counts has not happened yet."""
_LABEL_VALUES = 200
"""More values than any label that is meant to have few; the longest legitimate list, trading symbols, is far below."""
_EXAMINED = 8
"""How many metrics to examine the labels of: those with the most series."""
_LOOKBACK_SECONDS = 3600.0
_TARGET_LABELS = frozenset({"__name__", "job", "instance", "service", "le", "quantile"})
_NO_SERIES = "Prometheus has no series from them"
_OF_LIBRARIES = re.compile(r"(process|python|nodejs|go|tokio|promhttp)_.*")
"""Metrics that client libraries add: the application does not choose their names."""


@dataclass(frozen=True, slots=True)
class _Problem:
    service: str
    seen: str
    change: str
    """What to change in the application."""


@dataclass(frozen=True, slots=True)
class _Examined:
    problems: Sequence[_Problem]
    fine: str
    """What was observed, if there is no problem."""
    empty: bool = False
    """Whether there was nothing to examine: `fine` says what is missing."""


_Examine = Callable[[Context, Sequence[str]], Awaitable[_Examined]]


async def _of_applications(expected: str, examine: _Examine, context: Context) -> Finding:
    """Examine the applications that Prometheus scrapes, and return a finding."""
    if not context.applications:
        return skipped(expected, "no application is running")
    states = _states(await context.prometheus.targets(), context)
    scraped = [name for name, state in states.items() if state == "up"]
    others = [f"{name}: {state}" for name, state in states.items() if state != "up"]
    if not scraped:
        return skipped(expected, f"none is scraped ({', '.join(others)})", early=True)
    examined = await examine(context, scraped)
    return _finding(expected, examined, unseen=others)


def _states(targets: Iterable[Target], context: Context) -> Mapping[str, str]:
    """Return each application's state in Prometheus: "up" if one of its targets is."""
    states = dict.fromkeys(context.applications, "no target")
    for target in targets:
        if states.get(target.job, "up") != "up":
            states[target.job] = "not scraped yet" if target.health == "unknown" else target.health
    return states


def _finding(expected: str, examined: _Examined, *, unseen: Sequence[str] = ()) -> Finding:
    """Return a warning with all problems and what to change, each once; a skip if there was nothing to examine."""
    if examined.empty and not examined.problems:
        return skipped(expected, examined.fine, early=True)
    note = f"; not examined: {', '.join(unseen)}" if unseen else ""
    seen = "; ".join(problem.seen for problem in examined.problems) or examined.fine
    changes = dict.fromkeys(f"{one.service}: {one.change}" for one in examined.problems)
    return Finding(
        True,
        expected,
        seen + note,
        "\n".join(changes),
        warning=bool(examined.problems),
        early=bool(unseen),
    )


def _jobs(services: Iterable[str]) -> str:
    """Return a matcher for the services' jobs, whose names need no escaping in a regular expression."""
    return f'job=~"{"|".join(services)}"'


async def _numbers(context: Context, expression: str) -> Mapping[str, float]:
    """Return the value of an expression by job."""
    samples = await context.prometheus.query(expression)
    return {sample.metric.get("job", ""): sample.value[1] for sample in samples}


async def _series(context: Context, services: Sequence[str]) -> Mapping[str, Mapping[str, int]]:
    """Return the current number of each application's series, by metric name."""
    found: dict[str, dict[str, int]] = {service: {} for service in services}
    for sample in await context.prometheus.query(
        f"count by (__name__, job) ({{{_jobs(services)}}})"
    ):
        name, job = sample.metric.get("__name__"), sample.metric.get("job")
        if name and job in found:
            found[job][name] = int(sample.value[1])
    return found


async def _types(context: Context, services: Sequence[str]) -> Mapping[str, Mapping[str, str]]:
    """Return the types of each application's metrics, by the name in the TYPE line."""
    found: dict[str, dict[str, str]] = {service: {} for service in services}
    for one in await context.prometheus.metadata(f"{{{_jobs(services)}}}"):
        if one.job in found:
            found[one.job][one.metric] = one.type
    return found


def _type_of(metric: Metric, types: Mapping[str, str]) -> str | None:
    """Return the exposed type of a metric; None if it has no TYPE line."""
    # OpenMetrics names a counter's family without the suffix.
    family = metric.name.removesuffix("_total")
    found = types.get(metric.name) or (types.get(family) if metric.kind == "counter" else None)
    return None if found in {"unknown", "untyped"} else found


async def _contract(context: Context, services: Sequence[str]) -> _Examined:
    jobs = _jobs(services)
    series, types, watched, ages = await asyncio.gather(
        _series(context, services),
        _types(context, services),
        _numbers(context, f"up{{{jobs}}} offset {_YOUNG_SECONDS:.0f}s"),
        _numbers(context, f"max by (job) (time() - process_start_time_seconds{{{jobs}}})"),
    )
    problems = []
    for service in services:
        # A process without a start time is taken to be as old as its target.
        young = service not in watched or ages.get(service, _YOUNG_SECONDS) < _YOUNG_SECONDS
        metrics = (*CONTRACT[service], *PROCESS)
        missing = [
            metric
            for metric in metrics
            if series[service].keys().isdisjoint((metric.name, *metric.series))
            and not (metric.labels and (young or metric.rare or _type_of(metric, types[service])))
        ]
        if missing:
            change = libraries.REGISTER[service]
            if len(missing) == len(metrics):
                change += (
                    "; if it exposes timestamps, remove them:"
                    " a clock that is more than five minutes slow hides all metrics"
                )
            described = ", ".join(map(_described, missing))
            problems.append(_Problem(service, f"{service} does not expose {described}", change))
    count = sum(len(CONTRACT[service]) for service in services)
    return _Examined(problems, f"{count} metrics from {_listed(services)}")


def _described(metric: Metric) -> str:
    labels = f" by {', '.join(metric.labels)}" if metric.labels else ""
    return f"{metric.name} ({metric.kind}{labels})"


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


async def _kinds(context: Context, services: Sequence[str]) -> _Examined:
    series, types = await asyncio.gather(_series(context, services), _types(context, services))
    problems = []
    for service in services:
        wrong: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
        for metric in CONTRACT[service]:
            found = _type_of(metric, types[service])
            if found not in {None, metric.kind}:
                wrong[f"{found}", metric.kind].append(metric.name)
        for (found, kind), names in wrong.items():
            seen = f"{service} exposes {', '.join(names)} as {found} instead of {kind}"
            problems.append(_Problem(service, seen, libraries.KINDS[service]))
        known = {metric.name for metric in CONTRACT[service]}
        for name, kind in types[service].items():
            # In OpenMetrics a counter has no series with its family's name.
            if name in known or name not in series[service] or _OF_LIBRARIES.fullmatch(name):
                continue
            if kind == "gauge" and name.endswith("_total"):
                seen = f"{service}'s gauge {name} is named like a counter"
                change = f"rename {name}: only counters end in _total"
                problems.append(_Problem(service, seen, change))
            elif kind == "counter" and not name.endswith("_total"):
                seen = f"{service}'s counter {name} is named like a gauge"
                problems.append(_Problem(service, seen, f"rename {name} to {name}_total"))
    count = sum(map(len, types.values()))
    if not count or not any(series.values()):
        what = "none of their metrics has a TYPE line" if not count else _NO_SERIES
        return _Examined(problems, what, empty=True)
    return _Examined(problems, f"{count} metrics with the right type and name")


async def _buckets(context: Context, services: Sequence[str]) -> _Examined:
    needed = needs(await context.prometheus.rule_groups())
    histograms = {
        (service, metric.name): needed[metric.name]
        for service in services
        for metric in CONTRACT[service]
        if metric.kind == "histogram" and metric.name in needed
    }
    if not histograms:
        return _Examined((), "no loaded alert reads any of their histograms", empty=True)
    names = "|".join(sorted({name for _, name in histograms}))
    bounds: defaultdict[tuple[str, str], set[float]] = defaultdict(set)
    for sample in await context.prometheus.query(
        f'count by (__name__, job, le) ({{__name__=~"({names})_bucket",{_jobs(services)}}})'
    ):
        labels = sample.metric
        key = (labels.get("job", ""), labels.get("__name__", "").removesuffix("_bucket"))
        bound = labels.get("le", "+Inf")
        if key in histograms:
            bounds[key] |= _finite(bound)
    problems = [
        _Problem(service, f"{histogram} of {service} {wrong}", change(histogram, wanted))
        for (service, histogram), found in bounds.items()
        for wrong, wanted in _wrong_buckets(histogram, found, histograms[service, histogram])
        for change in [libraries.BUCKETS[service]]
    ]
    if not bounds:
        return _Examined(problems, "no histogram that an alert reads is exposed", empty=True)
    return _Examined(problems, f"{len(bounds)} histograms extend beyond their alerts' limits")


def _finite(bound: str) -> set[float]:
    """Return the bound of a bucket if it is a finite number: an application can expose any text."""
    try:
        return {float(bound)} if math.isfinite(float(bound)) else set()
    except ValueError:
        return set()


def _wrong_buckets(
    histogram: str, bounds: set[float], needed: Needs
) -> Iterable[tuple[str, Sequence[float]]]:
    """Yield what is wrong with a histogram's finite bounds, and the bounds to add."""
    unit = " s" if histogram.endswith("_seconds") else ""
    last, limit = max(bounds, default=0.0), needed.limit
    if last <= limit and needed.alert:
        end = f"ends at {last:g}{unit}" if bounds else "has no finite bucket"
        if last < limit:
            wrong = f"{end}, so {needed.alert} (above {limit:g}{unit}) can never fire"
        else:
            wrong = f"{end}, the limit of {needed.alert}, so the alert cannot show by how much it is exceeded"
        yield wrong, (limit, 2 * limit)
    for bound, rule in needed.bounds.items():
        if bound not in bounds:
            yield f"has no bucket at {bound:g}{unit}, which {rule} reads", (bound,)


async def _labels(context: Context, services: Sequence[str]) -> _Examined:
    series = await _series(context, services)
    # A histogram's buckets multiply its series, and its sum has the same series as its count.
    counted = sorted(
        (
            (count, service, name)
            for service, names in series.items()
            for name, count in names.items()
            if not name.endswith("_bucket")
            and not (name.endswith("_sum") and f"{name.removesuffix('_sum')}_count" in names)
        ),
        reverse=True,
    )
    # A label cannot have more values than its metric has series.
    suspects = [one for one in counted if one[0] > _LABEL_VALUES][:_EXAMINED]
    found = await asyncio.gather(
        *(_exploded(context, service, name) for _, service, name in suspects)
    )
    if not counted:
        return _Examined((), _NO_SERIES, empty=True)
    return _Examined(
        [problem for problems in found for problem in problems],
        f"{sum(count for count, _, _ in counted)} series without buckets,"
        f" at most {counted[0][0]} per metric ({counted[0][2]})",
    )


async def _exploded(context: Context, service: str, name: str) -> list[_Problem]:
    """Return the labels of a metric that have too many values."""
    selector = f'{{__name__={json.dumps(name, ensure_ascii=False)},job="{service}"}}'
    since = time.time() - _LOOKBACK_SECONDS
    labels = [
        label
        for label in await context.prometheus.label_names(selector, start=since)
        if label not in _TARGET_LABELS and re.fullmatch(r"[a-zA-Z_]\w*", label, re.ASCII)
    ]
    counts = await asyncio.gather(
        *(context.prometheus.query(f"count(count by ({label}) ({selector}))") for label in labels)
    )
    return [
        _Problem(
            service,
            f"{name} of {service} has {sample.value[1]:.0f} values of {label}",
            libraries.LABELS[service],
        )
        for label, samples in zip(labels, counts, strict=True)
        for sample in samples
        if sample.value[1] > _LABEL_VALUES
    ]


async def _clocks(context: Context, services: Sequence[str]) -> _Examined:
    jobs = _jobs(services)
    started = f"process_start_time_seconds{{{jobs}}}"
    # A process starts before its first scrape, unless its clock is ahead.
    ahead = await _numbers(
        context,
        f"max by (job) (max_over_time(({started} - timestamp({started}))"
        f"[{_LOOKBACK_SECONDS:.0f}s:15s]))",
    )
    problems = [
        _Problem(
            service,
            f"the clock of {service} is ahead by {ahead[service]:.0f} s or more",
            libraries.CLOCK,
        )
        for service in services
        if ahead.get(service, 0.0) > _CLOCK_SECONDS
    ]
    for service, metrics in (await _stamped(context, services)).items():
        others = f" and {len(metrics) - 1} more" if len(metrics) > 1 else ""
        seen = (
            f"timestamps of {min(metrics)}{others} of {service} differ from the scrape by"
            f" {max(metrics.values()):.0f} s"
        )
        problems.append(
            _Problem(service, seen, f"{libraries.TIMESTAMPS[service]}; {libraries.CLOCK}")
        )
    told = [service for service in services if service in ahead]
    if not told:
        return _Examined(problems, "none exposes process_start_time_seconds", empty=True)
    return _Examined(problems, f"the clocks of {_listed(told)} agree with Prometheus")


async def _stamped(context: Context, services: Sequence[str]) -> Mapping[str, Mapping[str, float]]:
    """Return the metrics whose timestamps differ from the time of the scrape, and by how many seconds.

    Prometheus uses the time of the scrape, as for `up`, unless the application exposes a timestamp.
    """
    names = {
        metric.name: f"{metric.name}_count" if metric.kind == "histogram" else metric.name
        for service in services
        for metric in CONTRACT[service]
    }
    times = " or ".join(
        f'label_replace(timestamp({series}{{{_jobs(services)}}}), "metric", "{name}", "", "")'
        for name, series in names.items()
    )
    # A series that ended while Prometheus restarted has old samples too, but not all series of a metric do.
    off = (
        f"min by (job, metric) (abs(({times})"
        f" - on (job, instance) group_left () timestamp(up{{{_jobs(services)}}})))"
        f" > {_CLOCK_SECONDS:g}"
    )
    found: defaultdict[str, dict[str, float]] = defaultdict(dict)
    for sample in await context.prometheus.query(off):
        job = sample.metric.get("job", "")
        if job in services:
            found[job][sample.metric.get("metric", "")] = sample.value[1]
    return found


async def _content_type(context: Context) -> Finding:
    expected = "each metrics page has a Content-Type of Prometheus"
    if not context.applications:
        return skipped(expected, "no application is running")
    targets = [
        target
        for target in await context.prometheus.targets()
        if target.job in context.applications
    ]
    outcomes = await asyncio.gather(
        *(context.blackbox.probe(target.scrape_url, _MODULE) for target in targets)
    )
    problems, unseen, refused = [], [], False
    for target, outcome in zip(targets, outcomes, strict=True):
        where = f"{target.job} at {target.scrape_url}"
        # Only Prometheus 3 rejects such a page. It requests OpenMetrics; the probe requests no particular format.
        if target.health == "down" and "content-type" in target.last_error.lower():
            refused = True
            seen = f"Prometheus rejects the page of {where}: {target.last_error}"
        elif outcome == "mismatch":
            seen = (
                f"{where} responds without a Content-Type of Prometheus, which Prometheus 3 rejects"
            )
        else:
            if outcome == "failure":
                unseen.append(f"{where}, which does not respond")
            continue
        problems.append(_Problem(target.job, seen, libraries.CONTENT_TYPE[target.job]))
    if len(unseen) == len(targets):
        return skipped(expected, ", ".join(unseen) or "no targets yet", early=True)
    pages = len(targets) - len(unseen)
    found = _finding(expected, _Examined(problems, f"{pages} pages with one"), unseen=unseen)
    if refused:
        return Finding(False, expected, found.observed, found.next_step)
    return found


def _check(id_: str, title: str, expected: str, examine: _Examine) -> Check:
    run = functools.partial(_of_applications, expected, examine)
    return Check(f"applications.{id_}", title, "beyond the plan", "prometheus", run)


CHECKS = (
    _check(
        "metrics",
        "Applications expose what rules read",
        "every metric that rules and dashboards read",
        _contract,
    ),
    _check(
        "types",
        "Metrics have the right type and name",
        "the types that rules rely on; only counters end in _total",
        _kinds,
    ),
    _check(
        "buckets",
        "Histograms extend beyond alerts' limits",
        "a bucket above the limit of each alert on a quantile, and the buckets that rules read by name",
        _buckets,
    ),
    _check(
        "labels",
        "No label has too many values",
        f"at most {_LABEL_VALUES} values for each label of an application",
        _labels,
    ),
    Check(
        "applications.content-type",
        "Metrics pages have a Content-Type",
        "beyond the plan",
        "blackbox-exporter",
        _content_type,
    ),
    _check(
        "clocks",
        "Clocks of the applications agree",
        f"no start time in the future, no timestamp more than {_CLOCK_SECONDS:g} s off the scrape",
        _clocks,
    ),
)
