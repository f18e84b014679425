"""Makes the checks' context of a project."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

from stackctl.chaos.journal import Journal
from stackctl.clients.alertmanager import AlertmanagerClient
from stackctl.clients.grafana import GrafanaClient
from stackctl.clients.loki import LokiClient
from stackctl.clients.prometheus import PrometheusClient
from stackctl.clients.sink import SinkClient
from stackctl.settings import Settings
from stackctl.stack import bundle
from stackctl.stack.project import Project
from stackctl.stack.render import CHANNELS
from stackctl.stack.services import EXPECTED_JOBS, SERVICES
from stackctl.verify.drills import Drills
from stackctl.verify.end_to_end import Load
from stackctl.verify.model import Context

_LOG_JOB = "rust-core-engine"
_SINK_NAMES = {"Slack": "slack", "PagerDuty": "pagerduty", "e-mail": "email"}


@contextlib.asynccontextmanager
async def open_context(project: Project) -> AsyncIterator[Context]:
    """Open the clients of a project's services, and close them at the end."""
    settings = project.settings
    demo = project.choices.demo
    running = {service.name for service in project.services}
    async with (
        PrometheusClient(settings.url("prometheus")) as prometheus,
        AlertmanagerClient(settings.url("alertmanager")) as alertmanager,
        LokiClient(settings.url("loki")) as loki,
        GrafanaClient(
            settings.url("grafana"), password=project.secrets.get("GRAFANA_PASSWORD")
        ) as grafana,
        SinkClient(settings.url("notification-sink")) as sink,
    ):
        yield Context(
            prometheus,
            alertmanager,
            loki,
            grafana,
            expected_jobs=tuple(
                job for job in EXPECTED_JOBS if job in running or job not in SERVICES
            ),
            expected_dashboards=_dashboards(),
            log_job=_LOG_JOB if _LOG_JOB in running else None,
            load=Load(settings.url(_LOG_JOB)) if _LOG_JOB in running else None,
            sink=sink if demo else None,
            real_channels=real_channels(settings),
            drills=Drills(project.engine(), Journal(project.state)),
        )


def real_channels(settings: Settings) -> frozenset[str]:
    """Give the channels that are set up, as the sink names them."""
    return frozenset(
        _SINK_NAMES[channel]
        for channel, (_, names) in CHANNELS.items()
        if all(settings.values[name].text is not None for name in names)
    )


def _dashboards() -> tuple[str, ...]:
    """Give the uids of our dashboards, which are their files' names."""
    folder = bundle.monitoring() / "grafana" / "dashboards"
    return tuple(sorted(path.stem for path in folder.glob("*.json")))
