"""The plan's two test alerts: stop a service; ServiceDown must fire, be delivered and be resolved."""

from __future__ import annotations

import functools

from stackctl.verify.model import Check, Context, Finding, skipped

ALERT = "ServiceDown"


async def _drill(service: str, context: Context) -> Finding:
    if service in context.left_out:
        return skipped(f"{ALERT} of {service}", f"{service} is not monitored")
    refusal = context.drills.refusal(service)
    if refusal is not None:
        return skipped(f"{ALERT} of {service}", refusal)
    timeline = await context.drills.run(
        service,
        ALERT,
        prometheus=context.prometheus,
        alertmanager=context.alertmanager,
        sink=None if context.real_channels else context.sink,
    )
    spans = timeline.spans()
    slow = [span for span in spans if span.slow]
    return Finding(
        not slow,
        f"{ALERT} of {service} fires, is delivered and is resolved within the configured times",
        "; ".join(f"{span.name} {span.describe()}" for span in spans),
        _SLOW_NEXT.get(slow[0].name, "stackctl verify prometheus.rule-health") if slow else "",
    )


_SLOW_NEXT = {
    "to pending": "stackctl verify prometheus.scrapes",
    "to Alertmanager": "stackctl verify prometheus.notifications",
    "to the channel": "stackctl logs alertmanager",
    "to resolved": "stackctl verify prometheus.scrapes",
    "resolution to the channel": "stackctl logs alertmanager",
}
"""Slow span → the next step."""


CHECKS = (
    Check(
        "alertmanager.drill",
        f"{ALERT} of rust-core-engine fires and is resolved",
        "9.4 Alertmanager Verification: Test alert",
        "rust-core-engine",
        functools.partial(_drill, "rust-core-engine"),
        drill=True,
        once=True,
    ),
    Check(
        "end-to-end.drill",
        f"{ALERT} of python-ai-service fires and is resolved",
        "9.5 End-to-End Test: Trigger alert",
        "python-ai-service",
        functools.partial(_drill, "python-ai-service"),
        drill=True,
        once=True,
    ),
)
