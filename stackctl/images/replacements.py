"""Local images that replace single upstream images, such as one whose tag was removed from its registry.

They are part of the pins in a project's state: reference → the image that is used instead.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping

from stackctl.config.settings import Settings
from stackctl.docker.engine import Engine
from stackctl.errors import EngineError, StackctlError
from stackctl.images.build import build
from stackctl.images.sets import Image, catalogue, reference
from stackctl.services.releases import PLAN, Releases
from stackctl.util import paths, yaml_text

_REFUSAL = re.compile(
    r"manifest unknown|not found|no matching manifest|denied|unauthorized|does not exist",
    re.IGNORECASE,
)
"""Messages of registries about images that do not exist or require a login."""


def is_refusal(error: EngineError) -> bool:
    """Return whether a pull failed because the registry does not provide the image, not because of the network."""
    return _REFUSAL.search(error.message) is not None


def kept(settings: Settings, releases: Releases, pins: Mapping[str, str]) -> dict[str, str]:
    """Return the pins of an earlier `up` that are local images, if their upstream images are still selected."""
    images = _by_reference(settings, releases)
    return {
        one: taken for one, taken in pins.items() if one in images and taken == images[one].local
    }


def replace(
    engine: Engine,
    settings: Settings,
    releases: Releases,
    failures: Mapping[str, EngineError],
    progress: Callable[[str], None],
    *,
    pins: Mapping[str, str],
    has_run: bool,
) -> dict[str, str]:
    """Return the local image for each upstream image that failed, after building the missing ones.

    Local images among the `pins` of an earlier `up` are built, too.

    In a project that `has_run`, an image is only replaced if its registry does not provide it and it has no data, which
    another version might be unable to read. Raises EngineError for other images, and if a local image cannot be built.
    """
    images = _by_reference(settings, releases)
    for one, error in failures.items():
        if has_run and (not is_refusal(error) or _has_data(images[one])):
            raise unavailable(one, error, images[one])
    wanted = [*failures, *kept(settings, releases, pins)]
    if wanted:
        try:
            build(engine, releases, progress, only=[images[one].name for one in wanted])
        except StackctlError as error:
            first = wanted[0]
            raise EngineError(
                f"{_sentence(first)}, and its local replacement cannot be built: {error.message}",
                remedy=f"set {images[first].variable} to an available image",
            ) from None
    return {one: images[one].local for one in failures}


def unavailable(missing: str, error: EngineError, image: Image | None = None) -> EngineError:
    """Return the error for an unavailable image that is not replaced."""
    own = f", set {image.variable} to its new location" if image and not image.built_here else ""
    return EngineError(
        f"{_sentence(missing)}: {error.message}",
        remedy=f"check the network{own}, set STACKCTL_REGISTRY_MIRROR (and STACKCTL_PYPI_MIRROR for the"
        " demo), or use --images local",
    )


def reason(pins: Mapping[str, str], failed: Collection[str] = ()) -> str | None:
    """Return a message about the local images among the pins, None if there are none; `failed` are the new ones."""
    taken = {one: local for one, local in pins.items() if local.startswith("stackctl/")}
    if not taken:
        return None
    names = ", ".join(taken.values())
    if failed:
        return f"{_sentence(next(iter(failed)))}: using {names} instead"
    return f"still using {names} instead of {', '.join(taken)} (change with --images upstream)"


def _sentence(missing: str) -> str:
    built = any(image.built_here and image.upstream == missing for image in catalogue(PLAN))
    return "cannot build the demo's image" if built else f"cannot pull {missing}"


def _by_reference(settings: Settings, releases: Releases) -> dict[str, Image]:
    return {reference(image, settings, "upstream"): image for image in catalogue(releases)}


def _has_data(image: Image) -> bool:
    """Return whether a service of this image has a named volume."""
    return any(
        isinstance(mount, str) and not mount.startswith(("/", "$"))
        for file in ("docker-compose.yml", "demo.yml")
        for name, body in _services(file).items()
        if name in image.services
        for mount in body.get("volumes") or ()
    )


def _services(file: str) -> Mapping[str, Mapping[str, list[object]]]:
    content: Mapping[str, Mapping[str, Mapping[str, list[object]]]] = yaml_text.load(
        (paths.compose() / file).read_text(encoding="utf-8")
    )
    return content["services"]
