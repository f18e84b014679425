"""Runs the checklist: all checks concurrently, each retried until it passes or its time is up."""

from __future__ import annotations

import asyncio
import datetime as dt
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from http import HTTPStatus
from typing import Literal

from stackctl.clients.base import Exchange, exchanges
from stackctl.errors import ServiceError, StackctlError, UsageError
from stackctl.util.suggest import nearest
from stackctl.verify import (
    alertmanager,
    applications,
    container_metrics,
    dashboards,
    drills,
    end_to_end,
    gateway,
    grafana,
    loki,
    notifications,
    prometheus,
)
from stackctl.verify.model import Check, Context, Finding, Obstacle, Report, Result
from stackctl.verify.standing import Containers

CHECKS: tuple[Check, ...] = (
    *prometheus.CHECKS,
    *container_metrics.CHECKS,
    *applications.CHECKS,
    *gateway.CHECKS,
    *grafana.CHECKS,
    *loki.CHECKS,
    *alertmanager.CHECKS,
    *drills.CHECKS[:1],
    *notifications.CHECKS,
    *dashboards.CHECKS,
    *end_to_end.CHECKS,
    *drills.CHECKS[1:],
)
SECTIONS: tuple[str, ...] = tuple(dict.fromkeys(check.section for check in CHECKS))

_PAUSE = 0.5
_AT_ONCE = 32
_FINAL = frozenset(
    {
        HTTPStatus.BAD_REQUEST,
        HTTPStatus.UNAUTHORIZED,
        HTTPStatus.FORBIDDEN,
        HTTPStatus.NOT_FOUND,
        HTTPStatus.METHOD_NOT_ALLOWED,
    }
)
"""Statuses that a retry will not change."""
_NEXT: dict[Obstacle, str] = {
    "not running": "`stackctl status` shows what is running, `stackctl up` starts the rest",
    "still starting": "run `stackctl verify` again in a moment",
}


def select(names: Iterable[str], *, slow: bool = False, drill: bool = False) -> tuple[Check, ...]:
    """Return the checks of these sections or IDs, in checklist order; all of them if no names are given.

    Slow checks are only included by name, by section or with `slow`; drills only by ID or with `drill`.

    Raises UsageError for an unknown name, with the nearest known one.
    """
    selected = set(names)
    known = {*SECTIONS, *(check.id for check in CHECKS)}
    for name in sorted(selected - known):
        raise UsageError(f"unknown section or check {name!r}", remedy=nearest(name, sorted(known)))
    return tuple(
        check
        for check in CHECKS
        if check.id in selected
        or (check.section in selected and (drill or not check.drill))
        or (not selected and (slow or not check.slow) and (drill or not check.drill))
    )


async def run(
    checks: tuple[Check, ...],
    context: Context,
    *,
    project: str,
    images: Literal["upstream", "local"] | None,
    standins: Mapping[str, bool],
    timeout: float,
    finished: Callable[[Result], None],
) -> Report:
    """Run the checks and return the report.

    A check that fails or has too little data is retried for up to `timeout` seconds, because a stack that has just
    started needs a scrape or two; not if it must not be retried, or a retry cannot change the finding. `standins` says
    for each service whether it is a stand-in; `finished` is called with each result.
    """
    started = dt.datetime.now(dt.UTC)
    began = time.monotonic()
    room = asyncio.Semaphore(_AT_ONCE)
    containers = Containers(context.containers)

    async def one(check: Check) -> Result:
        asked = time.monotonic()
        while True:
            notes: list[Exchange] = []
            exchanges.set(notes)
            async with room:
                finding = await _ask(check, context, containers)
            seconds = time.monotonic() - asked
            left = timeout - seconds - _PAUSE
            if check.once or left < 0 or not finding.may_change_within(left):
                standin = standins.get(check.service, False)
                result = Result(check, finding, seconds, standin, tuple(notes))
                finished(result)
                return result
            await asyncio.sleep(_PAUSE)

    # Drills run last, because they would make other checks fail; they do not affect one another.
    harmless = await asyncio.gather(*(one(check) for check in checks if not check.drill))
    drilled = await asyncio.gather(*(one(check) for check in checks if check.drill))
    found = {result.check.id: result for result in (*harmless, *drilled)}
    results = [found[check.id] for check in checks]
    seconds = time.monotonic() - began
    return Report(
        project, images, started, seconds, tuple(results), tuple(context.drills.timelines)
    )


async def _ask(check: Check, context: Context, containers: Containers) -> Finding:
    silent = False
    try:
        finding = await check.run(context)
    except ServiceError as error:
        silent = error.status is None or error.status >= HTTPStatus.INTERNAL_SERVER_ERROR
        finding = Finding(
            False,
            check.title,
            error.message,
            error.remedy or f"stackctl logs {error.service}",
            final=error.status in _FINAL,
            blames=(error.service,),
        )
    except StackctlError as error:
        finding = Finding(
            False, check.title, error.message, error.remedy or f"stackctl logs {check.service}"
        )
    except Exception as error:  # noqa: BLE001 - a bug in one check must not hide the results of the others
        return Finding(
            False,
            check.title,
            f"the check itself failed: {type(error).__name__}: {error}",
            "please report this, together with the response of the service",
            final=True,
        )
    if finding.ok or finding.final or finding.obstacle:
        return finding
    services = finding.blames or (check.service,)
    found = await containers.obstacle(services, silent=silent)
    if found is None:
        unhealthy = await containers.failed_checks(services)
        observed = f"{finding.observed} ({unhealthy})" if unhealthy else finding.observed
        return replace(finding, observed=observed)
    obstacle, reason = found
    return replace(
        finding,
        obstacle=obstacle,
        observed=f"{reason} ({finding.observed})",
        next_step=_NEXT[obstacle],
        final=obstacle == "not running",
    )
