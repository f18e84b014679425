"""Creates the checks' context from a project."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable
from functools import partial

from stackctl.chaos.journal import Journal
from stackctl.clients.alertmanager import AlertmanagerClient
from stackctl.clients.blackbox import BlackboxClient
from stackctl.clients.grafana import GrafanaClient
from stackctl.clients.loki import LokiClient
from stackctl.clients.prometheus import PrometheusClient
from stackctl.clients.sink import SinkClient
from stackctl.config.registry import DEFAULT_RUNBOOKS
from stackctl.config.settings import Settings
from stackctl.project import container_metrics
from stackctl.project.project import Project
from stackctl.project.state import StateFolder
from stackctl.services.applications import WITH_HEALTH, MonitoredServices, Target
from stackctl.services.catalog import EXPECTED_JOBS, log_collector
from stackctl.services.channels import CHANNELS, Channel
from stackctl.verify.drill_runner import DrillRunner
from stackctl.verify.load_runner import LoadRunner
from stackctl.verify.model import Context

_LOADED = "rust-core-engine"
_SHARED_SECONDS = 0.2
"""For how long an answer serves every check that asks the same: less than a check pauses before it is repeated."""


@contextlib.asynccontextmanager
async def open_context(
    project: Project, waiting: Callable[[str, str], None]
) -> AsyncIterator[Context]:
    """Yield the checks' context, with open clients of the project's services.

    `waiting` is called with a service and its alert's state while a drill waits.
    """
    settings = project.settings
    present = project.present()
    talking = next((name for name in WITH_HEALTH if name in present.targets), None)
    async with (
        PrometheusClient(settings.url("prometheus"), shared_seconds=_SHARED_SECONDS) as prometheus,
        AlertmanagerClient(
            settings.url("alertmanager"), shared_seconds=_SHARED_SECONDS
        ) as alertmanager,
        LokiClient(settings.url("loki")) as loki,
        GrafanaClient(
            settings.url("grafana"),
            password=project.secrets.get("GRAFANA_PASSWORD"),
            shared_seconds=_SHARED_SECONDS,
        ) as grafana,
        SinkClient(settings.url("notification-sink")) as sink,
        BlackboxClient(settings.url("blackbox-exporter")) as blackbox,
    ):
        yield Context(
            prometheus,
            alertmanager,
            loki,
            grafana,
            expected_jobs=tuple(job for job in EXPECTED_JOBS if job not in present.left_out),
            left_out=present.left_out,
            expected_dashboards=_dashboards(project.state),
            dashboards=project.state.dashboards,
            log_collector=log_collector(project.choices.releases),
            log_job=talking,
            load=application_load(project, present),
            sink=sink if present.demo else None,
            real_channels=real_channels(settings),
            drills=DrillRunner(
                project.engine(),
                Journal(project.state),
                settings,
                {service.name: service for service in project.services},
                waiting,
            ),
            blackbox=blackbox,
            runbooks=settings["RUNBOOK_BASE_URL"] or DEFAULT_RUNBOOKS,
            containers=project.engine().containers,
            unseen=project.choices.unseen,
            remedy_for_unseen=partial(_remedy_for_unseen, project),
        )


def _remedy_for_unseen(project: Project) -> str:
    """Return what to do if cAdvisor has no metrics of containers. Raises EngineError if the engine does not answer."""
    metrics = project.container_metrics(project.engine(), project.choices)
    return container_metrics.remedy(metrics)


def real_channels(settings: Settings) -> frozenset[str]:
    """Return the keys of the configured channels."""
    return frozenset(channel.key for channel in configured(settings))


def destinations(settings: Settings) -> str:
    """Return a description of the configured channels, to which alerts really go; empty if there are none."""
    return ", ".join(channel.describe(settings) for channel in configured(settings))


def configured(settings: Settings) -> list[Channel]:
    """Return the channels that notify people and have all of their settings."""
    return [
        channel
        for channel in CHANNELS
        if channel.notifies_people and not settings.missing(channel.required)
    ]


def _dashboards(state: StateFolder) -> tuple[str, ...]:
    """Return the uids of the rendered dashboards, which are the names of their files."""
    return tuple(sorted(path.stem for path in state.dashboards.glob("*.json")))


def application_load(project: Project, present: MonitoredServices) -> LoadRunner | None:
    """Return a load for the application that the plan tests; None if this machine cannot reach it."""
    target = present.targets.get(_LOADED)
    if target is None:
        return None
    if present.demo:
        url: str | None = project.settings.url(_LOADED)
    else:
        url = _published(project, target)
    return LoadRunner(url, target, present.health[_LOADED]) if url else None


def _published(project: Project, target: Target) -> str | None:
    """Return the base URL at which this machine reaches bot-core's own container; None if it has none."""
    engine = project.engine()
    container = engine.containers().get(_LOADED)
    published = engine.published(container.id, target.port) if container else None
    if published is None:
        return None
    address, port = published
    return f"http://{project.settings.host_at(address)}:{port}"
