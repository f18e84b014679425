"""Which release or image set would open existing data on the next `up`, and whether that data survives."""

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
    """A data volume that would be opened by a different release or image set than the one that last wrote it."""

    service: str
    volume: str
    """Its name in the engine."""
    data: Data
    before: Writer
    after: Writer
    step: Step
    of_demo: bool
    """Whether only the demo uses it."""

    @property
    def loses(self) -> bool:
        """Return whether the data would be lost."""
        return self.step in {"back", "across"}


def moves(
    services: Iterable[Service],
    project: str,
    volumes: Collection[str],
    before: Mapping[str, Writer],
    after: Mapping[str, str],
) -> tuple[Move, ...]:
    """Return the services' data volumes that would be opened by a different release or image set than before.

    `volumes` are the names of the existing volumes; `before` maps a volume's key to its last writer; `after` maps a
    service to the image to start. Volumes with an unknown writer are left out.
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
    """Return the last writer of each of the services' volumes, by the volume's key.

    Without a record, as after an older stackctl, it is the image that the last `up` chose. `started` maps a service to
    the image of its started container: a killed `up` leaves containers that are newer than the record.
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
    """Return the program that would write each of the services' volumes, by the volume's key."""
    return {
        service.data.volume: writers.writer(images[service.name])
        for service in services
        if service.data is not None and service.name in images
    }


def refuse(found: Sequence[Move], previous: ProjectState, settings: Settings) -> None:
    """Raise StackctlError, with the ways to continue, if data other than the demo's would become unreadable."""
    lost = [one for one in found if one.loses and not one.of_demo]
    if not lost:
        return
    said = "; ".join(
        f"{one.volume} contains the {one.data.content} of {one.before}, which {one.after} cannot open"
        for one in lost
    )
    ways = (
        "to start without it, save it with `stackctl backup FILE` and run `stackctl down --volumes`"
    )
    raise StackctlError(
        f"existing data would be lost: {said}",
        remedy=f"{_way_to_keep(lost, previous, settings)}{ways}",
    )


def _way_to_keep(lost: Sequence[Move], previous: ProjectState, settings: Settings) -> str:
    """Return the start of a remedy: how to keep using the programs that wrote the data; empty if unknown."""
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
    return f"to keep it, run `stackctl up {' '.join(options)}`; " if options else ""


def record(project: Project, services: Iterable[Service], images: Mapping[str, str]) -> None:
    """Record which programs write the services' volumes; `images` maps a service to its container's image."""
    writers.record(project.state, _writers(services, images))
