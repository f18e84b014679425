"""Builds the local set from Debian packages, and the demo's image of the upstream set."""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from stackctl.config.settings import Settings
from stackctl.docker.engine import Engine
from stackctl.errors import EngineError, StackctlError
from stackctl.images import inputs
from stackctl.images.sets import built, catalogue, mirrored, reference
from stackctl.project import state
from stackctl.services.releases import PLAN, Releases, current
from stackctl.util import paths

BASE_IMAGE = "stackctl/base:local"
"""The base image of the stand-ins, the demo and the plan's releases."""

BASE_SUITE = "trixie"
"""The base image's Debian release, the first whose Prometheus has scrape_config_files."""

RECORD = "local-images.json"
"""The record of whether the local set was `loaded` from a bundle."""


_SET_LABEL = "stackctl.image-set"
_INPUTS_LABEL = "stackctl.inputs"
_BYTES_LABEL = "stackctl.inputs.bytes"
"""Labels with the digest of an image's inputs, and with the quick digest of them."""


@dataclass(frozen=True, slots=True)
class _Part:
    """A part of the local set: the images of one compose file, and the base image that they are built on."""

    name: str
    """The name of the compose file."""
    base: str
    suite: str
    """The Debian release of the packages."""
    packages: tuple[str, ...]
    """Files in images/debian that list the packages of the base image."""
    options: tuple[str, ...] = ()
    """Additional options for mmdebstrap."""

    def images(self, releases: Releases) -> list[str]:
        """Return the names of the images that this part builds in these releases."""
        own = built(self.name)
        return [image.name for image in catalogue(releases) if own.get(image.name) == image.local]

    def base_inputs(self) -> str:
        """Return the digest of the base image's inputs."""
        return inputs.digest(self.base_recipe())

    def base_recipe(self) -> list[str]:
        """Return the arguments for mmdebstrap, except for the mirror."""
        folder = paths.root() / "images" / "debian"
        texts = [(folder / name).read_text(encoding="utf-8") for name in self.packages]
        return [
            "--variant=apt",
            *self.options,
            f"--include={','.join(package for text in texts for package in text.split())}",
            *(
                f"--dpkgopt=path-exclude=/usr/share/{name}/*"
                for name in ("doc", "man", "info", "locale")
            ),
            # Health checks in the compose files call wget, which the upstream images have.
            '--customize-hook=ln -s /bin/busybox "$1/usr/bin/wget"',
            self.suite,
        ]


_BASE, _PYTHON = "base-packages.txt", "python-packages.txt"

_PARTS = (
    _Part("local", BASE_IMAGE, BASE_SUITE, (_BASE, _PYTHON)),
    _Part("current-standins", BASE_IMAGE, BASE_SUITE, (_BASE, _PYTHON)),
    # Debian's next release, which is not used for programs in Python. Its package index is only valid for a week, so a
    # mirror that is frozen at a date would be rejected. Its signature is still verified.
    _Part(
        "current",
        "stackctl/base:local-current",
        "forky",
        (_BASE,),
        ('--aptopt=Acquire::Check-Valid-Until "false"',),
    ),
)


def build(
    engine: Engine,
    releases: Releases,
    progress: Callable[[str], None],
    *,
    only: Collection[str] | None = None,
) -> None:
    """Build the images of the local set, in these releases, that are missing or out of date.

    `only` restricts the build to images with these names. Raises StackctlError if mmdebstrap or its package mirror is
    missing, EngineError if a build fails.
    """
    labels = {
        name: own
        for name, own in outdated(engine, releases).items()
        if only is None or name in only
    }
    for part in _PARTS:
        wanted = {name: labels[name] for name in part.images(releases) if name in labels}
        if not wanted:
            continue
        base = part.base_inputs()
        if engine.image_labels(part.base).get(_INPUTS_LABEL) != base:
            progress(f"building the base image (Debian {part.suite}, mmdebstrap)")
            _build_base(engine, part, base)
        tail: list[str] = []
        try:
            lines = engine.build(paths.build_file(part.name), labels=wanted)
            for line in reported(lines, progress):
                tail = [*tail[-9:], line]
        except EngineError as error:
            raise EngineError(
                "\n".join([f"could not build the local images: {error.message}", *tail])
            ) from None
    state.write_shared_json(RECORD, {"loaded": False})


