"""Runs the checklist: all checks at once, each asked again until it holds or the time is over."""

from __future__ import annotations

import asyncio
import datetime as dt
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Literal

from stackctl.clients.base import Exchange, exchanges
from stackctl.errors import StackctlError, UsageError
from stackctl.util.suggest import nearest
from stackctl.verify import (
    alertmanager,
    applications,
    dashboards,
    drills,
    end_to_end,
    gateway,
    grafana,
    loki,
    notifications,
    prometheus,
)
from stackctl.verify.model import Check, Context, Finding, Report, Result

CHECKS: tuple[Check, ...] = (
    *prometheus.CHECKS,
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


def select(names: Iterable[str], *, slow: bool = False, drill: bool = False) -> tuple[Check, ...]:
    """Return the checks of these sections or IDs, in checklist order; without names all of them.

    Slow checks are there only if asked for, by their section's name or `slow`; drills, by their id or `drill`.

    Raises UsageError for an unknown name, with the nearest known one.
    """
    selected = set(names)
    known = {*SECTIONS, *(check.id for check in CHECKS)}
    for name in sorted(selected - known):
        raise UsageError(
            f"there is no section or check {name!r}", remedy=nearest(name, sorted(known))
        )
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

    A check that does not hold, or has too little data, is asked again for `timeout` seconds, unless it is to be asked
    once: a stack that has just come up needs a scrape or two. `standins` tells by service whether a stand-in answers;
    `finished` is called at each result.
    """
    started = dt.datetime.now(dt.UTC)
    began = time.monotonic()
    room = asyncio.Semaphore(_AT_ONCE)

    async def one(check: Check) -> Result:
        asked = time.monotonic()
        while True:
            notes: list[Exchange] = []
            exchanges.set(notes)
            async with room:
                finding = await _ask(check, context)
            seconds = time.monotonic() - asked
            settled = finding.ok and not finding.early
            if settled or check.once or seconds + _PAUSE > timeout:
                standin = standins.get(check.service, False)
                result = Result(check, finding, seconds, standin, tuple(notes))
                finished(result)
                return result
            await asyncio.sleep(_PAUSE)

    # What breaks something comes last, for it would fail the others; the drills do not disturb one another.
    harmless = await asyncio.gather(*(one(check) for check in checks if not check.drill))
    drilled = await asyncio.gather(*(one(check) for check in checks if check.drill))
    found = {result.check.id: result for result in (*harmless, *drilled)}
    results = [found[check.id] for check in checks]
    seconds = time.monotonic() - began
    return Report(
        project, images, started, seconds, tuple(results), tuple(context.drills.timelines)
    )


async def _ask(check: Check, context: Context) -> Finding:
    try:
        return await check.run(context)
    except StackctlError as error:
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
