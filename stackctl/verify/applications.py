"""Whether bot-core's applications expose metrics that rules and dashboards can use, and what to change where not.

All is asked from Prometheus and, for what Prometheus does not tell, from the blackbox exporter: both reach the
applications wherever these run. What an application does wrong is a warning: the stack works, and what rests on the
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
"""For how long a metric with labels may have no series, because nothing of the kind has happened."""
_LABEL_VALUES = 200
"""So many values has no label that is meant to have few; the longest list, of trading symbols, is well below."""
_EXAMINED = 8
"""Of how many metrics the labels are counted: those with the most series."""
_LOOKBACK_SECONDS = 3600.0
_TARGET_LABELS = frozenset({"__name__", "job", "instance", "service", "le", "quantile"})
_NO_SERIES = "Prometheus has no series of theirs"
_OF_LIBRARIES = re.compile(r"(process|python|nodejs|go|tokio|promhttp)_.*")
"""Metrics that a client library brings along: their names are not the application's choice."""


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
    """What was seen, if there is no problem."""
    empty: bool = False
    """Whether there was nothing to judge: `fine` says what is missing."""


_Examine = Callable[[Context, Sequence[str]], Awaitable[_Examined]]


async def _of_applications(expected: str, examine: _Examine, context: Context) -> Finding:
    """Examine the applications that Prometheus scrapes, and make a finding of it."""
    if not context.applications:
        return skipped(expected, "no application runs")
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
    """Return a warning with all problems and what to change, each once; a skip where there was nothing to judge."""
    if examined.empty and not examined.problems:
        return skipped(expected, examined.fine, early=True)
    note = f"; not looked at: {', '.join(unseen)}" if unseen else ""
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
    """Return the matcher of the services' jobs, whose names need no escaping in a regular expression."""
    return f'job=~"{"|".join(services)}"'


async def _numbers(context: Context, expression: str) -> Mapping[str, float]:
    """Return the value of an expression by job."""
    samples = await context.prometheus.query(expression)
    return {sample.metric.get("job", ""): sample.value[1] for sample in samples}


async def _series(context: Context, services: Sequence[str]) -> Mapping[str, Mapping[str, int]]:
    """Return how many series each application has now, by name."""
    found: dict[str, dict[str, int]] = {service: {} for service in services}
    for sample in await context.prometheus.query(
        f"count by (__name__, job) ({{{_jobs(services)}}})"
    ):
        name, job = sample.metric.get("__name__"), sample.metric.get("job")
        if name and job in found:
            found[job][name] = int(sample.value[1])
    return found


async def _types(context: Context, services: Sequence[str]) -> Mapping[str, Mapping[str, str]]:
    """Return the type of each application's metrics, by the name that the TYPE line has."""
    found: dict[str, dict[str, str]] = {service: {} for service in services}
    for one in await context.prometheus.metadata(f"{{{_jobs(services)}}}"):
        if one.job in found:
            found[one.job][one.metric] = one.type
    return found


def _type_of(metric: Metric, types: Mapping[str, str]) -> str | None:
    """Return the type that a metric is exposed with; None for one without a TYPE."""
    # OpenMetrics names a counter's family without the ending.
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
        # A process that does not tell its age is as old as its target.
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
                    "; where it exposes them with timestamps, expose them without:"
                    " a clock that is more than five minutes slow hides them all"
                )
            described = ", ".join(map(_described, missing))
            problems.append(_Problem(service, f"{service} does not expose {described}", change))
    count = sum(len(CONTRACT[service]) for service in services)
    return _Examined(problems, f"{count} metrics of {_listed(services)}")


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
            seen = f"{service} exposes as a {found} what must be a {kind}: {', '.join(names)}"
            problems.append(_Problem(service, seen, libraries.KINDS[service]))
        known = {metric.name for metric in CONTRACT[service]}
        for name, kind in types[service].items():
            # A counter of OpenMetrics has no series of its family's name.
            if name in known or name not in series[service] or _OF_LIBRARIES.fullmatch(name):
                continue
            if kind == "gauge" and name.endswith("_total"):
                seen = f"{service}'s gauge {name} has the name of a counter"
                change = f"rename {name}, without _total: only counters end in it"
                problems.append(_Problem(service, seen, change))
            elif kind == "counter" and not name.endswith("_total"):
                seen = f"{service}'s counter {name} has the name of a gauge"
                problems.append(_Problem(service, seen, f"rename {name} to {name}_total"))
    count = sum(map(len, types.values()))
    if not count or not any(series.values()):
        what = "no metric of theirs has a TYPE line" if not count else _NO_SERIES
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
        return _Examined((), "no loaded alert reads a histogram of theirs", empty=True)
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
    return _Examined(problems, f"{len(bounds)} histograms reach past the limits of their alerts")