def reported(lines: Iterable[str], progress: Callable[[str], None]) -> Iterator[str]:
    """Yield the builder's lines, and report the steps among them."""
    for line in lines:
        if step := re.match(r"#\d+ \[(\S+) +(\d+/\d+)\] (.+)", line):
            progress(f"{step[1]} {step[2]}: {step[3][:60]}")
        yield line


def inputs_digest(releases: Releases) -> str:
    """Return the digest of all inputs of the local images in these releases."""
    return inputs.digest(f"{name}={one}" for name, one in sorted(_inputs(releases).items()))


def known_inputs() -> set[str]:
    """Return the input digests of the local sets that this version of stackctl builds."""
    return {inputs_digest(PLAN), inputs_digest(current())}


def outdated(engine: Engine, releases: Releases) -> dict[str, dict[str, str]]:
    """Return the images of the local set that are missing or were built from other inputs.

    Each image's name maps to the labels for its build. Empty if the set is complete and up to date in these releases.
    """
    images = catalogue(releases)
    here = engine.labels_of_images([image.local for image in images])
    of_bytes = _inputs(releases, quick=True)
    differ = [
        image
        for image in images
        if here.get(image.local, {}).get(_BYTES_LABEL) != of_bytes[image.name]
    ]
    wanted = _inputs(releases) if differ else {}
    return {
        image.name: {_INPUTS_LABEL: wanted[image.name], _BYTES_LABEL: of_bytes[image.name]}
        for image in differ
        if here.get(image.local, {}).get(_INPUTS_LABEL) != wanted[image.name]
    }


def _inputs(releases: Releases, *, quick: bool = False) -> dict[str, str]:
    """Return the digest of the inputs of each image of the local set in these releases, by name."""
    found: dict[str, str] = {}
    for part in _PARTS:
        names = part.images(releases)
        if names:
            of_part = inputs.of_images(paths.build_file(part.name), part.base_inputs(), quick=quick)
            found |= {name: of_part[name] for name in names}
    return found


def _build_base(engine: Engine, part: _Part, digest: str) -> None:
    if shutil.which("mmdebstrap") is None:
        raise StackctlError(
            "the local image set needs mmdebstrap, which is not installed",
            remedy="apt-get install mmdebstrap (Debian, Ubuntu), or use --images upstream",
        )
    with tempfile.TemporaryDirectory(prefix="stackctl-base-") as folder:
        archive = Path(folder) / "base.tar"
        source = f"deb {_debian_mirror()} {part.suite} main"
        done = subprocess.run(
            ["mmdebstrap", "--quiet", *part.base_recipe(), str(archive), source],
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            check=False,
            # Otherwise the folders in the image would get the user's umask.
            umask=0o022,
        )
        if done.returncode != 0:
            said = [line for line in done.stderr.splitlines() if line.strip()][-3:]
            raise StackctlError("\n".join(["mmdebstrap failed", *said]))
        engine.import_image(archive, part.base, {_SET_LABEL: "local", _INPUTS_LABEL: digest})


def _debian_mirror() -> str:
    """Return the Debian mirror in this machine's apt configuration."""
    listed = subprocess.run(
        [
            "apt-get",
            "indextargets",
            "--format",
            "$(REPO_URI) $(COMPONENT)",
            "Created-By: Packages",
            "Origin: Debian",
        ],
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        check=False,
    ).stdout
    for line in listed.splitlines():
        uri, _, component = line.partition(" ")
        if component == "main" and "security" not in uri:
            return uri
    raise StackctlError(
        "no Debian mirror in apt's configuration",
        remedy="run apt-get update, or use --images upstream",
    )


def build_demo(engine: Engine, settings: Settings, progress: Callable[[str], None]) -> None:
    """Build the demo's image of the upstream set if it is missing. Raises EngineError if that fails."""
    (image,) = (one for one in catalogue(PLAN) if one.built_here)
    if engine.image_id(reference(image, settings, "upstream")) is not None:
        return
    base, mirror = settings["DEMO_BASE_IMAGE"] or "", settings["STACKCTL_REGISTRY_MIRROR"]
    if mirror and settings.values["DEMO_BASE_IMAGE"].origin == "default":
        base = mirrored(base, mirror)
    arguments = {"BASE": base}
    if index := settings["STACKCTL_PYPI_MIRROR"]:
        arguments["PIP_INDEX_URL"] = index
    bundle = settings["STACKCTL_CA_BUNDLE"]
    lines = engine.build(
        paths.build_file("demo"), arguments, authorities=Path(bundle) if bundle else None
    )
    progress(f"building the demo's image on {base}")
    for _ in reported(lines, progress):
        pass
