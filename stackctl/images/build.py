"""Builds the images that are ours: the local set from Debian's packages, and the demo's image of the upstream set."""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Collection, Iterable, Iterator
from pathlib import Path

from stackctl.config.settings import Settings
from stackctl.docker.engine import Engine
from stackctl.errors import EngineError, StackctlError
from stackctl.images import inputs
from stackctl.images.sets import catalogue, mirrored, reference
from stackctl.project import state
from stackctl.util import paths

BASE_IMAGE = "stackctl/base:local"


BASE_SUITE = "trixie"
"""Debian's release of the local set: its Prometheus is the first there with scrape_config_files."""


RECORD = "local-images.json"
"""Whether the local set was `loaded` from a bundle."""


_SET_LABEL = "stackctl.image-set"
_INPUTS_LABEL = "stackctl.inputs"
_BYTES_LABEL = "stackctl.inputs.bytes"
"""What an image was built from, and the quick digest of the same."""


def build(
    engine: Engine, progress: Callable[[str], None], *, only: Collection[str] | None = None
) -> None:
    """Build the images of the local set that are not here as this stackctl makes them.

    Of all, or of those with these names `only`.

    Raises StackctlError where mmdebstrap or its package mirror is missing, EngineError where a build fails.
    """
    labels = {name: own for name, own in outdated(engine).items() if only is None or name in only}
    if labels:
        base = _base_inputs()
        if engine.image_labels(BASE_IMAGE).get(_INPUTS_LABEL) != base:
            progress(f"making the base file system (Debian {BASE_SUITE}, mmdebstrap)")
            _build_base(engine, base)
        tail: list[str] = []
        try:
            lines = engine.build(paths.build_file("local"), labels=labels)
            for line in reported(lines, progress):
                tail = [*tail[-9:], line]
        except EngineError as error:
            raise EngineError(
                "\n".join([f"the local images were not built: {error.message}", *tail])
            ) from None
    state.write_shared_json(RECORD, {"loaded": False})


def reported(lines: Iterable[str], progress: Callable[[str], None]) -> Iterator[str]:
    """Pass the builder's lines on, and tell the steps among them."""
    for line in lines:
        if step := re.match(r"#\d+ \[(\S+) +(\d+/\d+)\] (.+)", line):
            progress(f"{step[1]} {step[2]}: {step[3][:60]}")
        yield line


def inputs_digest() -> str:
    """Return the digest of everything that the local images are built from."""
    return inputs.digest(f"{name}={one}" for name, one in sorted(_inputs().items()))


def outdated(engine: Engine) -> dict[str, dict[str, str]]:
    """Return the images of the local set that are missing here or were built from something else.

    By the names of the catalogue; each has the labels that it is to be built with. Empty where the set is here as this
    stackctl makes it.
    """
    here = engine.labels_of_images([image.local for image in catalogue()])
    of_bytes = _inputs(quick=True)
    differ = [
        image
        for image in catalogue()
        if here.get(image.local, {}).get(_BYTES_LABEL) != of_bytes[image.name]
    ]
    wanted = _inputs() if differ else {}
    return {
        image.name: {_INPUTS_LABEL: wanted[image.name], _BYTES_LABEL: of_bytes[image.name]}
        for image in differ
        if here.get(image.local, {}).get(_INPUTS_LABEL) != wanted[image.name]
    }


def _inputs(*, quick: bool = False) -> dict[str, str]:
    return inputs.of_images(paths.build_file("local"), _base_inputs(), quick=quick)


def _base_inputs() -> str:
    return inputs.digest(_base_recipe())


def _build_base(engine: Engine, digest: str) -> None:
    if shutil.which("mmdebstrap") is None:
        raise StackctlError(
            "the local image set needs mmdebstrap, which is not installed",
            remedy="apt-get install mmdebstrap (Debian, Ubuntu), or use --images upstream",
        )
    with tempfile.TemporaryDirectory(prefix="stackctl-base-") as folder:
        archive = Path(folder) / "base.tar"
        source = f"deb {_debian_mirror()} {BASE_SUITE} main"
        done = subprocess.run(
            ["mmdebstrap", "--quiet", *_base_recipe(), str(archive), source],
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            check=False,
            # The user's would be that of the folders in the image.
            umask=0o022,
        )
        if done.returncode != 0:
            said = [line for line in done.stderr.splitlines() if line.strip()][-3:]
            raise StackctlError("\n".join(["mmdebstrap failed", *said]))
        engine.import_image(archive, BASE_IMAGE, {_SET_LABEL: "local", _INPUTS_LABEL: digest})


def _base_recipe() -> list[str]:
    """Return what mmdebstrap is to make, whatever mirror it takes the packages from."""
    packages = (
        (paths.root() / "images" / "debian" / "base-packages.txt")
        .read_text(encoding="utf-8")
        .split()
    )
    return [
        "--variant=apt",
        f"--include={','.join(packages)}",
        *(
            f"--dpkgopt=path-exclude=/usr/share/{folder}/*"
            for folder in ("doc", "man", "info", "locale")
        ),
        # The health checks of the compose files call wget, as the upstream images have it.
        '--customize-hook=ln -s /bin/busybox "$1/usr/bin/wget"',
        BASE_SUITE,
    ]


def _debian_mirror() -> str:
    """Give the Debian mirror that this machine's apt is set up with."""
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
        "apt names no Debian mirror", remedy="run apt-get update, or use --images upstream"
    )


def build_demo(engine: Engine, settings: Settings, progress: Callable[[str], None]) -> None:
    """Build our own image of the upstream set where it is not here. Raises EngineError where that fails."""
    (image,) = (one for one in catalogue() if one.built_here)
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
