"""The steady state: what a service must be before a fault, or the fault would prove nothing."""

from __future__ import annotations

from stackctl.chaos.journal import NotSteady
from stackctl.config.settings import Settings
from stackctl.docker.engine import Engine
from stackctl.readiness import wait
from stackctl.readiness.wait import NotReady
from stackctl.services.catalog import Service

_SECONDS = 15.0
"""A service that has just recovered may still be starting."""


async def require_ready(engine: Engine, settings: Settings, service: Service) -> None:
    """Wait briefly until the service passes its readiness probe. Raises NotSteady if it does not."""
    try:
        await wait.wait([service], engine, settings, timeout=_SECONDS, changed=lambda _: None)
    except NotReady as error:
        raise NotSteady(
            f"{service.name} is not ready before the fault: {error.progress[0].reason}",
            remedy=f"stackctl logs {service.name}; to continue anyway, add --force",
        ) from None
