"""Runs the drills of the checks: stops a service and follows its alert until it is resolved."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from stackctl.chaos import drill
from stackctl.chaos.faults import FAULTS, owner_of
from stackctl.chaos.journal import Journal
from stackctl.chaos.steady import require_ready
from stackctl.chaos.timeline import Timeline
from stackctl.clients.alertmanager import AlertmanagerClient
from stackctl.clients.prometheus import PrometheusClient
from stackctl.clients.sink import SinkClient
from stackctl.config.settings import Settings
from stackctl.docker.engine import Engine
from stackctl.services.catalog import Service


@dataclass
class DrillRunner:
    """Runs drills on this machine's engine, and collects their timelines."""

    engine: Engine
    journal: Journal
    settings: Settings
    services: Mapping[str, Service]
    waiting: Callable[[str, str], None] = lambda _service, _state: None
    """Called with a service and the state of its alert while a drill waits for it."""
    timelines: list[Timeline] = field(default_factory=list)

    def refusal(self, service: str) -> str | None:
        """Return why a service must not be stopped: another project owns its container. None if it may be stopped."""
        container = self.engine.containers().get(service)
        if container is None or not container.attached:
            return None
        return f"{service} does not belong to this stack: {owner_of(container)}"

    async def run(
        self,
        service: str,
        alert: str,
        *,
        prometheus: PrometheusClient,
        alertmanager: AlertmanagerClient,
        sink: SinkClient | None,
    ) -> Timeline:
        """Stop a service, follow its alert until it is resolved, and recover the service.

        Without `sink`, delivery is not checked. Raises NotSteady if the service is not ready before the fault,
        StackctlError if the alert does not fire, is not delivered or is not resolved.
        """
        known = self.services.get(service)
        if known is not None:
            await require_ready(self.engine, self.settings, known)
        return await drill.run(
            FAULTS["stop"],
            service,
            alert,
            engine=self.engine,
            journal=self.journal,
            prometheus=prometheus,
            alertmanager=alertmanager,
            sink=sink,
            timeout=None,
            begun=self.timelines.append,
            reached=lambda stage, seconds: self.waiting(service, f"{stage} after {seconds:.1f} s"),
            waiting=lambda state: self.waiting(service, state),
        )
