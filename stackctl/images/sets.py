"""The two image sets: the plan's upstream images, and the local set built from Debian's packages."""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from stackctl.config.settings import Settings
from stackctl.docker.engine import Engine
from stackctl.errors import EngineError, StackctlError
from stackctl.project import state
from stackctl.services.catalog import SetName
from stackctl.util import paths, yaml_text

if TYPE_CHECKING:
    from stackctl.images.lockfile import Lock

BASE_IMAGE = "stackctl/base:local"
BASE_SUITE = "trixie"
"""Debian's release of the local set: its Prometheus is the first there with scrape_config_files."""

RECORD = "local-images.json"
"""What was built of the local set, or loaded: what from, and the image IDs."""
_SET_LABEL = "stackctl.image-set"

Choice = Literal["auto", "upstream", "local"]


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


@dataclass(frozen=True, slots=True)
class Resolved:
    """The image set in use, the variables that select it, and one line why where that was not asked for."""

    name: SetName
    variables: Mapping[str, str]
    reason: str | None = None
    pins: Mapping[str, str] = field(default_factory=dict)
    """Reference → the digest that it is locked to."""


@cache
def catalogue(*, demo: bool = True) -> tuple[Image, ...]:
    """Give every image of the stack, read from the compose files and compose/local/build.yml."""
    local = {
        name: service["image"] for name, service in _load("local/build.yml")["services"].items()
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
    """Give an image's reference in a set, its own variable's where that is set, as it is without a mirror."""
    own = settings[image.variable]
    return own or (image.local if name == "local" else image.upstream)


def reference(image: Image, settings: Settings, name: SetName | None) -> str:
    """Give the reference that an image is taken by: an upstream one from the mirror, where there is one."""
    mirror = settings["STACKCTL_REGISTRY_MIRROR"]
    plain = plain_reference(image, settings, name)
    own = settings[image.variable] is not None
    return (
        plain
        if own or not mirror or name == "local" or image.built_here
        else mirrored(plain, mirror)
    )


def mirrored(reference: str, mirror: str) -> str:
    """Give a reference as a mirror has it: by its path, official images of Docker Hub under library/."""
    first, _, rest = reference.partition("/")
    if rest and (re.search(r"[.:]", first) or first == "localhost"):
        reference = rest
        official = first == "docker.io" and "/" not in rest
    else:
        official = not rest
    return f"{mirror}/{'library/' if official else ''}{reference}"


def pinned(reference: str, pins: Mapping[str, str]) -> str:
    """Give a reference with its digest, where it is pinned to one."""
    return f"{reference}@{pins[reference]}" if reference in pins else reference


def variables(
    settings: Settings, name: SetName | None, *, demo: bool, pins: Mapping[str, str] = {}
) -> dict[str, str]:
    """Give the variables that select a set; none is needed for what the compose files default to."""
    found = {
        image.variable: (image, pinned(reference(image, settings, name), pins))
        for image in catalogue(demo=demo)
    }
    return {
        variable: taken for variable, (image, taken) in found.items() if taken != image.upstream
    }


def references(
    settings: Settings, name: SetName | None, *, pins: Mapping[str, str] = {}
) -> dict[str, str]:
    """Give the image of every service, as `up` would take it with this set; no set yet is the upstream one."""
    return {
        service: pinned(reference(image, settings, name), pins)
        for image in catalogue()
        for service in image.services
    }


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
    """Decide on an image set and see to its images.

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
    _see_to_own(engine, settings, pins, progress, demo=demo)
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
            _build_demo(engine, settings, progress)
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


def _see_to_own(
    engine: Engine,
    settings: Settings,
    pins: Mapping[str, str],
    progress: Callable[[str], None],
    *,
    demo: bool,
) -> None:
    """Pull the images that the settings name themselves, whatever the set. Raises EngineError for one not to be had."""
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


def _build_demo(engine: Engine, settings: Settings, progress: Callable[[str], None]) -> None:
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
    for _ in _told(engine.build(paths.compose() / "demo" / "build.yml", arguments), progress):
        pass


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
    # Locked images are here already, and what is built anew would have other IDs.
    if not locked and not is_built(engine):
        build(engine, progress)
    return Resolved("local", variables(settings, "local", demo=demo, pins=pins), reason, pins)


def standing(engine: Engine, settings: Settings, *, demo: bool) -> SetName:
    """Give the set that is here: upstream if all of it is, else local."""
    there = all(
        engine.image_id(reference(image, settings, "upstream")) is not None
        for image in catalogue(demo=demo)
        if not image.built_here
    )
    return "upstream" if there else "local"


def inventory(engine: Engine, settings: Settings, lock: Lock | None) -> list[dict[str, str | bool]]:
    """Give every image of both sets: whether it is here, whether the local one is a stand-in, how it is locked."""
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
                "locked": lock.standing(engine, settings, image) if lock else "no",
            }
        )
    return rows


def build(engine: Engine, progress: Callable[[str], None]) -> None:
    """Build the local image set; what has not changed since the last build is not built again.

    Raises StackctlError where mmdebstrap or its package mirror is missing, EngineError where a build fails.
    """
    inputs = _digest(paths.compose() / "local" / "base-packages.txt", salt=BASE_SUITE)
    if engine.image_labels(BASE_IMAGE).get("stackctl.inputs") != inputs:
        progress(f"making the base file system (Debian {BASE_SUITE}, mmdebstrap)")
        _build_base(engine, inputs)
    tail: list[str] = []
    try:
        for line in _told(engine.build(paths.compose() / "local" / "build.yml"), progress):
            tail = [*tail[-9:], line]
    except EngineError as error:
        raise EngineError(
            "\n".join([f"the local images were not built: {error.message}", *tail])
        ) from None
    built = {image.local: engine.image_id(image.local) for image in catalogue()}
    state.write_shared_json(RECORD, {"inputs": inputs_digest(), "images": built})


def _told(lines: Iterable[str], progress: Callable[[str], None]) -> Iterator[str]:
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
    packages = (paths.compose() / "local" / "base-packages.txt").read_text().split()
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
    compose = paths.compose()
    return _digest(compose / "local", compose / "demo", salt=BASE_SUITE)


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


def _load(name: str) -> dict[str, dict[str, dict[str, str]]]:
    content: dict[str, dict[str, dict[str, str]]] = yaml_text.load(
        (paths.compose() / name).read_text()
    )
    return content
