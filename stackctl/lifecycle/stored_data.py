"""What an `up` would open the data of earlier releases and other image sets with, and what becomes of that data."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from stackctl.config.settings import Settings
from stackctl.errors import StackctlError
from stackctl.images import sets, writers
from stackctl.images.writers import Step, Writer
from stackctl.project.project import Project, ProjectState
from stackctl.services.catalog import Data, Service, image_variable
from stackctl.services.releases import PLAN, current


@dataclass(frozen=True, slots=True)
class Move:
    """A data volume that another program would open than has written it last."""

    service: str
    volume: str
    """Its name in the engine."""
    data: Data
    before: Writer
    after: Writer
    step: Step
    of_demo: bool
    """Whether nothing but the demo uses it."""

    @property
    def loses(self) -> bool:
        """Return whether the data cannot be kept."""
        return self.step in {"back", "across"}


def moves(
    services: Iterable[Service],
    project: str,
    volumes: Collection[str],
    before: Mapping[str, Writer],
    after: Mapping[str, str],
) -> tuple[Move, ...]:
    """Return the data volumes of the services that another program would open than before.

    `volumes` are those that exist, by their names in the engine; `before` says what they were last written by, by
    their keys; `after` are the images to be started, by service. A volume that nothing is known of is left out.
    """
    found = (
        Move(
            service.name,
            f"{project}_{data.volume}",
            data,
            written,
            opening,
            writers.step(data, written, opening),
            service.profile == "demo",
        )
        for service in services
        if (data := service.data) is not None
        if f"{project}_{data.volume}" in volumes
        if (written := before.get(data.volume)) is not None
        for opening in [writers.writer(after[service.name])]
    )
    return tuple(one for one in found if one.step != "none")


def written_by(
    project: Project, services: Iterable[Service], started: Mapping[str, str]
) -> dict[str, Writer]:
    """Return what each volume of the services was last written by, by its key.

    Where that is not on record, as with the stackctl of before there was one, it is what the last `up` has chosen.
    `started` are the images of the containers that have been started, by service: an `up` that was killed leaves some
    that are newer than the record.
    """
    state = project.choices
    services = list(services)
    found = {**_chosen(project, state, services), **writers.recorded(project.state)}
    for service in services:
        if (data := service.data) is None or service.name not in started:
            continue
        opened = writers.writer(started[service.name])
        before = found.get(data.volume)
        if before is None or writers.step(data, before, opened) in {"forward", "across"}:
            found[data.volume] = opened
    return found


def _chosen(
    project: Project, state: ProjectState, services: Iterable[Service]
) -> dict[str, Writer]:
    if state.images is None:
        return {}
    images = sets.references(project.settings, state.images, state.releases, pins=state.pins)
    return _writers(services, images)


def _writers(services: Iterable[Service], images: Mapping[str, str]) -> dict[str, Writer]:
    """Return what the services' volumes would be written by, by the volume's key; `images` are by service."""
    return {
        service.data.volume: writers.writer(images[service.name])
        for service in services
        if service.data is not None and service.name in images
    }


def refuse(found: Sequence[Move], previous: ProjectState, settings: Settings) -> None:
    """Raise StackctlError where data that is not the demo's could not be read any more, with the ways on."""
    lost = [one for one in found if one.loses and not one.of_demo]
    if not lost:
        return
    said = "; ".join(
        f"{one.volume} has the {one.data.content} of {one.before}, which {one.after} cannot open"
        for one in lost
    )
    ways = "`stackctl backup FILE` saves it, and `stackctl down --volumes` begins without it"
    raise StackctlError(
        f"the data here would be lost: {said}",
        remedy=f"{_way_to_keep(lost, previous, settings)}{ways}",
    )


def _way_to_keep(lost: Sequence[Move], previous: ProjectState, settings: Settings) -> str:
    """Return how the programs that wrote the data go on with it, as the beginning of a remedy; empty if unknown."""
    own = {
        variable: None
        for one in lost
        for variable in [image_variable(one.service)]
        if settings[variable] is not None
    }
    if own:
        return f"correct {' and '.join(own)}, or remove {'it' if len(own) == 1 else 'them'}; "
    options = [f"--images {previous.images}"] if previous.images else []
    options += [
        f"--versions {name}"
        for name, releases in (("plan", PLAN), ("current", current()))
        if previous.images and previous.releases == releases
    ]
    return f"`stackctl up {' '.join(options)}` goes on with it; " if options else ""


def record(project: Project, services: Iterable[Service], images: Mapping[str, str]) -> None:
    """Record what the services' volumes are written by; `images` are those of their containers, by service."""
    writers.record(project.state, _writers(services, images))
