"""Decides on an image set for `up`, and pulls or builds what is missing of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from stackctl.config.settings import Settings
from stackctl.docker.engine import Engine
from stackctl.errors import EngineError
from stackctl.images import replacements
from stackctl.images.build import RECORD, build, build_demo, outdated
from stackctl.images.choice import Choice, Resolved
from stackctl.images.sets import catalogue, pinned, reference, references, variables
from stackctl.project import state
from stackctl.project.project import ProjectState
from stackctl.services.catalog import SetName
from stackctl.services.releases import PLAN, Releases

if TYPE_CHECKING:
    from stackctl.images.lockfile import Lock


@dataclass(frozen=True, slots=True)
class Decision:
    """The image set that `up` will use, why, and which images are missing for it. Nothing is pulled or built yet."""

    set: SetName
    reason: str | None = None
    pull: tuple[str, ...] = ()
    """References to pull, those that the settings name first."""
    build: tuple[str, ...] = ()
    """References to build."""
    falls_back: bool = False
    """Whether the local set is used instead if no upstream image can be pulled."""
    replaces: bool = False
    """Whether a local image is used in the place of a single upstream one that cannot be pulled or built."""
    pins: Mapping[str, str] = field(default_factory=dict)
    """Reference → the digest that it is locked to, or the local image in its place."""
    own: Mapping[str, str] = field(default_factory=dict)
    """Those of `pull` that a setting names → the setting. They are pulled for any set."""
    releases: Releases = PLAN
    """Which release of each image it is."""


def resolve(
    engine: Engine,
    settings: Settings,
    *,
    choice: Choice,
    previous: SetName | None,
    releases: Releases,
    demo: bool,
    progress: Callable[[str], None],
    lock: Lock | None = None,
    previous_pins: Mapping[str, str] = {},
) -> Resolved:
    """Decide on an image set and get its images: `decide`, then `obtain`, with the errors of both."""
    decision = decide(
        engine,
        settings,
        choice=choice,
        previous=previous,
        releases=releases,
        demo=demo,
        lock=lock,
        previous_pins=previous_pins,
    )
    return obtain(engine, settings, decision, demo=demo, progress=progress, lock=lock)


def decide(
    engine: Engine,
    settings: Settings,
    *,
    choice: Choice,
    previous: SetName | None,
    releases: Releases,
    demo: bool,
    lock: Lock | None = None,
    previous_pins: Mapping[str, str] = {},
) -> Decision:
    """Decide on an image set, without changing anything.

    `auto` keeps the set that the project runs on (`previous`), so that its volumes are not opened by other versions;
    without one it takes the set that stackctl.lock has. Without a lock either it takes upstream where its images are
    present, the local set where that was loaded from a bundle, upstream where a registry gives it and our own image of
    it can be built, and else the local set, which is built where it is not there yet. It keeps local images that are in
    the place of upstream ones, too (`previous_pins`). Raises StackctlError where what is here is not what is locked.
    """
    settled = choice if choice != "auto" else previous or (lock.set if lock else None)
    pins: dict[str, str] = {}
    if lock is not None and settled is not None:
        for problem in lock.problems(engine, settings, settled, releases, demo=demo):
            raise problem
        pins = lock.pins(engine, settings, releases, demo=demo)
    own = _missing_own(engine, settings, releases, pins, demo=demo)
    if settled == "local":
        reason = _kept_reason() if choice == "auto" and previous else None
        # Locked images are here already, and what is built anew would have other IDs.
        build = () if lock is not None else _missing_local(engine, releases)
        return Decision("local", reason, tuple(own), build, pins=pins, own=own, releases=releases)
    replaces = choice == "auto" and lock is None
    if replaces:
        pins = replacements.kept(settings, releases, previous_pins)
    missing = [
        one
        for image in catalogue(releases, demo=demo)
        if not image.built_here
        for one in [pinned(reference(image, settings, "upstream"), pins)]
        if one not in {*own, *pins.values()} and engine.image_id(one) is None
    ]
    if (
        missing
        and settled is None
        and state.read_shared_json(RECORD).get("loaded")
        and not outdated(engine, releases)
    ):
        reason = "using the local image set, which was loaded from a bundle"
        return Decision("local", reason, tuple(own), own=own, releases=releases)
    local = (
        [one for one in _missing_local(engine, releases) if one in pins.values()] if pins else []
    )
    return Decision(
        "upstream",
        replacements.reason(pins),
        pull=(*own, *missing),
        build=(*(_missing_demo(engine, settings, own, pins) if demo else ()), *local),
        falls_back=settled is None,
        replaces=replaces,
        pins=pins,
        own=own,
        releases=releases,
    )


def obtain(
    engine: Engine,
    settings: Settings,
    decision: Decision,
    *,
    demo: bool,
    progress: Callable[[str], None],
    lock: Lock | None = None,
) -> Resolved:
    """Pull and build what a decision found missing.

    Raises EngineError where the chosen set cannot be had, StackctlError where what was pulled is not what is locked.
    """
    releases = decision.releases
    for one, setting in decision.own.items():
        _pull_own(engine, settings, one, setting, progress)
    if decision.set == "local":
        return _local(engine, settings, decision, progress, demo=demo)
    missing = [one for one in decision.pull if one not in decision.own]
    most = len(catalogue(releases, demo=demo)) // 2
    failures = _pull(engine, decision, missing, most, progress)
    if decision.falls_back and len(failures) > most:
        reason = (
            f"no registry gives {next(iter(failures))}: using the local image set, built from"
            " Debian's packages"
        )
        fallback = Decision(
            "local", reason, build=_missing_local(engine, releases), releases=releases
        )
        return _local(engine, settings, fallback, progress, demo=demo)
    if demo:
        failures |= _build_demo(engine, settings, decision, progress)
    replaced = replacements.replace(
        engine,
        settings,
        releases,
        failures,
        progress,
        pins=decision.pins,
        has_run=not decision.falls_back,
    )
    if lock is not None and missing:
        for problem in lock.problems(engine, settings, "upstream", releases, demo=demo):
            raise problem
    pins = {**decision.pins, **replaced}
    chosen = variables(settings, "upstream", releases, demo=demo, pins=pins)
    return Resolved("upstream", chosen, replacements.reason(pins, failures), pins)


def _pull(
    engine: Engine,
    decision: Decision,
    missing: Sequence[str],
    most: int,
    progress: Callable[[str], None],
) -> dict[str, EngineError]:
    """Pull images, and return why those that may be replaced cannot be pulled.

    Where more than `most` are missing and the first is not even refused, nobody waits for the others. Raises
    EngineError where none may be replaced.
    """
    failures: dict[str, EngineError] = {}
    for number, one in enumerate(missing):
        progress(f"pulling {one}")
        try:
            engine.pull(one)
        except EngineError as error:
            if not decision.replaces:
                raise replacements.unavailable(one, error) from None
            failures[one] = error
            if number == 0 and len(missing) > most and not replacements.is_refusal(error):
                return dict.fromkeys(missing, error)
    return failures


def _build_demo(
    engine: Engine, settings: Settings, decision: Decision, progress: Callable[[str], None]
) -> dict[str, EngineError]:
    """Build our own image of the upstream set, and return why it cannot be built, if it may be replaced.

    Raises EngineError where it may not.
    """
    (image,) = (one for one in catalogue(PLAN) if one.built_here)
    name = reference(image, settings, "upstream")
    if name in decision.pins:
        return {}
    try:
        build_demo(engine, settings, progress)
    except EngineError as error:
        if not decision.replaces:
            raise replacements.unavailable(name, error) from None
        return {name: error}
    return {}


def _missing_own(
    engine: Engine, settings: Settings, releases: Releases, pins: Mapping[str, str], *, demo: bool
) -> dict[str, str]:
    """Return the images that the settings name themselves and that are not here → the setting."""
    return {
        taken: image.variable
        for image in catalogue(releases, demo=demo)
        for own in [settings[image.variable]]
        # One of the local set is built.
        if own is not None and own != image.local
        for taken in [pinned(own, pins)]
        if engine.image_id(taken) is None
    }


def _pull_own(
    engine: Engine,
    settings: Settings,
    reference: str,
    setting: str,
    progress: Callable[[str], None],
) -> None:
    """Pull an image that a setting names. Raises EngineError, with the setting's name, if it cannot be pulled."""
    progress(f"pulling {reference}")
    try:
        engine.pull(reference)
    except EngineError as error:
        raise EngineError(
            f"{setting}: {settings[setting]} is not here and cannot be pulled: {error.message}",
            remedy=f"correct {setting}, or remove it",
        ) from None


