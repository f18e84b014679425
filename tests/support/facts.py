"""Facts of a stack that is as it should be, and changes to them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from stackctl.config.load import load
from stackctl.docker.engine import EngineInfo
from stackctl.docker.inventory import Inventory
from stackctl.images.resolve import Decision
from stackctl.lifecycle.plan import Facts, Observed
from stackctl.lifecycle.rehearsal import FileChanges, GrafanaPassword, Rehearsal
from stackctl.project.container_metrics import ContainerMetrics
from stackctl.project.monitored import monitored_services
from stackctl.project.project import ProjectState
from stackctl.render.rendering import Rendering
from stackctl.services import catalog

SERVICES = ("loki", "promtail", "redis", "mongodb")

REHEARSAL = Rehearsal(
    rendering=Rendering(("Slack",), {"PagerDuty": ("ALERTMANAGER_PAGERDUTY_KEY",)}, (), (), ()),
    files=FileChanges(),
    hashes=dict.fromkeys(SERVICES, "hash"),
    dependencies={name: frozenset({"loki"} if name == "promtail" else ()) for name in SERVICES},
    images=dict.fromkeys(SERVICES, "image"),
    stale_volumes=(),
    grafana_password="keep",
    missing=(),
    fingerprint="now",
)


def inspected(
    service: str | None,
    *,
    name: str | None = None,
    project: str = "bot-core",
    hash: str = "hash",  # noqa: A002 - Compose's name
    image: str = "image",
    running: bool = True,
    paused: bool = False,
    compose: str = "2.26.1",
    reference: str = "own/image",
    started: str = "2026-11-29T03:00:00Z",
    **labels: str,
) -> dict[str, Any]:
    """A container as `docker container inspect` describes it; without a service it is not Compose's."""
    if service is not None:
        labels = {
            "com.docker.compose.project": project,
            "com.docker.compose.service": service,
            "com.docker.compose.config-hash": hash,
            "com.docker.compose.image": image,
            "com.docker.compose.version": compose,
        }
    return {
        "Id": f"id-{name or service}",
        "Name": f"/{name or service or 'scratch'}",
        "Config": {"Labels": labels, "Image": reference},
        "State": {"Running": running, "Paused": paused, "StartedAt": started},
    }


def running() -> list[dict[str, Any]]:
    """The containers of the stack."""
    return [inspected(name) for name in SERVICES]


FACTS = Facts(
    project="bot-core",
    state=ProjectState(images="local"),
    services=tuple(catalog.select(SERVICES)),
    monitored=monitored_services(load(environ={}), demo=True),
    findings=(),
    images=Decision("local"),
    info=EngineInfo("26.1.5", "2.26.1", "Debian", 8 * 1024**3, 2, Path("/")),
    metrics=ContainerMetrics(),
    engine=Observed(Inventory("bot-core", running()), frozenset()),
    recorded_copies=False,
    recorded_fingerprint="now",
    fingerprint="now",
)


def rehearsed(
    *,
    containers: Sequence[dict[str, Any]] | None = None,
    volumes: Collection[str] = (),
    images: Decision | None = None,
    recorded_copies: bool = False,
    recorded_fingerprint: str | None = "now",
    down_cut_off: bool = False,
    images_here: Mapping[str, str | None] | None = None,
    files: FileChanges | None = None,
    grafana_password: GrafanaPassword = "keep",  # noqa: S107
    stale_volumes: tuple[str, ...] = (),
    hashes: Mapping[str, str] = REHEARSAL.hashes,
    dependencies: Mapping[str, frozenset[str]] = REHEARSAL.dependencies,
) -> Facts:
    """The facts of a dry run, with these changes."""
    return replace(
        FACTS,
        engine=Observed(
            Inventory("bot-core", running() if containers is None else containers),
            frozenset(volumes),
        ),
        images=images or FACTS.images,
        recorded_copies=recorded_copies,
        recorded_fingerprint=recorded_fingerprint,
        down_cut_off=down_cut_off,
        rehearsal=replace(
            REHEARSAL,
            images=images_here or REHEARSAL.images,
            files=files or FileChanges(),
            grafana_password=grafana_password,
            stale_volumes=stale_volumes,
            hashes=hashes,
            dependencies=dependencies,
        ),
    )
