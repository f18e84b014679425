"""Whether cAdvisor has metrics of every container: it can be up and have none."""

from __future__ import annotations

import asyncio

from stackctl.project import container_metrics
from stackctl.services.catalog import ContainerSeries
from stackctl.verify.model import Check, Context, Finding, skipped

_SERVICE = "cadvisor"
_EXPECTED = "cAdvisor has metrics of every container of the stack"
_METRIC = ContainerSeries().metric


async def _seen(context: Context) -> Finding:
    if context.unseen is not None:
        return skipped(_EXPECTED, container_metrics.reason(context.unseen)[0])
    samples, containers = await asyncio.gather(
        # A series without its own timestamps ends with the first scrape that lacks it.
        context.prometheus.query(f'{_METRIC}{{job="{_SERVICE}",name!=""}}'),
        asyncio.to_thread(context.containers),
    )
    seen = {sample.metric.get("name") for sample in samples}
    if not seen:
        return Finding(
            False,
            _EXPECTED,
            "it is up, but has no metrics of containers",
            await asyncio.to_thread(context.remedy_for_unseen),
            blames=(_SERVICE,),
        )
    missing = sorted(
        service
        for service, state in containers.items()
        if state.running and not state.attached and state.name not in seen
    )
    return Finding(
        not missing,
        _EXPECTED,
        f"no metrics of {', '.join(missing)}" if missing else f"{len(seen)} containers",
        f"stackctl logs {_SERVICE}",
        blames=(_SERVICE,),
    )


CHECKS = (
    Check(
        "prometheus.containers",
        "Containers have metrics",
        "beyond the plan",
        _SERVICE,
        _seen,
    ),
)