def _finite(bound: str) -> set[float]:
    """Return the bound of a bucket, if it is a finite number: an application can write anything there."""
    try:
        return {float(bound)} if math.isfinite(float(bound)) else set()
    except ValueError:
        return set()


def _wrong_buckets(
    histogram: str, bounds: set[float], needed: Needs
) -> Iterable[tuple[str, Sequence[float]]]:
    """Yield what is wrong with a histogram's finite bounds, and the bounds that it wants."""
    unit = " s" if histogram.endswith("_seconds") else ""
    last, limit = max(bounds, default=0.0), needed.limit
    if last <= limit and needed.alert:
        end = f"ends at {last:g}{unit}" if bounds else "has no finite bucket"
        if last < limit:
            wrong = f"{end}, so that {needed.alert} (above {limit:g}{unit}) can never fire"
        else:
            wrong = (
                f"{end}, the limit of {needed.alert}, which cannot tell by how much it is exceeded"
            )
        yield wrong, (limit, 2 * limit)
    for bound, rule in needed.bounds.items():
        if bound not in bounds:
            yield f"has no bucket at {bound:g}{unit}, which {rule} reads", (bound,)


async def _labels(context: Context, services: Sequence[str]) -> _Examined:
    series = await _series(context, services)
    # The buckets of a histogram multiply its series, and its sum repeats its count.
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
    # A label has no more values than its metric has series.
    suspects = [one for one in counted if one[0] > _LABEL_VALUES][:_EXAMINED]
    found = await asyncio.gather(
        *(_exploded(context, service, name) for _, service, name in suspects)
    )
    if not counted:
        return _Examined((), _NO_SERIES, empty=True)
    return _Examined(
        [problem for problems in found for problem in problems],
        f"{sum(count for count, _, _ in counted)} series beside buckets,"
        f" the most, {counted[0][0]} of {counted[0][2]}",
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
    # When a process starts, by its own clock, is before the first scrape that finds it.
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
            f"samples of {min(metrics)}{others} of {service} are stamped"
            f" {max(metrics.values()):.0f} s off their scrape"
        )
        problems.append(
            _Problem(service, seen, f"{libraries.TIMESTAMPS[service]}; {libraries.CLOCK}")
        )
    told = [service for service in services if service in ahead]
    if not told:
        return _Examined(problems, "none tells by process_start_time_seconds", empty=True)
    return _Examined(problems, f"those of {_listed(told)} agree with Prometheus'")


async def _stamped(context: Context, services: Sequence[str]) -> Mapping[str, Mapping[str, float]]:
    """Return the metrics whose samples are not of the time of their scrape, and how many seconds off they are.

    Prometheus stamps a sample with the time of its scrape, as `up`, unless the application has stamped it.
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
    # A series that has ended, unknown to Prometheus for its own restart, has old samples too: not all of a metric do.
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
    expected = "each page of metrics says by its Content-Type what it is"
    if not context.applications:
        return skipped(expected, "no application runs")
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
        # Only Prometheus 3 refuses such a page. It asks for OpenMetrics, the probe for nothing in particular.
        if target.health == "down" and "content-type" in target.last_error.lower():
            refused = True
            seen = f"Prometheus refuses the page of {where}: {target.last_error}"
        elif outcome == "mismatch":
            seen = f"{where} answers without a Content-Type of Prometheus, and Prometheus 3 refuses that"
        else:
            if outcome == "failure":
                unseen.append(f"{where}, which does not answer")
            continue
        problems.append(_Problem(target.job, seen, libraries.CONTENT_TYPE[target.job]))
    if len(unseen) == len(targets):
        return skipped(expected, ", ".join(unseen) or "there is no target yet", early=True)
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
        "The applications expose what rules read",
        "every metric that rules and dashboards read",
        _contract,
    ),
    _check(
        "types",
        "Metrics have the right type and name",
        "the types that rules rest on; counters end in _total, and nothing else does",
        _kinds,
    ),
    _check(
        "buckets",
        "Histograms reach past the limits of alerts",
        "a bucket above the limit of each alert on a quantile, and those that rules name",
        _buckets,
    ),
    _check(
        "labels",
        "No label has too many values",
        f"at most {_LABEL_VALUES} values of each label in an application",
        _labels,
    ),
    Check(
        "applications.content-type",
        "Metrics come with a Content-Type",
        "beyond the plan",
        "blackbox-exporter",
        _content_type,
    ),
    _check(
        "clocks",
        "The applications' clocks agree",
        f"no process from the future, no sample more than {_CLOCK_SECONDS:g} s off its scrape",
        _clocks,
    ),
)
