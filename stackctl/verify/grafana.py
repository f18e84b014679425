"""Section 9.2 of the plan: health, data sources, dashboards."""

from __future__ import annotations

import asyncio
import re

from stackctl.clients.grafana_login import REFUSED
from stackctl.errors import ServiceError
from stackctl.verify.model import Check, Context, Finding, skipped

_EXPECTED_SOURCES = ("Prometheus", "Loki")
_HEALTH_BY_UID = (9, 0)
"""The first version with /api/datasources/uid/:uid/health (grafana.com/docs/grafana/v9.0/developers/http_api)."""


def too_old(version: str, minimum: tuple[int, int]) -> bool:
    """Return whether a version, such as 8.5.27 or 10.0.0-pre, is below a minimum; False if it is not a number."""
    found = re.match(r"(\d+)\.(\d+)", version)
    return found is not None and (int(found[1]), int(found[2])) < minimum


async def _health(context: Context) -> Finding:
    health = await context.grafana.health()
    return Finding(
        health.database == "ok",
        "database ok",
        f"database {health.database}, version {health.version}",
        "stackctl logs grafana",
    )


async def _login(context: Context) -> Finding:
    found = await context.grafana.login()
    wanted = "Grafana accepts the admin password"
    if found == "locked":
        return Finding(
            False,
            wanted,
            "the password is right, but the account is locked for up to five minutes after five wrong ones",
            "wait, and update any client that still sends the previous password",
        )
    if found == "refused":
        return Finding(
            False,
            wanted,
            "the password was rejected",
            REFUSED,
            final=True,
        )
    return Finding(True, wanted, "logged in as admin")


async def _sources(context: Context) -> Finding:
    names = [source.name for source in await context.grafana.data_sources()]
    missing = [name for name in _EXPECTED_SOURCES if name not in names]
    return Finding(
        not missing,
        f"data sources {', '.join(_EXPECTED_SOURCES)}",
        f"missing: {', '.join(missing)}" if missing else ", ".join(names),
        "check grafana/provisioning/datasources in the folder that `stackctl render` prints",
    )


async def _source_health(context: Context) -> Finding:
    version = (await context.grafana.health()).version
    if too_old(version, _HEALTH_BY_UID):
        return skipped(
            "Grafana reaches every data source",
            f"the check requires Grafana {'.'.join(map(str, _HEALTH_BY_UID))} or newer, and this is {version}",
        )
    sources = await context.grafana.data_sources()
    answers = await asyncio.gather(
        *(context.grafana.data_source_health(source) for source in sources),
        return_exceptions=True,
    )
    wrong: dict[str, str] = {}
    for source, answer in zip(sources, answers, strict=True):
        if isinstance(answer, ServiceError):
            wrong[source.name] = f"{source.url}: {answer.message}"
        elif isinstance(answer, BaseException):
            raise answer
        elif answer.status != "OK":
            wrong[source.name] = f"{source.url}: {answer.status} {answer.message}"
    return Finding(
        bool(sources) and not wrong,
        "Grafana reaches every data source",
        "; ".join(f"{name} at {why}" for name, why in wrong.items()) or f"{len(sources)} reachable",
        f"correct the address of {next(iter(wrong))} in grafana/provisioning/datasources"
        if wrong
        else "stackctl logs grafana",
    )


async def _dashboards(context: Context) -> Finding:
    found = {dashboard.uid: dashboard.title for dashboard in await context.grafana.search()}
    missing = [uid for uid in context.expected_dashboards if uid not in found]
    return Finding(
        bool(found) and not missing,
        f"dashboards {', '.join(context.expected_dashboards)}",
        f"missing: {', '.join(missing)}" if missing else ", ".join(found.values()) or "none",
        "look for dashboards that it could not read: stackctl logs grafana",
    )


_PLAN = "9.2 Grafana Verification: "

CHECKS = (
    Check(
        "grafana.health", "Grafana is healthy", _PLAN + "Check Grafana health", "grafana", _health
    ),
    Check("grafana.login", "Admin login works", "beyond the plan", "grafana", _login),
    Check(
        "grafana.datasources",
        "Data sources are provisioned",
        _PLAN + "List datasources",
        "grafana",
        _sources,
    ),
    Check(
        "grafana.datasource-health",
        "Grafana reaches its data sources",
        "beyond the plan",
        "grafana",
        _source_health,
    ),
    Check(
        "grafana.dashboards",
        "Dashboards are provisioned",
        _PLAN + "List dashboards",
        "grafana",
        _dashboards,
    ),
)
