"""Section 9.4 of the plan: status and active alerts. `verify.drills` contains the test with a firing alert."""

from __future__ import annotations

import asyncio
import datetime as dt

from stackctl.alerts.active import NOBODY
from stackctl.verify.model import Check, Context, Finding
from stackctl.verify.notifications import RECEIVERS, TEST_ALERT

_ALWAYS = "Watchdog"
"""The alert that always fires, which shows that alerts reach Alertmanager."""
_YOUNG_SECONDS = 120.0


async def _status(context: Context) -> Finding:
    await context.alertmanager.ready()
    status = await context.alertmanager.status()
    loaded = bool(status.config.original.strip())
    return Finding(
        loaded,
        "ready with a configuration",
        f"version {status.version_info.version}, up since {status.started:%Y-%m-%d %H:%M:%S %Z}"
        if loaded
        else "no configuration",
        "stackctl logs alertmanager",
    )


async def _active(context: Context) -> Finding:
    alerts, status = await asyncio.gather(
        context.alertmanager.alerts(), context.alertmanager.status()
    )
    wanted = "no critical alert at rest"
    if not alerts:
        # Prometheus resends alerts every minute, and Alertmanager does not keep them over a restart.
        age = (dt.datetime.now(dt.UTC) - status.started).total_seconds()
        young = age < _YOUNG_SECONDS
        return Finding(
            young,
            wanted,
            f"no alerts, not even {_ALWAYS}, which always fires{' soon after a start' if young else ''}",
            "stackctl verify prometheus.rules prometheus.alertmanager",
            early=young,
        )
    # Silenced and inhibited alerts notify nobody; test alerts of `verify notifications` may be active.
    critical = [
        one
        for one in alerts
        if one.labels.get("severity") == "critical"
        and one.status.state != "suppressed"
        and one.labels.get("alertname") != TEST_ALERT
    ]
    names = sorted(
        f"{one.labels.get('alertname')} of {one.labels.get('service', '?')} ({one.status.state})"
        for one in alerts
        if one.labels.get("severity") != NOBODY
    )
    return Finding(
        not critical,
        wanted,
        ", ".join(names) or "no alerts",
        f"open {context.alertmanager.base_url}/#/alerts" if critical else "",
    )


async def _receivers(context: Context) -> Finding:
    names = await context.alertmanager.receivers()
    missing = sorted(RECEIVERS - set(names))
    return Finding(
        not missing,
        "the plan's receivers are loaded",
        f"missing: {', '.join(missing)}" if missing else f"{len(names)} receivers",
        "run `stackctl render` and check alertmanager/alertmanager.yml in the folder that it prints",
    )


_PLAN = "9.4 Alertmanager Verification: "

CHECKS = (
    Check(
        "alertmanager.status",
        "Alertmanager is up and configured",
        _PLAN + "Check Alertmanager status",
        "alertmanager",
        _status,
    ),
    Check(
        "alertmanager.alerts",
        "No critical alert at rest",
        _PLAN + "List active alerts",
        "alertmanager",
        _active,
    ),
    Check(
        "alertmanager.receivers",
        "The plan's receivers are loaded",
        "beyond the plan",
        "alertmanager",
        _receivers,
    ),
)
