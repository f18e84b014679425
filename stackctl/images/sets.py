"""The images of the stack and their references in the two sets, upstream and local, by the release of each."""

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
"""Our own image, which the upstream set builds from its Dockerfile too."""
_DIGEST = re.compile(r"sha[0-9]+:[0-9a-f]")


@dataclass(frozen=True, slots=True)
class Image:
    """An image of the stack in one release: the variable that overrides it, and its reference in each set."""

    name: str
    variable: str
    release: Release
    upstream: str
    local: str
    services: tuple[str, ...]
    built_here: bool
    """Whether the upstream set builds it too."""


@cache
def catalogue(releases: Releases, *, demo: bool = True) -> tuple[Image, ...]:
    """Return the images that a stack of these releases runs, without the demo's unless they are asked for.

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
    """Return what a compose file of compose/build builds: image → reference."""
    services = yaml_text.load(paths.build_file(name).read_text(encoding="utf-8"))["services"]
    return {image: service["image"] for image, service in services.items()}


def plain_reference(image: Image, settings: Settings, name: SetName | None) -> str:
    """Return an image's reference in a set without a mirror: that of its variable, where that is set."""
    own = settings[image.variable]
    return own or (image.local if name == "local" else image.upstream)


def reference(image: Image, settings: Settings, name: SetName | None) -> str:
    """Return the reference that an image is pulled and run by: at the mirror for an upstream image, if there is one."""
    mirror = settings["STACKCTL_REGISTRY_MIRROR"]
    plain = plain_reference(image, settings, name)
    own = settings[image.variable] is not None
    return (
        plain
        if own or not mirror or name == "local" or image.built_here
        else mirrored(plain, mirror)
    )


def mirrored(reference: str, mirror: str) -> str:
    """Return a reference as a mirror has it: by its path, official images of Docker Hub under library/."""
    first, _, rest = reference.partition("/")
    if rest and (re.search(r"[.:]", first) or first == "localhost"):
        reference = rest
        official = first == "docker.io" and "/" not in rest
    else:
        official = not rest
    return f"{mirror}/{'library/' if official else ''}{reference}"


def pinned(reference: str, pins: Mapping[str, str]) -> str:
    """Return a reference with its digest, where it is pinned to one, or the image that is in its place."""
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

    All of them: for one that is left out Compose would take what bot-core's own .env has by that name, and a service
    that these releases do without is in the compose files all the same.
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

    Without the demo too they have its images, since `down` reads its file; beside bot-core they are left to that.
    """
    return variables(settings, state.images, state.releases, demo=not state.joined, pins=state.pins)


def references(
    settings: Settings, name: SetName | None, releases: Releases, *, pins: Mapping[str, str] = {}
) -> dict[str, str]:
    """Return the image of every service, as `up` would run it with this set; no set yet is the upstream one."""
    return {
        service: pinned(reference(image, settings, name), pins)
        for image in catalogue(releases)
        for service in image.services
    }
