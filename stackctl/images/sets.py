"""The stack's images and their references in the two sets, upstream and local, in each release."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from stackctl.config.settings import Settings
from stackctl.project.project import ProjectState
from stackctl.services import catalog
from stackctl.services.catalog import SetName
from stackctl.services.releases import Release, Releases, table
from stackctl.util import paths, yaml_text

BUILT_HERE = "demo"
"""The name of the image that is also built in the upstream set."""
_DIGEST = re.compile(r"sha[0-9]+:[0-9a-f]")


@dataclass(frozen=True, slots=True)
class Image:
    """An image of the stack in one release, with the variable that overrides it and its reference in each set."""

    name: str
    variable: str
    release: Release
    upstream: str
    local: str
    services: tuple[str, ...]
    built_here: bool
    """Whether it is also built in the upstream set."""


@cache
def catalogue(releases: Releases, *, demo: bool = True) -> tuple[Image, ...]:
    """Return the images that a stack runs in these releases, with the demo's if requested.

    Read from compose/images.yml and from the compose files in compose/build.
    """
    local = _local()
    services: dict[str, list[str]] = {}
    for service in catalog.select(demo=demo, releases=releases):
        services.setdefault(service.image_name, []).append(service.name)
    return tuple(
        Image(
            name,
            catalog.image_variable(name),
            release,
            table()[name][release],
            local[release][name],
            tuple(used_by),
            built_here=name == BUILT_HERE,
        )
        for name, used_by in services.items()
        for release in [releases[name]]
    )


@cache
def _local() -> Mapping[Release, Mapping[str, str]]:
    """Return the references of the local set: release → image → reference."""
    both = built("local")
    return {"plan": both, "current": {**both, **built("current"), **built("current-standins")}}


@cache
def built(name: str) -> Mapping[str, str]:
    """Return the images that a compose file in compose/build builds: name → reference."""
    services = yaml_text.load(paths.build_file(name).read_text(encoding="utf-8"))["services"]
    return {image: service["image"] for image, service in services.items()}


def plain_reference(image: Image, settings: Settings, name: SetName | None) -> str:
    """Return an image's reference in a set, without a mirror; its variable, if set, overrides it."""
    own = settings[image.variable]
    return own or (image.local if name == "local" else image.upstream)


def reference(image: Image, settings: Settings, name: SetName | None) -> str:
    """Return the reference with which an image is pulled and run: at the mirror, if it is upstream and there is one."""
    mirror = settings["STACKCTL_REGISTRY_MIRROR"]
    plain = plain_reference(image, settings, name)
    own = settings[image.variable] is not None
    return (
        plain
        if own or not mirror or name == "local" or image.built_here
        else mirrored(plain, mirror)
    )


def mirrored(reference: str, mirror: str) -> str:
    """Return a reference at a mirror: by its path, with official images of Docker Hub under library/."""
    first, _, rest = reference.partition("/")
    if rest and (re.search(r"[.:]", first) or first == "localhost"):
        reference = rest
        official = first == "docker.io" and "/" not in rest
    else:
        official = not rest
    return f"{mirror}/{'library/' if official else ''}{reference}"


def pinned(reference: str, pins: Mapping[str, str]) -> str:
    """Return a reference with its digest if it is pinned, or the image that replaces it."""
    taken = pins.get(reference)
    if taken is None:
        return reference
    return f"{reference}@{taken}" if _DIGEST.match(taken) else taken


def variables(
    settings: Settings,
    name: SetName | None,
    releases: Releases,
    *,
    demo: bool,
    pins: Mapping[str, str] = {},
) -> dict[str, str]:
    """Return the variables that select a set in these releases.

    All variables are included: otherwise Compose would use those in bot-core's own .env, and services that these
    releases do not use are still in the compose files.
    """
    chosen = catalogue(releases, demo=demo)
    return {
        **{
            catalog.image_variable(one.image_name): next(iter(table()[one.image_name].values()))
            for one in catalog.select(demo=demo)
        },
        **{image.variable: pinned(reference(image, settings, name), pins) for image in chosen},
    }


def variables_of(settings: Settings, state: ProjectState) -> dict[str, str]:
    """Return the variables that select the images of a recorded or planned stack.

    They include the demo's images even without the demo, because `down` reads its file, but not if bot-core is
    attached.
    """
    return variables(settings, state.images, state.releases, demo=not state.joined, pins=state.pins)


def references(
    settings: Settings, name: SetName | None, releases: Releases, *, pins: Mapping[str, str] = {}
) -> dict[str, str]:
    """Return the image of every service as `up` would run it with this set, or with upstream if there is none yet."""
    return {
        service: pinned(reference(image, settings, name), pins)
        for image in catalogue(releases)
        for service in image.services
    }
