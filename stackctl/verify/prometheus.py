"""Section 9.1 of the plan: targets, rules, a query."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Iterable
from urllib.parse import urlsplit

from stackctl.clients.base import HttpClient
from stackctl.clients.prometheus import Target
from stackctl.services.catalog import SERVICES
from stackctl.values.durations import format_duration
from stackctl.verify.counters import grown
from stackctl.verify.model import Check, Context, Finding, skipped

_SCRAPE_SHARE = 0.5
_CLOCK_SECONDS = 3.0
_LOST = {"dropped": "dropped", "errors": "could not be sent"}
_DROPPED_SECONDS = 300.0
_START_SECONDS = 30.0
"""Prometheus first discovers Alertmanagers after 5 s, and scrapes its own counters every 15 s."""
_HEAD_SERIES = "prometheus_tsdb_head_series"
_STORAGE_FAILURES = (
    "prometheus_tsdb_wal_corruptions_total",
    "prometheus_tsdb_checkpoint_creations_failed_total",
    "prometheus_tsdb_compactions_failed_total",
    "prometheus_tsdb_head_truncations_failed_total",
)


async def _ready(context: Context) -> Finding:
    await context.prometheus.ready()
    version = (await context.prometheus.build_info()).version
    return Finding(True, "ready", f"ready, version {version}")


async def _expected_targets(context: Context) -> Finding:
    expected = context.expected_jobs
    states = dict.fromkeys(expected, "no target")
    targets = await context.prometheus.targets()
    for target in targets:
        # A target that is down must not be hidden by another target of the job that is up.
        if target.job in states and not states[target.job].startswith("down"):
            down = target.health == "down"
            states[target.job] = f"down ({target.last_error})" if down else target.health
    wrong = {job: state for job, state in states.items() if state != "up"}
    seen = ", ".join(f"{job}: {state}" for job, state in wrong.items())
    return Finding(
        not wrong,
        f"{len(expected)} jobs up: {', '.join(expected)}",
        seen or f"{len(expected)} jobs up{_left_out(context)}",
        _logs_of(next(iter(wrong)), targets, context) if wrong else "",
        blames=tuple(job for job in wrong if job in SERVICES),
    )


def _logs_of(job: str, targets: Iterable[Target], context: Context) -> str:
    """Return the next step for a failing job: the logs of the scraped service, if it is part of the stack.

    For a job such as redis that is the exporter.
    """
    for target in sorted(targets, key=lambda target: target.health == "up"):
        host = urlsplit(target.scrape_url).hostname
        if target.job == job and host in SERVICES:
            return f"stackctl logs {host}"
    return f"open {context.prometheus.base_url}/targets"


def _left_out(context: Context) -> str:
    return f"; not monitored (not found): {', '.join(context.left_out)}" if context.left_out else ""


async def _other_targets(context: Context) -> Finding:
    targets, configs = await asyncio.gather(
        context.prometheus.targets(), context.prometheus.scrape_configs()
    )
    known = {(target.job, target.address) for target in targets}
    # Prometheus updates its scrape pools every five seconds; the first update after a start may lack targets.
    wrong = [
        f"{config.job_name} {address}: not discovered yet"
        for config in configs
        for address in config.static_targets
        if (config.job_name, address) not in known
    ] + [
        f"{target.job} {target.instance} {target.health}: {target.last_error}"
        for target in targets
        if target.health != "up" and target.job not in context.expected_jobs
    ]
    return Finding(
        bool(targets) and not wrong,
        "every configured target is discovered, and none is down",
        "; ".join(wrong) or (f"{len(targets)} targets, all up" if targets else "no targets"),
        f"open {context.prometheus.base_url}/targets",
    )


async def _rule_groups(context: Context) -> Finding:
    groups = await context.prometheus.rule_groups()
    names = [group.name for group in groups]
    return Finding(
        bool(names),
        "at least one rule group loaded",
        f"{len(names)} groups: {', '.join(names)}" if names else "none",
        "look for rule files that it could not read: stackctl logs prometheus",
    )


async def _rule_health(context: Context) -> Finding:
    rules = [rule for group in await context.prometheus.rule_groups() for rule in group.rules]
    wrong = [rule for rule in rules if rule.health not in {"ok", "unknown"}]
    # A rule that was just loaded is unknown until its group is evaluated, but not all of them stay so for long.
    evaluated = [rule for rule in rules if rule.health != "unknown"]
    return Finding(
        bool(evaluated) and not wrong,
        "every rule evaluates without errors",
        "; ".join(f"{rule.name}: {rule.last_error}" for rule in wrong)
        or f"{len(rules)} rules without errors{'' if evaluated else ', but none evaluated yet'}",
        f"correct {wrong[0].name}: {wrong[0].query}" if wrong else "stackctl logs prometheus",
    )


async def _sample_metric(context: Context) -> Finding:
    samples = {
        sample.metric.get("job"): sample.value[1] for sample in await context.prometheus.query("up")
    }
    missing = [job for job in context.expected_jobs if samples.get(job) != 1]
    return Finding(
        not missing,
        "query=up returns 1 for every expected job",
        f"it does not for {', '.join(missing)}"
        if missing
        else f"{len(samples)} jobs, with 1 for the expected ones",
        f"open {context.prometheus.base_url}/graph?g0.expr=up" if missing else "",
        blames=tuple(job for job in missing if job in SERVICES),
    )


async def _alertmanager_known(context: Context) -> Finding:
    known, targets = await asyncio.gather(
        context.prometheus.alertmanagers(), context.prometheus.targets()
    )
    # Without alerts nothing is sent, so a wrong address shows nowhere else. The scraped address is known to be right.
    scraped = {one.address for one in targets if one.job == "alertmanager" and one.health == "up"}
    addresses = {urlsplit(url).netloc for url in known}
    return Finding(
        bool(addresses & scraped),
        "Prometheus sends alerts to the Alertmanager that it scrapes",
        f"it sends to {', '.join(sorted(addresses)) or 'none'},"
        f" and scrapes {', '.join(sorted(scraped)) or 'none'}",
        "correct `alerting:` in prometheus/prometheus.yml",
    )


async def _notifications(context: Context) -> Finding:
    status, configured = await asyncio.gather(
        context.alertmanager.status(), context.prometheus.configured()
    )
    age = (dt.datetime.now(dt.UTC) - max(status.started, configured)).total_seconds()
    # Nothing can be delivered while either of them starts. On a reload, Prometheus also discovers its Alertmanagers
    # again, and later resends what it dropped in the meantime.
    window = min(_DROPPED_SECONDS, max(1.0, age - _START_SECONDS))
    counters = {what: f"prometheus_notifications_{what}_total" for what in _LOST}
    lost = await _absent(context, counters.values())
    for what, counter in counters.items():
        query = f"sum({grown(counter, window)})"
        # A window shorter than the scrape interval has no value.
        number = sum(sample.value[1] for sample in await context.prometheus.query(query))
        if number > 0:
            lost.append(f"{number:.0f} {_LOST[what]}")
    return Finding(
        not lost,
        "every notification of the last five minutes reached Alertmanager, except during a start or reload",
        ", ".join(lost) or "none dropped, no errors",
        "stackctl verify prometheus.alertmanager",
    )


async def _absent(context: Context, metrics: Iterable[str]) -> list[str]:
    """Return a message for each metric without series, because a missing counter must not be taken for zero."""
    metrics = tuple(metrics)
    answers = await asyncio.gather(*(context.prometheus.query(metric) for metric in metrics))
    return [
        f"Prometheus has no {metric}"
        for metric, samples in zip(metrics, answers, strict=True)
        if not samples
    ]


async def _probes(context: Context) -> Finding:
    wanted = "every probe of the blackbox exporter succeeds"
    samples, targets, configs = await asyncio.gather(
        context.prometheus.query("probe_success"),
        context.prometheus.targets(),
        context.prometheus.scrape_configs(),
    )
    # A probe's instance is the address that it probes.
    expected = {
        (target.job, target.instance)
        for target in targets
        if target.scrape_url.partition("?")[0].endswith("/probe")
    } | {
        (config.job_name, address)
        for config in configs
        if config.metrics_path == "/probe"
        for address in config.static_targets
    }
    if not expected and not samples:
        return skipped(wanted, "no probe is configured")
    probed = {(one.metric.get("job"), one.metric.get("instance")) for one in samples}
    failed = [sample.metric for sample in samples if sample.value[1] != 1]
    silent = [
        f"{job} of {instance} has no result yet" for job, instance in sorted(expected - probed)
    ]
    return Finding(
        not failed and not silent,
        wanted,
        ", ".join(
            [*(f"{one.get('job')} of {one.get('instance')} fails" for one in failed), *silent]
        )
        or f"{len(samples)} probes succeed",
        f"stackctl logs {failed[0].get('service')}"
        if failed and failed[0].get("service") in SERVICES
        else "stackctl logs blackbox-exporter",
        blames=tuple(
            service for one in failed for service in [one.get("service", "")] if service in SERVICES
        ),
    )


async def _scrape_durations(context: Context) -> Finding:
    targets = await context.prometheus.targets()
    slow = [
        target
        for target in targets
        if target.last_scrape_duration > _SCRAPE_SHARE * target.scrape_interval
    ]
    unknown = [target.job for target in targets if target.health == "unknown"]
    longest = max(targets, key=lambda one: one.last_scrape_duration, default=None)
    return Finding(
        bool(targets) and not slow and not unknown,
        f"every scrape takes less than {_SCRAPE_SHARE:.0%} of its interval",
        "; ".join(
            [
                *(
                    f"{one.job} {one.last_scrape_duration:.2f} s"
                    f" of {format_duration(one.scrape_interval)}"
                    for one in slow
                ),
                *(f"{job} is not scraped yet" for job in unknown),
            ]
        )
        or (f"longest: {longest.job}, {longest.last_scrape_duration:.3f} s" if longest else "none"),
        _logs_of(slow[0].job, slow, context) if slow else "stackctl logs prometheus",
    )


async def _storage(context: Context) -> Finding:
    problems = await _absent(context, _STORAGE_FAILURES)
    for metric in _STORAGE_FAILURES:
        failures = sum(sample.value[1] for sample in await context.prometheus.query(metric))
        if failures:
            problems.append(f"{metric} is {failures:.0f}")
    series = sum(sample.value[1] for sample in await context.prometheus.query(_HEAD_SERIES))
    if not series:
        problems.append("the head has no series")
    return Finding(
        not problems,
        "the write-ahead log was replayed, nothing is corrupt and no compaction failed",
        "; ".join(problems) or f"{series:.0f} series in the head",
        "stackctl logs prometheus; if the data is damaged, restore a backup",
    )


async def _clocks(context: Context) -> Finding:
    clients: tuple[HttpClient, ...] = (
        context.prometheus,
        context.alertmanager,
        context.loki,
        context.grafana,
    )
    skews = await asyncio.gather(*(client.clock_skew() for client in clients))
    # The Date header of a response has a resolution of a second.
    off = {
        client.service: skew
        for client, skew in zip(clients, skews, strict=True)
        if abs(skew) > _CLOCK_SECONDS
    }
    return Finding(
        not off,
        f"all clocks agree within {_CLOCK_SECONDS:g} s",
        ", ".join(f"{name} is off by {skew:+.0f} s" for name, skew in off.items())
        or f"{len(clients)} clocks agree with this machine's",
        "restart Docker: the clock of its virtual machine stops while a laptop sleeps",
    )


_PLAN = "9.1 Prometheus Verification: "

CHECKS = (
    Check(
        "prometheus.ready",
        "Prometheus is ready",
        "beyond the plan",
        "prometheus",
        _ready,
    ),
    Check(
        "prometheus.targets",
        "Prometheus targets are up",
        _PLAN + "Check Prometheus targets",
        "prometheus",
        _expected_targets,
    ),
    Check(
        "prometheus.other-targets",
        "No other target is down",
        "beyond the plan",
        "prometheus",
        _other_targets,
    ),
    Check(
        "prometheus.rules",
        "Rule groups are loaded",
        _PLAN + "Check alert rules",
        "prometheus",
        _rule_groups,
    ),
    Check(
        "prometheus.rule-health",
        "Rules evaluate without errors",
        "beyond the plan",
        "prometheus",
        _rule_health,
    ),
    Check(
        "prometheus.query",
        "A sample query works",
        _PLAN + "Query sample metric",
        "prometheus",
        _sample_metric,
    ),
    Check(
        "prometheus.alertmanager",
        "Prometheus sends alerts to Alertmanager",
        "beyond the plan",
        "prometheus",
        _alertmanager_known,
    ),
    Check(
        "prometheus.notifications",
        "No notifications are dropped",
        "beyond the plan",
        "prometheus",
        _notifications,
    ),
    Check(
        "prometheus.probes",
        "Probes succeed",
        "beyond the plan",
        "blackbox-exporter",
        _probes,
    ),
    Check(
        "prometheus.scrapes",
        "Scrapes are fast",
        "beyond the plan",
        "prometheus",
        _scrape_durations,
    ),
    Check(
        "prometheus.storage",
        "Storage is intact",
        "beyond the plan",
        "prometheus",
        _storage,
    ),
    Check("prometheus.clocks", "Clocks agree", "beyond the plan", "prometheus", _clocks),
)
