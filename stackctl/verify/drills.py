"""The plan's two test alerts: a service is stopped, ServiceDown must fire, reach its channel, and be resolved."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from stackctl.chaos.timeline import Timeline
from stackctl.verify.model import Check, Context, Finding, skipped

if TYPE_CHECKING:
    from stackctl.chaos.journal import Journal
    from stackctl.config.settings import Settings
    from stackctl.docker.engine import Engine
    from stackctl.services.catalog import Service

ALERT = "ServiceDown"


@dataclass
class Drills:
    """What a drill needs of this machine, and the timelines of those that were begun."""

    engine: Engine
    journal: Journal
    settings: Settings
    services: Mapping[str, Service]
    waiting: Callable[[str, str], None] = lambda _service, _state: None
    """Told of a service's alert while a drill waits for it."""
    timelines: list[Timeline] = field(default_factory=list)

    def refusal(self, service: str) -> str | None:
        """Say why a service is not to be stopped: its container is not this stack's. None for one of its own."""
        from stackctl.chaos.faults import whose

        container = self.engine.containers().get(service)
        if container is None or not container.attached:
            return None
        return f"{service} is not this stack's, {whose(container)}"

    async def run(self, service: str, context: Context) -> Timeline:
        """Stop the service, see the alert through, heal.

        Raises NotSteady where it is not ready before, StackctlError where the alert does not do its part.
        """
        from stackctl.chaos import drill
        from stackctl.chaos.faults import FAULTS
        from stackctl.chaos.steady import require_ready

        known = self.services.get(service)
        if known is not None:
            await require_ready(self.engine, self.settings, known)
        return await drill.run(
            FAULTS["stop"],
            service,
            ALERT,
            engine=self.engine,
            journal=self.journal,
            prometheus=context.prometheus,
            alertmanager=context.alertmanager,
            sink=None if context.real_channels else context.sink,
            timeout=None,
            begun=self.timelines.append,
            reached=lambda stage, seconds: self.waiting(service, f"{stage} after {seconds:.1f} s"),
            waiting=lambda state: self.waiting(service, state),
        )


async def _drill(service: str, context: Context) -> Finding:
    if service in context.left_out:
        return skipped(f"{ALERT} of {service}", f"{service} is not there")
    refusal = context.drills.refusal(service)
    if refusal is not None:
        return skipped(f"{ALERT} of {service}", refusal)
    timeline = await context.drills.run(service, context)
    spans = timeline.spans()
    slow = [span for span in spans if span.slow]
    return Finding(
        not slow,
        f"{ALERT} of {service} fires, is told and is resolved, as fast as it is configured",
        "; ".join(f"{span.name} {span.describe()}" for span in spans),
        _SLOW_NEXT.get(slow[0].name, "stackctl verify prometheus.rule-health") if slow else "",
    )


_SLOW_NEXT = {
    "to pending": "stackctl verify prometheus.scrapes",
    "to Alertmanager": "stackctl verify prometheus.notifications",
    "to the channel": "stackctl logs alertmanager",
    "to resolved": "stackctl verify prometheus.scrapes",
    "the end to the channel": "stackctl logs alertmanager",
}
"""Way that took too long → what to look at."""


CHECKS = (
    Check(
        "alertmanager.drill",
        f"{ALERT} of rust-core-engine, there and back",
        "9.4 Alertmanager Verification: Test alert",
        "rust-core-engine",
        functools.partial(_drill, "rust-core-engine"),
        drill=True,
        once=True,
    ),
    Check(
        "end-to-end.drill",
        f"{ALERT} of python-ai-service, there and back",
        "9.5 End-to-End Test: Trigger alert",
        "python-ai-service",
        functools.partial(_drill, "python-ai-service"),
        drill=True,
        once=True,
    ),
)
