"""Decides on an image set for `up`, and pulls or builds what is missing of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from stackctl.config.settings import Settings
from stackctl.docker.engine import Engine
from stackctl.errors import EngineError
from stackctl.images.build import RECORD, build, build_demo, is_built
from stackctl.images.lockfile import Lock
from stackctl.images.sets import catalogue, pinned, reference, variables
from stackctl.project import state
from stackctl.services.catalog import SetName

Choice = Literal["auto", "upstream", "local"]


@dataclass(frozen=True, slots=True)
class Resolved:
    """The image set in use, the variables that select it, and one line why where that was not asked for."""

    name: SetName
    variables: Mapping[str, str]
    reason: str | None = None
    pins: Mapping[str, str] = field(default_factory=dict)
    """Reference → the digest that it is locked to."""


def resolve(
    engine: Engine,
    settings: Settings,
    *,
    choice: Choice,
    previous: SetName | None,
    demo: bool,
    progress: Callable[[str], None],
    lock: Lock | None = None,
) -> Resolved:
    """Choose an image set, and pull or build what is missing of it.

    Images that the settings name are pulled in any set. `auto` keeps the set that the project runs on (`previous`), so
    that its volumes are not opened by other versions; without one it takes the set that stackctl.lock has. Without a
    lock either it takes upstream where its images are present, the local set where that was loaded from a bundle,
    upstream where a registry gives it and our own image of it can be built, and else the local set, which is built
    where it is not there yet. Raises EngineError where the chosen set cannot be had, StackctlError where what is here
    is not what is locked.
    """
    settled = choice if choice != "auto" else previous or (lock.set if lock else None)
    pins: dict[str, str] = {}
    if lock is not None and settled is not None:
        for problem in lock.problems(engine, settings, settled, demo=demo):
            raise problem
        pins = lock.pins(engine, settings, demo=demo)
    _pull_overrides(engine, settings, pins, progress, demo=demo)
    if settled == "local":
        reason = _kept_reason() if choice == "auto" and previous else None
        return _local(engine, settings, progress, reason, demo=demo, pins=pins, locked=bool(lock))
    wanted = [
        pinned(reference(image, settings, "upstream"), pins)
        for image in catalogue(demo=demo)
        if not image.built_here
    ]
    missing = [reference for reference in wanted if engine.image_id(reference) is None]
    if (
        missing
        and settled is None
        and state.read_shared_json(RECORD).get("loaded")
        and is_built(engine)
    ):
        reason = "using the local image set, which was loaded from a bundle"
        return _local(engine, settings, progress, reason, demo=demo)
    try:
        for one in missing:
            what = f"no registry gives {one}"
            progress(f"pulling {one}")
            engine.pull(one)
        if demo:
            what = "the demo's image cannot be built"
            build_demo(engine, settings, progress)
    except EngineError as error:
        if settled == "upstream":
            raise EngineError(
                f"{what}: {error.message}",
                remedy="check the network, set STACKCTL_REGISTRY_MIRROR (and for the demo"
                " STACKCTL_PYPI_MIRROR), or use --images local",
            ) from None
        reason = f"{what}: using the local image set, built from Debian's packages"
        return _local(engine, settings, progress, reason, demo=demo)
    if lock is not None and missing:
        for problem in lock.problems(engine, settings, "upstream", demo=demo):
            raise problem
    return Resolved("upstream", variables(settings, "upstream", demo=demo, pins=pins), pins=pins)


def _pull_overrides(
    engine: Engine,
    settings: Settings,
    pins: Mapping[str, str],
    progress: Callable[[str], None],
    *,
    demo: bool,
) -> None:
    """Pull the images that the settings name themselves, whatever the set. Raises EngineError where one cannot be."""
    for image in catalogue(demo=demo):
        own = settings[image.variable]
        # One of the local set is built.
        if own is None or own == image.local or engine.image_id(pinned(own, pins)) is not None:
            continue
        progress(f"pulling {pinned(own, pins)}")
        try:
            engine.pull(pinned(own, pins))
        except EngineError as error:
            raise EngineError(
                f"{image.variable}: {own} is not here and cannot be pulled: {error.message}",
                remedy=f"correct {image.variable}, or remove it",
            ) from None


def _kept_reason() -> str:
    return "keeping the local image set that this project was started with (--images upstream changes it)"


def _local(
    engine: Engine,
    settings: Settings,
    progress: Callable[[str], None],
    reason: str | None,
    *,
    demo: bool,
    pins: Mapping[str, str] = {},
    locked: bool = False,
) -> Resolved:
    # Locked images are here already, and a new build would have other IDs.
    if not locked and not is_built(engine):
        build(engine, progress)
    return Resolved("local", variables(settings, "local", demo=demo, pins=pins), reason, pins)


def present_set(engine: Engine, settings: Settings, *, demo: bool) -> SetName:
    """Return the set that is here: upstream if all of it is, else local."""
    there = all(
        engine.image_id(reference(image, settings, "upstream")) is not None
        for image in catalogue(demo=demo)
        if not image.built_here
    )
    return "upstream" if there else "local"


def inventory(engine: Engine, settings: Settings, lock: Lock | None) -> list[dict[str, str | bool]]:
    """Return every image of both sets: whether it is here, whether the local one is a stand-in, how it is locked."""
    rows: list[dict[str, str | bool]] = []
    pins = lock.pins(engine, settings) if lock and lock.set == "upstream" else {}
    for image in catalogue():
        upstream = reference(image, settings, "upstream")
        rows.append(
            {
                "name": image.name,
                "upstream": upstream,
                "upstream_present": engine.image_id(pinned(upstream, pins)) is not None,
                "local": image.local,
                "local_present": engine.image_id(image.local) is not None,
                "standin": engine.image_labels(image.local).get("stackctl.standin") == "true",
                "locked": lock.status(engine, settings, image) if lock else "no",
            }
        )
    return rows
