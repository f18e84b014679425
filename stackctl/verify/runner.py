"""Runs the checklist: all checks at once, each asked again until it holds or the time is over."""

from __future__ import annotations

import asyncio
import datetime as dt
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Literal

from stackctl.clients.base import Exchange, exchanges
from stackctl.errors import ServiceError, UsageError
from stackctl.settings import nearest
from stackctl.verify import (
    alertmanager,
    dashboards,
    end_to_end,
    grafana,
    loki,
    notifications,
    prometheus,
)
from stackctl.verify.model import Check, Context, Finding, Report, Result

CHECKS: tuple[Check, ...] = (
    *prometheus.CHECKS,
    *grafana.CHECKS,
    *loki.CHECKS,
    *alertmanager.CHECKS,
    *dashboards.CHECKS,
    *notifications.CHECKS,
    *end_to_end.CHECKS,
)
SECTIONS: tuple[str, ...] = tuple(dict.fromkeys(check.section for check in CHECKS))

_PAUSE = 0.5
_AT_ONCE = 32


def select(names: Iterable[str], *, slow: bool = False) -> tuple[Check, ...]:
    """Give the checks of these sections or ids, in the order of the list; without names all, slow ones if asked for.

    Raises UsageError for an unknown name, with the nearest known one.
    """
    wanted = set(names)
    known = {*SECTIONS, *(check.id for check in CHECKS)}
    for name in sorted(wanted - known):
        raise UsageError(
            f"there is no section or check {name!r}", remedy=nearest(name, sorted(known))
        )
    return tuple(
        check
        for check in CHECKS
        if wanted & {check.section, check.id} or (not wanted and (slow or not check.slow))
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
    """Run the checks and give the report.

    A check that does not hold is asked again until `timeout` seconds after the start: a stack that has just come up
    needs a scrape or two. `standins` tells by service whether a stand-in answers; `finished` is called at each result.
    """
    started = dt.datetime.now(dt.UTC)
    began = time.monotonic()
    room = asyncio.Semaphore(_AT_ONCE)

    async def one(check: Check) -> Result:
        while True:
            notes: list[Exchange] = []
            exchanges.set(notes)
            async with room:
                finding = await _ask(check, context)
            seconds = time.monotonic() - began
            if finding.ok or seconds + _PAUSE > timeout:
                standin = standins.get(check.service, False)
                result = Result(check, finding, seconds, standin, tuple(notes))
                finished(result)
                return result
            await asyncio.sleep(_PAUSE)

    results = await asyncio.gather(*map(one, checks))
    return Report(project, images, started, time.monotonic() - began, tuple(results))


async def _ask(check: Check, context: Context) -> Finding:
    try:
        return await check.run(context)
    except ServiceError as error:
        return Finding(
            False, check.title, error.message, error.remedy or f"stackctl logs {check.service}"
        )
    except Exception as error:  # noqa: BLE001 - a bug in one check must not hide the results of the others
        return Finding(
            False,
            check.title,
            f"the check itself failed: {type(error).__name__}: {error}",
            "please report this, with the answer of the service",
        )
