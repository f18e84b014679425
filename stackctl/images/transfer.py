"""Pulls images from registries, and saves them to and loads them from bundles."""

from __future__ import annotations

import contextlib
import json
import re
import tarfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import IO, Any, cast

import psutil
from rich.filesize import decimal
from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_exception,
    sleep_using_event,
    stop_after_attempt,
    stop_any,
    stop_when_event_set,
    wait_exponential,
)

from stackctl import __version__
from stackctl.config.settings import Settings
from stackctl.docker.engine import Engine
from stackctl.errors import EngineError, StackctlError
from stackctl.images import build, bundle, lockfile, sets
from stackctl.images.bundle import Bundled, Manifest
from stackctl.images.lockfile import Lock
from stackctl.project import state
from stackctl.services.catalog import SetName
from stackctl.services.releases import Releases

_AT_ONCE = 3
_ATTEMPTS = 4
_WAIT = wait_exponential(multiplier=1, max=10)
_POLL_SECONDS = 0.2
_PAUSE_SECONDS = 0.02
_BUFFER = 1024 * 1024
_WORTH_TELLING = 1_000_000
_TRANSIENT = re.compile(
    r"timeout|deadline exceeded|connection reset|broken pipe|unexpected EOF|: EOF|TLS handshake"
    r"|toomanyrequests|too many requests|unexpected HTTP status: 5\d\d|5\d\d (Internal|Bad|Service|Gateway)"
    r"|temporary failure|try again",
    re.IGNORECASE,
)
"""Errors of a registry or the network after which another attempt may succeed."""

_MAX_MANIFEST = 256 * 1024
"""In bytes. The manifest of an image with a hundred layers has 20 KiB."""
_LIST = "manifest.json"
"""The member of a `docker save` that lists its images, with their references and layers."""

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Pulled:
    """A reference that was pulled or, with the reason, could not be pulled."""

    reference: str
    failure: str | None


def pull(
    engine: Engine,
    settings: Settings,
    releases: Releases,
    *,
    demo: bool,
    lock: Lock | None,
    say: Say,
) -> list[Pulled]:
    """Pull the upstream set, at most three images at a time, and return the outcome of each.

    Transient failures are retried after a pause. Images that stackctl builds are left out. With a lock of the upstream
    set, each image is pulled by its digest.
    """
    pins = (
        lock.pins(engine, settings, releases, demo=demo) if lock and lock.set == "upstream" else {}
    )
    wanted = [
        sets.pinned(sets.reference(image, settings, "upstream"), pins)
        for image in sets.catalogue(releases, demo=demo)
        if not image.built_here or settings[image.variable] is not None
    ]
    ended = threading.Event()
    pool = ThreadPoolExecutor(_AT_ONCE)
    running: list[Future[Pulled]] = []
    try:
        running.extend(pool.submit(_pull, engine, say, ended, one) for one in dict.fromkeys(wanted))
        # A signal may not wake a thread that waits for another one, so each wait is short.
        while wait(running, timeout=_POLL_SECONDS).not_done:
            pass
        return [future.result() for future in running]
    except BaseException:
        ended.set()
        pool.shutdown(wait=False, cancel_futures=True)
        # The threads wait for their `docker pull`, which does not receive this process's SIGTERM. Repeat it, because a
        # thread may be about to start one, and a thread that is just starting is not in the list.
        while _terminate_children() or not all(map(Future.done, running)):
            time.sleep(_PAUSE_SECONDS)
        raise
    finally:
        pool.shutdown()


def _terminate_children() -> int:
    """Send SIGTERM to this process's children, and return how many of them are still running."""
    running = 0
    for child in psutil.Process().children():
        with contextlib.suppress(psutil.NoSuchProcess):
            if child.status() != psutil.STATUS_ZOMBIE:
                child.terminate()
                running += 1
    return running


def _pull(engine: Engine, say: Say, ended: threading.Event, reference: str) -> Pulled:
    """Pull one image, with retries. Once `ended` is set, there are no more pauses or attempts."""

    def attempt() -> None:
        if not ended.is_set():
            engine.pull(reference)

    say(f"pulling {reference}")
    attempts = Retrying(
        sleep=sleep_using_event(ended),
        stop=stop_any(stop_after_attempt(_ATTEMPTS), stop_when_event_set(ended)),
        wait=_WAIT,
        retry=retry_if_exception(_is_transient),
        before_sleep=lambda call: say(
            f"retrying {reference} in {call.upcoming_sleep:.0f} s: {_failure(call)}"
        ),
        reraise=True,
    )
    try:
        attempts(attempt)
    except EngineError as error:
        return Pulled(reference, error.message)
    return Pulled(reference, None)


def _failure(call: RetryCallState) -> str:
    error = call.outcome.exception() if call.outcome else None
    return error.message if isinstance(error, EngineError) else ""


def _is_transient(error: BaseException) -> bool:
    return isinstance(error, EngineError) and _TRANSIENT.search(error.message) is not None


