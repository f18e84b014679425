"""Which services of bot-core a stack monitors: the demo's, or those named in the settings."""

from __future__ import annotations

from collections.abc import Iterable

from stackctl.config.settings import Settings
from stackctl.services.applications import (
    APPLICATIONS,
    NONE,
    WITH_HEALTH,
    Application,
    MonitoredServices,
    split,
)


def monitored_services(
    settings: Settings,
    *,
    demo: bool,
    joined: bool = False,
    network: str | None = None,
    projects: Iterable[str] = (),
    container_metrics: bool = True,
) -> MonitoredServices:
    """Return the services of bot-core that a stack monitors.

    With the demo these are all of them, at their addresses in the compose file. Without it they are those named in the
    settings if the stack is `joined` to bot-core, else none. MongoDB is included if its exporter has credentials.
    `container_metrics` is whether cAdvisor can read the engine's containers.
    """
    if demo:
        return MonitoredServices(
            True,
            {one.name: split(one.target) for one in APPLICATIONS.values()},
            {one.name: one.health for one in APPLICATIONS.values() if one.health},
            container_metrics=container_metrics,
        )
    if not joined:
        return MonitoredServices(False, {}, {}, container_metrics=container_metrics)
    given = {one.name: _target(settings, one) for one in APPLICATIONS.values()}
    targets = {name: split(text) for name, text in given.items() if text and text != NONE}
    health = {
        name: settings[APPLICATIONS[name].health_setting] or ""
        for name in WITH_HEALTH
        if name in targets
    }
    return MonitoredServices(
        False, targets, health, network, tuple(sorted(projects)), container_metrics
    )


def _target(settings: Settings, application: Application) -> str | None:
    if application.credentials is None:
        return settings[application.setting]
    known = settings.secret(application.credentials) is not None
    return application.target if known else None
