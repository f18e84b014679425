"""Makes the checks' context of a project."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

from stackctl.clients.alertmanager import AlertmanagerClient
from stackctl.clients.grafana import GrafanaClient
from stackctl.clients.loki import LokiClient
from stackctl.clients.prometheus import PrometheusClient
from stackctl.stack import bundle
from stackctl.stack.project import Project
from stackctl.stack.services import EXPECTED_JOBS, SERVICES
from stackctl.verify.model import Context

_LOG_JOB = "rust-core-engine"


@contextlib.asynccontextmanager
async def open_context(project: Project) -> AsyncIterator[Context]:
    """Open the clients of a project's services, and close them at the end."""
    settings = project.settings
    running = {service.name for service in project.services}
    async with (
        PrometheusClient(settings.url("prometheus")) as prometheus,
        AlertmanagerClient(settings.url("alertmanager")) as alertmanager,
        LokiClient(settings.url("loki")) as loki,
        GrafanaClient(
            settings.url("grafana"), password=project.secrets.get("GRAFANA_PASSWORD")
        ) as grafana,
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
        )


def _dashboards() -> tuple[str, ...]:
    """Give the uids of our dashboards, which are their files' names."""
    folder = bundle.monitoring() / "grafana" / "dashboards"
    return tuple(sorted(path.stem for path in folder.glob("*.json")))
