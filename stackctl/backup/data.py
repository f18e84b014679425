"""The volumes that a backup has, and what each is called and labelled in a project."""

from __future__ import annotations

from collections.abc import Mapping

from stackctl.docker.models import PROJECT_LABEL
from stackctl.images import sets
from stackctl.project.project import Project
from stackctl.services import catalog

SERVICES: Mapping[str, str] = {
    one.data: one.name for one in reversed(tuple(catalog.SERVICES.values())) if one.data
}
"""Volume of the compose files → the service that writes it. The largest, Prometheus' own, is copied last."""


def full_name(project: str, volume: str) -> str:
    """Return a volume's name in the engine, as Compose makes it."""
    return f"{project}_{volume}"


def labels(project: str, volume: str, compose: str) -> dict[str, str]:
    """Return the labels by which Compose recognizes its own volumes; `compose` is its version."""
    return {
        PROJECT_LABEL: project,
        "com.docker.compose.volume": volume,
        "com.docker.compose.version": compose,
    }


def trial_name(project: str, volume: str) -> str:
    """Return the name of the volume that a restore unpacks into first, to test that the engine accepts all of it."""
    return f"{project}_{volume}-trial"


def image_of(project: Project, service: str) -> str:
    """Return the image that the project uses for a service, from its settings and the image set that `up` chose."""
    state = project.choices
    return sets.references(project.settings, state.images, state.releases)[service]
