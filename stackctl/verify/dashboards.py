"""Whether every query of every dashboard returns data, with the variables' defaults.

A panel or query that may be empty has a text for that in the dashboard.
"""

from __future__ import annotations

import datetime as dt
import functools
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from stackctl.util import paths
from stackctl.verify import age
from stackctl.verify.model import Check, Context, Finding, skipped

if TYPE_CHECKING:
    from stackctl.snapshot.dashboard import Panel
    from stackctl.snapshot.queries import Answer

_RANGE = "now-15m"


async def _panels(name: str, context: Context) -> Finding:
    if context.log_job is None:
        return skipped("data for every query", "no application is running")
    if name not in context.expected_dashboards:
        return skipped("data for every query", "nothing that this dashboard shows is monitored")
    # Imported here: a quick `verify` asks none of this.
    from stackctl.snapshot import dashboard as dashboards
    from stackctl.snapshot import queries, timerange

    dashboard = dashboards.load(name, context.dashboards)
    times = timerange.parse(_RANGE, "now", dt.datetime.now(dt.UTC))
    answers = await queries.ask(dashboard, times, context.prometheus, context.loki)
    asked = [pair for pair in zip(dashboard.panels, answers, strict=True) if pair[0].targets]
    wrong = [problem for panel, answer in asked for problem in _wrong(panel, answer)]
    empty = [one for panel, answer in asked for one in _without_data(panel, answer)]
    # Waiting does not help a query that failed.
    if wrong and len(empty) == len(wrong):
        seconds = await age.ready_in(context.prometheus, empty)
        if seconds:
            return Finding(
                False,
                f"data for every query of {dashboard.title}",
                f"the stack has not run for long enough, ready in {_in_words(seconds)}: {'; '.join(wrong)}",
                f"run `stackctl verify dashboards.{name}` again in {_in_words(seconds)}",
                obstacle="too young",
                ready_in=seconds,
            )
    return Finding(
        bool(asked) and not wrong,
        f"data for every query of {dashboard.title}",
        "; ".join(wrong) or _data(asked),
        "run the query in Prometheus, and check its target with `stackctl verify prometheus`",
    )


def _data(asked: Sequence[tuple[Panel, Answer]]) -> str:
    """Return how many panels have data, and which are empty for a known reason."""
    excused = [panel.title for panel, answer in asked if answer.empty]
    counted = f"{len(asked) - len(excused)} panels with data"
    return f"{counted}; expectedly empty: {', '.join(excused)}" if excused else counted


def _wrong(panel: Panel, answer: Answer) -> list[str]:
    """Return a description of each query that lacks data, or of the panel's failed queries."""
    if answer.failure is not None:
        asked = "; ".join(_one_line(expr) for expr in answer.expressions.values())
        return [f"{panel.title}: {answer.failure} ({asked})"]
    return [f"{panel.title}: no data ({_one_line(expr)})" for expr in _without_data(panel, answer)]


def _without_data(panel: Panel, answer: Answer) -> list[str]:
    """Return the queries without data that must have some."""
    if answer.failure is not None:
        return []
    return [
        answer.expressions[ref_id]
        for ref_id in answer.without_data
        if panel.if_empty(ref_id) is None
    ]


def _in_words(seconds: float) -> str:
    """Return a waiting time as text: whole minutes from two minutes on, seconds below."""
    if seconds >= 120:
        return f"{math.ceil(seconds / 60)} min"
    return f"{math.ceil(seconds)} s"


def _one_line(expr: str) -> str:
    return " ".join(expr.split())


CHECKS = tuple(
    Check(
        f"dashboards.{name}",
        f"Every query returns data: {name}",
        "9.5 End-to-End Test: View in Grafana dashboard",
        "grafana",
        functools.partial(_panels, name),
        slow=True,
    )
    for name in paths.dashboards()
)
