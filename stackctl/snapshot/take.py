"""Takes a snapshot: loads the dashboard, queries its data and renders the page."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from stackctl.clients.loki import LokiClient
from stackctl.clients.prometheus import PrometheusClient
from stackctl.errors import StackctlError
from stackctl.project.project import Project
from stackctl.project.state import write_atomic
from stackctl.snapshot import dashboard as dashboards
from stackctl.snapshot import page, queries, timerange
from stackctl.snapshot.dashboard import Dashboard
from stackctl.snapshot.queries import Answer
from stackctl.snapshot.timerange import TimeRange
from stackctl.snapshot.views import View, view

_TIMEOUT = 30.0


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A dashboard with its data."""

    project: str
    dashboard: Dashboard
    times: TimeRange
    views: Sequence[View]

    def write(self, path: Path) -> None:
        """Write the page, readable by the user only, because it contains logs. Raises StackctlError if that fails."""
        try:
            write_atomic(path, page.render(self.dashboard, self.views, self.times, self.project))
        except OSError as error:
            raise StackctlError(
                f"cannot write {path}: {error.strerror}", remedy="choose another path with -o"
            ) from None

    def describe(self) -> str:
        """Return a summary: the number of panels, and which of them show nothing."""
        panels = [one for one in self.views if one.panel.type != "row"]
        empty = [one.panel.title for one in panels if one.message and not one.failed]
        failed = [one.panel.title for one in panels if one.failed]
        parts = [f"{len(panels)} panels"]
        parts += [f"no data for {', '.join(empty)}"] if empty else []
        parts += [f"a query failed for {', '.join(failed)}"] if failed else []
        return "; ".join(parts)


def take(project: Project, name: str, *, start: str, end: str, now: dt.datetime) -> Snapshot:
    """Query the running stack for all data of a dashboard between two times, in the formats of `timerange.parse`.

    The dashboard is the one that was rendered for Grafana. Raises UsageError for an unknown dashboard or an invalid
    time, StackctlError if the dashboard was not rendered, ServiceError if Prometheus does not respond.
    """
    dashboard = dashboards.load(name, project.state.dashboards)
    times = timerange.parse(start, end, now)
    answers = asyncio.run(_ask(project, dashboard, times))
    views = [
        view(panel, answer, times) for panel, answer in zip(dashboard.panels, answers, strict=True)
    ]
    return Snapshot(project.name, dashboard, times, views)


async def _ask(project: Project, dashboard: Dashboard, times: TimeRange) -> list[Answer]:
    url = project.settings.url
    async with (
        PrometheusClient(url("prometheus"), timeout=_TIMEOUT) as prometheus,
        LokiClient(url("loki"), timeout=_TIMEOUT) as loki,
    ):
        await prometheus.ready()
        return await queries.ask(dashboard, times, prometheus, loki)
