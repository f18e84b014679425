"""The volumes in a backup, with their names and labels in a project."""

from __future__ import annotations

from collections.abc import Mapping

from stackctl.docker.models import PROJECT_LABEL
from stackctl.images import sets
from stackctl.project.project import Project
from stackctl.services import catalog

SERVICES: Mapping[str, str] = {
    one.data.volume: one.name
    for one in reversed(tuple(catalog.SERVICES.values()))
    if one.data and one.data.in_backup
}
"""Volume → the service that writes it. The largest, Prometheus', is copied last."""


def full_name(project: str, volume: str) -> str:
    """Return the name that Compose gives a volume in the engine."""
    return f"{project}_{volume}"


def labels(project: str, volume: str, compose: str) -> dict[str, str]:
    """Return the labels by which Compose recognizes its volumes; `compose` is its version."""
    return {
        PROJECT_LABEL: project,
        "com.docker.compose.volume": volume,
        "com.docker.compose.version": compose,
    }


def trial_name(project: str, volume: str) -> str:
    """Return the name of the temporary volume with which a restore tests that the engine accepts all data."""
    return f"{project}_{volume}-trial"


def image_of(project: Project, service: str) -> str:
    """Return the image that the project uses for a service, from its settings and its image set."""
    state = project.choices
    return sets.references(project.settings, state.images, state.releases)[service]
