"""Every panel of every dashboard has data, asked as the panel asks it, with the variables' defaults."""

from __future__ import annotations

import datetime as dt
import functools

from stackctl.snapshot import dashboard as dashboards
from stackctl.snapshot import queries, timerange
from stackctl.snapshot.dashboard import Appearance, Panel
from stackctl.snapshot.queries import Answer
from stackctl.stack import bundle
from stackctl.verify.model import Check, Context, Finding

_RANGE = "now-15m"


async def _panels(name: str, context: Context) -> Finding:
    if context.log_job is None:
        return Finding(True, "data in every panel", "not asked: no application runs")
    if name not in context.expected_dashboards:
        return Finding(True, "data in every panel", "not asked: it is left out, with what it shows")
    dashboard = dashboards.load(name, context.dashboards)
    times = timerange.parse(_RANGE, "now", dt.datetime.now(dt.UTC))
    answers = await queries.ask(dashboard, times, context.prometheus, context.loki)
    asked = [pair for pair in zip(dashboard.panels, answers, strict=True) if pair[0].targets]
    wrong = [_describe(panel, answer) for panel, answer in asked if not _has_data(panel, answer)]
    return Finding(
        bool(asked) and not wrong,
        f"data in every panel of {dashboard.title}",
        "; ".join(wrong) or f"{len(asked)} panels with data",
        f"stackctl snapshot {name}, and look at the empty panels' queries",
    )


def _has_data(panel: Panel, answer: Answer) -> bool:
    """Tell whether a panel shows something; one that has a text of its own for no data may have none."""
    if answer.failure is not None:
        return False
    return not answer.empty or panel.appearance().no_value != Appearance().no_value


def _describe(panel: Panel, answer: Answer) -> str:
    query = " ".join(next(iter(answer.expressions.values())).split())
    return f"{panel.title}: {answer.failure or 'no data'} ({query})"


CHECKS = tuple(
    Check(
        f"dashboards.{name}",
        f"Every panel has data: {name}",
        "9.5 End-to-End Test: View in Grafana dashboard",
        "grafana",
        functools.partial(_panels, name),
        slow=True,
    )
    for name in bundle.dashboards()
)
