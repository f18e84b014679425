"""Section 9.1 of the plan: targets, rules, a query."""

from __future__ import annotations

from stackctl.verify.model import Check, Context, Finding


async def _ready(context: Context) -> Finding:
    await context.prometheus.ready()
    version = (await context.prometheus.build_info()).version
    return Finding(True, "ready", f"ready, version {version}")


async def _expected_targets(context: Context) -> Finding:
    wanted = context.expected_jobs
    states = dict.fromkeys(wanted, "no target")
    for target in await context.prometheus.targets():
        # One target of a job that is down is not hidden by another that is up.
        if target.job in states and not states[target.job].startswith("down"):
            down = target.health == "down"
            states[target.job] = f"down ({target.last_error})" if down else target.health
    wrong = {job: state for job, state in states.items() if state != "up"}
    seen = ", ".join(f"{job}: {state}" for job, state in wrong.items())
    return Finding(
        not wrong,
        f"{len(wanted)} jobs up: {', '.join(wanted)}",
        seen or f"{len(wanted)} jobs up",
        f"stackctl logs {next(iter(wrong))}" if wrong else "",
    )


async def _other_targets(context: Context) -> Finding:
    targets = await context.prometheus.targets()
    down = [
        target
        for target in targets
        if target.health != "up" and target.job not in context.expected_jobs
    ]
    seen = "; ".join(f"{one.job} {one.instance} {one.health}: {one.last_error}" for one in down)
    return Finding(
        not down,
        "no other target down",
        seen or f"{len(targets)} targets, all up",
        f"open {context.prometheus.base_url}/targets" if down else "",
    )


async def _rule_groups(context: Context) -> Finding:
    groups = await context.prometheus.rule_groups()
    names = [group.name for group in groups]
    return Finding(
        bool(names),
        "at least one rule group loaded",
        f"{len(names)} groups: {', '.join(names)}" if names else "none",
        "stackctl logs prometheus, and look for rule files that it could not read",
    )


async def _rule_health(context: Context) -> Finding:
    rules = [rule for group in await context.prometheus.rule_groups() for rule in group.rules]
    wrong = [rule for rule in rules if rule.health not in {"ok", "unknown"}]
    return Finding(
        bool(rules) and not wrong,
        "every rule evaluates without an error",
        "; ".join(f"{rule.name}: {rule.last_error}" for rule in wrong)
        or f"{len(rules)} rules without an error",
        f"correct {wrong[0].name}: {wrong[0].query}" if wrong else "stackctl logs prometheus",
    )


async def _sample_metric(context: Context) -> Finding:
    samples = {
        sample.metric.get("job"): sample.value[1] for sample in await context.prometheus.query("up")
    }
    missing = [job for job in context.expected_jobs if samples.get(job) != 1]
    return Finding(
        not missing,
        "query=up gives 1 for every expected job",
        f"not for {', '.join(missing)}"
        if missing
        else f"{len(samples)} jobs answer, the expected ones with 1",
        f"open {context.prometheus.base_url}/graph?g0.expr=up" if missing else "",
    )


async def _alertmanager_known(context: Context) -> Finding:
    known = await context.prometheus.alertmanagers()
    return Finding(
        bool(known),
        "Prometheus sends to an Alertmanager",
        ", ".join(known) or "it knows none",
        "look at `alerting:` in prometheus.yml, then stackctl logs prometheus",
    )


async def _notifications(context: Context) -> Finding:
    samples = await context.prometheus.query("increase(prometheus_notifications_dropped_total[5m])")
    dropped = sum(sample.value[1] for sample in samples)
    return Finding(
        dropped == 0,
        "no notification dropped in the last five minutes",
        f"{dropped:.0f} dropped" if dropped else "none dropped",
        "stackctl logs alertmanager",
    )


_PLAN = "9.1 Prometheus Verification: "

CHECKS = (
    Check(
        "prometheus.ready",
        "Prometheus is ready",
        _PLAN + "before the first step",
        "prometheus",
        _ready,
    ),
    Check(
        "prometheus.targets",
        "All expected jobs are up",
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
        "No rule has an error",
        "beyond the plan",
        "prometheus",
        _rule_health,
    ),
    Check(
        "prometheus.query",
        "A sample metric can be queried",
        _PLAN + "Query sample metric",
        "prometheus",
        _sample_metric,
    ),
    Check(
        "prometheus.alertmanager",
        "Prometheus knows Alertmanager",
        "beyond the plan",
        "prometheus",
        _alertmanager_known,
    ),
    Check(
        "prometheus.notifications",
        "No notification is dropped",
        "beyond the plan",
        "prometheus",
        _notifications,
    ),
)