def save(
    engine: Engine,
    settings: Settings,
    path: Path,
    *,
    name: SetName,
    releases: Releases,
    demo: bool,
    lock: Lock | None,
    say: Say,
) -> Manifest:
    """Write the images of a set to a bundle, and return its manifest.

    Raises StackctlError where an image is missing here or the file cannot be written; then no file is left.
    """
    if name == "local" and build.outdated(engine, releases):
        raise StackctlError(
            "the local image set is not here as this stackctl makes it",
            remedy="`stackctl images build` makes it",
        )
    taken = _references(settings, name, releases, demo=demo)
    pins = lock.pins(engine, settings, releases, demo=demo) if lock and lock.set == name else {}
    sources = {reference: sets.pinned(reference, pins) for reference in taken}
    ids = {reference: engine.image_id(source) for reference, source in sources.items()}
    contents = {reference: engine.image_content(source) for reference, source in sources.items()}
    missing = [sources[reference] for reference in taken if contents[reference] is None]
    if missing:
        raise lockfile.not_here(missing, name)
    manifest = Manifest(
        format=bundle.FORMAT,
        stackctl=__version__,
        set=name,
        inputs=build.inputs_digest(releases) if name == "local" else None,
        images=tuple(
            Bundled(
                name=taken[reference],
                reference=reference,
                configuration=content.configuration,
                layers=content.layers,
            )
            for reference, content in contents.items()
            if content is not None
        ),
    )
    say(f"asking the engine for {len(manifest.images)} images")
    pieces = iter(engine.save_images(list(sources.values())))
    stream = cast("IO[bytes]", SimpleNamespace(read=lambda _size: next(pieces, b"")))
    with (
        bundle.writing(path, manifest) as tar,
        tarfile.open(fileobj=stream, mode="r|", bufsize=_BUFFER) as saved,
    ):
        listed: list[dict[str, Any]] = []
        small: dict[str, bytes] = {}
        for member in saved:
            saved.members.clear()  # type: ignore[attr-defined]
            content = saved.extractfile(member) if member.isreg() else None
            if content is None:
                continue
            if member.name == _LIST:
                listed = json.load(content)
            elif not member.name.startswith("blobs/"):
                continue
            elif member.size <= _MAX_MANIFEST:
                small[member.name] = content.read()
                bundle.add(tar, member.name, small[member.name])
            else:
                if member.size >= _WORTH_TELLING:
                    say(f"compressing {decimal(member.size)}")
                tar.addfile(member, content)
        # Written last, so that a truncated tar loads no images.
        bundle.add(tar, _LIST, json.dumps(_tagged(listed, ids, small)).encode())
    return manifest


def load(engine: Engine, path: Path, *, say: Say) -> tuple[Manifest, int]:
    """Load a bundle unless all of its images exist, and return its manifest and how many were missing.

    The whole file is verified before anything is loaded. The engine keeps existing images. Raises BadBundle, or
    EngineError if the engine rejects an image; those loaded before it stay.
    """
    say(f"checking {path.name}")
    with bundle.reading(path) as opened:
        found = opened.manifest
        missing = [
            one.reference
            for one in found.images
            if engine.image_content(one.reference) != one.content
        ]
        if missing:
            say(f"loading {len(missing)} of {len(found.images)} images")
            engine.load_image(opened.archive())
            loaded = {one: engine.image_id(one) for one in missing}
            state.write_shared_json(
                lockfile.LOADED, {**state.read_shared_json(lockfile.LOADED), **loaded}
            )
    if found.set == "local":
        state.write_shared_json(build.RECORD, {"loaded": True})
    return found, len(missing)


def _references(
    settings: Settings, name: SetName, releases: Releases, *, demo: bool
) -> dict[str, str]:
    """Return the references to save, each with its image's name.

    The local set is saved completely, including overridden images and the demo's; otherwise it would be built again.
    """
    taken: dict[str, str] = {}
    for image in sets.catalogue(releases, demo=demo or name == "local"):
        reference = sets.reference(image, settings, name)
        if "@" in reference:
            raise StackctlError(
                f"{image.variable} refers to an image by digest, which loaded images do not have",
                remedy="use a tag, and pin it with `stackctl images lock`",
            )
        taken[reference] = image.name
        if name == "local":
            taken[image.local] = image.name
    return taken


def _tagged(
    listed: Sequence[Mapping[str, Any]], ids: Mapping[str, str | None], small: Mapping[str, bytes]
) -> list[dict[str, Any]]:
    """Return the list at the end of a `docker save`, with each image under its requested references.

    An image that was saved by digest has no reference in the list. `small` are the blobs of the archive that may be
    manifests. Raises EngineError if an image is missing.
    """
    tagged: dict[str, dict[str, Any]] = {}
    for reference, id_ in ids.items():
        configurations = set(_configurations(str(id_), small))
        for entry in listed:
            if entry["Config"] in configurations or reference in (entry["RepoTags"] or ()):
                new = tagged.setdefault(entry["Config"], {**entry, "RepoTags": []})
                new["RepoTags"].append(reference)
                break
        else:
            raise EngineError(
                f"`docker save` did not save {reference}", remedy="use Docker Engine 25 or newer"
            )
    return list(tagged.values())


def _configurations(id_: str, small: Mapping[str, bytes]) -> Iterator[str]:
    """Yield the members of a `docker save` that are the configurations of the image with this ID.

    In Docker's own store the ID is the configuration's digest; in containerd's it is that of a manifest, or of an index
    for several platforms (OCI image specification, image manifest and image index).
    """
    name = f"blobs/sha256/{id_.removeprefix('sha256:')}"
    yield name
    try:
        content = json.loads(small.get(name, b"{}"))
    except ValueError:
        return
    if isinstance(content, dict) and "layers" in content:
        yield f"blobs/sha256/{content['config']['digest'].removeprefix('sha256:')}"
    elif isinstance(content, dict):
        for manifest in content.get("manifests", ()):
            yield from _configurations(manifest["digest"], small)
