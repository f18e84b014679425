"""The images of the stack and their references in the two sets: the plan's upstream images, and the local set."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from stackctl.config.settings import Settings
from stackctl.errors import StackctlError
from stackctl.services.catalog import SetName
from stackctl.util import paths, yaml_text

_DIGEST = re.compile(r"sha[0-9]+:[0-9a-f]")


@dataclass(frozen=True, slots=True)
class Image:
    """An image of the stack: the variable that overrides it, and its reference in each set."""

    name: str
    variable: str
    upstream: str
    local: str
    services: tuple[str, ...]
    built_here: bool
    """True for our own image, which the upstream set builds from its Dockerfile too."""


@cache
def catalogue(*, demo: bool = True) -> tuple[Image, ...]:
    """Return every image of the stack, read from the compose files and compose/build/local.yml."""
    local = {
        name: service["image"] for name, service in _load("build/local.yml")["services"].items()
    }
    uses: dict[str, tuple[str, bool, list[str]]] = {}
    for file in ("docker-compose.yml", *(["demo.yml"] if demo else [])):
        for service, body in _load(file)["services"].items():
            found = re.fullmatch(r"\$\{(\w+)_IMAGE:-(.+)\}", body["image"])
            if found is None:
                raise StackctlError(
                    f"{file}: the image of {service} is not ${{NAME_IMAGE:-reference}}"
                )
            _, _, services = uses.setdefault(found[1], (found[2], "build" in body, []))
            services.append(service)
    return tuple(
        Image(name, f"{variable}_IMAGE", upstream, local[name], tuple(services), built)
        for variable, (upstream, built, services) in uses.items()
        for name in [variable.lower().replace("_", "-")]
    )


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
    settings: Settings, name: SetName | None, *, demo: bool, pins: Mapping[str, str] = {}
) -> dict[str, str]:
    """Return the variables that select a set.

    All of them: for one that is left out Compose would take what bot-core's own .env has by that name.
    """
    return {
        image.variable: pinned(reference(image, settings, name), pins)
        for image in catalogue(demo=demo)
    }


def references(
    settings: Settings, name: SetName | None, *, pins: Mapping[str, str] = {}
) -> dict[str, str]:
    """Return the image of every service, as `up` would run it with this set; no set yet is the upstream one."""
    return {
        service: pinned(reference(image, settings, name), pins)
        for image in catalogue()
        for service in image.services
    }


def _load(name: str) -> dict[str, dict[str, dict[str, str]]]:
    content: dict[str, dict[str, dict[str, str]]] = yaml_text.load(
        (paths.compose() / name).read_text(encoding="utf-8")
    )
    return content