def _missing_local(engine: Engine, releases: Releases) -> tuple[str, ...]:
    """Return the images of the local set that have to be built."""
    wanted = outdated(engine, releases)
    return tuple(image.local for image in catalogue(releases) if image.name in wanted)


def _missing_demo(
    engine: Engine, settings: Settings, own: Mapping[str, str], pins: Mapping[str, str]
) -> tuple[str, ...]:
    """Return our own image of the upstream set if it has to be built."""
    return tuple(
        taken
        for image in catalogue(PLAN)
        if image.built_here
        for taken in [reference(image, settings, "upstream")]
        if taken not in own and taken not in pins and engine.image_id(taken) is None
    )


def _kept_reason() -> str:
    return "keeping the local image set that this project was started with (--images upstream changes it)"


def _local(
    engine: Engine,
    settings: Settings,
    decision: Decision,
    progress: Callable[[str], None],
    *,
    demo: bool,
) -> Resolved:
    if decision.build:
        build(engine, decision.releases, progress)
    pins = decision.pins
    return Resolved(
        "local",
        variables(settings, "local", decision.releases, demo=demo, pins=pins),
        decision.reason,
        pins,
    )


def present_set(engine: Engine, settings: Settings, releases: Releases, *, demo: bool) -> SetName:
    """Give the set that is here: upstream if all of it is, else local."""
    there = all(
        engine.image_id(reference(image, settings, "upstream")) is not None
        for image in catalogue(releases, demo=demo)
        if not image.built_here
    )
    return "upstream" if there else "local"


def references_in_use(engine: Engine, settings: Settings, project: ProjectState) -> dict[str, str]:
    """Return the image of every service: of the set that the project runs on, or else of the one that is here."""
    used = project.images or present_set(engine, settings, project.releases, demo=project.demo)
    return references(settings, used, project.releases, pins=project.pins)


def inventory(
    engine: Engine, settings: Settings, releases: Releases, lock: Lock | None
) -> list[dict[str, str | bool]]:
    """Give every image of both sets: whether it is here, whether the local one is a stand-in, how it is locked."""
    rows: list[dict[str, str | bool]] = []
    pins = lock.pins(engine, settings, releases) if lock and lock.set == "upstream" else {}
    for image in catalogue(releases):
        upstream = reference(image, settings, "upstream")
        rows.append(
            {
                "name": image.name,
                "release": image.release,
                "upstream": upstream,
                "upstream_present": engine.image_id(pinned(upstream, pins)) is not None,
                "local": image.local,
                "local_present": engine.image_id(image.local) is not None,
                "standin": engine.image_labels(image.local).get("stackctl.standin") == "true",
                "locked": lock.status(engine, settings, image) if lock else "no",
            }
        )
    return rows
