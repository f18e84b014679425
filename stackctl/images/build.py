"""Builds the images that are ours: the local set from Debian's packages, and the demo's image of the upstream set."""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from stackctl.config.settings import Settings
from stackctl.docker.engine import Engine
from stackctl.errors import EngineError, StackctlError
from stackctl.images.sets import catalogue, mirrored, reference
from stackctl.project import state
from stackctl.util import paths

BASE_IMAGE = "stackctl/base:local"


BASE_SUITE = "trixie"
"""Debian's release of the local set: its Prometheus is the first there with scrape_config_files."""


RECORD = "local-images.json"
"""What was built of the local set, or loaded: what from, and the image IDs."""


_SET_LABEL = "stackctl.image-set"


def build(engine: Engine, progress: Callable[[str], None]) -> None:
    """Build the local image set; what has not changed since the last build is not built again.

    Raises StackctlError where mmdebstrap or its package mirror is missing, EngineError where a build fails.
    """
    inputs = _digest(_base_packages(), salt=BASE_SUITE)
    if engine.image_labels(BASE_IMAGE).get("stackctl.inputs") != inputs:
        progress(f"making the base file system (Debian {BASE_SUITE}, mmdebstrap)")
        _build_base(engine, inputs)
    tail: list[str] = []
    try:
        for line in reported(engine.build(paths.build_file("local")), progress):
            tail = [*tail[-9:], line]
    except EngineError as error:
        raise EngineError(
            "\n".join([f"the local images were not built: {error.message}", *tail])
        ) from None
    built = {image.local: engine.image_id(image.local) for image in catalogue()}
    state.write_shared_json(RECORD, {"inputs": inputs_digest(), "images": built})


def reported(lines: Iterable[str], progress: Callable[[str], None]) -> Iterator[str]:
    """Pass the builder's lines on, and tell the steps among them."""
    for line in lines:
        if step := re.match(r"#\d+ \[(\S+) +(\d+/\d+)\] (.+)", line):
            progress(f"{step[1]} {step[2]}: {step[3][:60]}")
        yield line


def is_built(engine: Engine) -> bool:
    """Tell whether the local set is here as this stackctl makes it."""
    record = state.read_shared_json(RECORD)
    wanted = set(record.get("images", {}).values())
    return (
        record.get("inputs") == inputs_digest()
        and bool(wanted)
        and wanted <= engine.images_with_label(f"{_SET_LABEL}=local")
    )


def _build_base(engine: Engine, inputs: str) -> None:
    if shutil.which("mmdebstrap") is None:
        raise StackctlError(
            "the local image set needs mmdebstrap, which is not installed",
            remedy="apt-get install mmdebstrap (Debian, Ubuntu), or use --images upstream",
        )
    packages = _base_packages().read_text().split()
    with tempfile.TemporaryDirectory(prefix="stackctl-base-") as folder:
        archive = Path(folder) / "base.tar"
        done = subprocess.run(
            [
                "mmdebstrap",
                "--quiet",
                "--variant=apt",
                f"--include={','.join(packages)}",
                *(
                    f"--dpkgopt=path-exclude=/usr/share/{folder}/*"
                    for folder in ("doc", "man", "info", "locale")
                ),
                # The health checks of the compose files call wget, as the upstream images have it.
                '--customize-hook=ln -s /bin/busybox "$1/usr/bin/wget"',
                BASE_SUITE,
                str(archive),
                f"deb {_debian_mirror()} {BASE_SUITE} main",
            ],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            said = [line for line in done.stderr.splitlines() if line.strip()][-3:]
            raise StackctlError("\n".join(["mmdebstrap failed", *said]))
        engine.import_image(archive, BASE_IMAGE, {_SET_LABEL: "local", "stackctl.inputs": inputs})


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
        text=True,
        check=False,
    ).stdout
    for line in listed.splitlines():
        uri, _, component = line.partition(" ")
        if component == "main" and "security" not in uri:
            return uri
    raise StackctlError(
        "apt names no Debian mirror", remedy="run apt-get update, or use --images upstream"
    )


def inputs_digest() -> str:
    """Digest everything that the local images are made from."""
    root = paths.root()
    sources = (root / name for name in ("images/debian", "standins", "demo"))
    return _digest(*sources, paths.build_file("local"), salt=BASE_SUITE)


def _base_packages() -> Path:
    return paths.root() / "images" / "debian" / "base-packages.txt"


def _digest(*paths: Path, salt: str) -> str:
    digest = hashlib.sha256(salt.encode())
    for top in paths:
        for path in [top] if top.is_file() else sorted(top.rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                digest.update(
                    path.relative_to(top.parent).as_posix().encode()
                    + b"\0"
                    + path.read_bytes()
                    + b"\0"
                )
    return digest.hexdigest()[:16]


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
    progress(f"building the demo's image on {base}")
    for _ in reported(engine.build(paths.build_file("demo"), arguments), progress):
        pass
