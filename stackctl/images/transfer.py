"""Images from registries, and to and from bundles: pull, save, load."""

from __future__ import annotations

import contextlib
import json
import re
import tarfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
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
"""Errors of a registry, or of the network before it, after which the next attempt may succeed."""

_LIST = "manifest.json"
"""The member of a `docker save` that names its images, with their references and layers."""

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
    """Pull the upstream set, at most three images at once, and return the outcome of each.

    Transient failures are retried with a pause. What stackctl builds itself is left out. With a lock of the upstream
    set each image is pulled by its digest.
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
        # A signal need not wake a thread that waits for another one, so each wait is short.
        while wait(running, timeout=_POLL_SECONDS).not_done:
            pass
        return [future.result() for future in running]
    except BaseException:
        ended.set()
        pool.shutdown(wait=False, cancel_futures=True)
        # The threads wait for their `docker pull`, which does not get a SIGTERM to this process. Repeatedly, as a
        # thread may have been about to start one; and a thread that was just being started is in no list.
        while _terminate_children() or not all(map(Future.done, running)):
            time.sleep(_PAUSE_SECONDS)
        raise
    finally:
        pool.shutdown()


def _terminate_children() -> int:
    """Send SIGTERM to the programs that this process has started, and return how many of them still run."""
    running = 0
    for child in psutil.Process().children():
        with contextlib.suppress(psutil.NoSuchProcess):
            if child.status() != psutil.STATUS_ZOMBIE:
                child.terminate()
                running += 1
    return running


def _pull(engine: Engine, say: Say, ended: threading.Event, reference: str) -> Pulled:
    """Pull one image, with retries. Once `ended` is set, there are no more pauses and no more attempts."""

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
            f"{reference} again in {call.upcoming_sleep:.0f} s: {_failure(call)}"
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
        for member in saved:
            saved.members.clear()  # type: ignore[attr-defined]
            content = saved.extractfile(member) if member.isreg() else None
            if content is None:
                continue
            if member.name == _LIST:
                listed = json.load(content)
            elif member.name.startswith("blobs/"):
                if member.size >= _WORTH_TELLING:
                    say(f"compressing {decimal(member.size)}")
                tar.addfile(member, content)
        # It comes last: a tar that breaks off before loads no image.
        bundle.add(tar, _LIST, json.dumps(_tagged(listed, ids)).encode())
    return manifest


def load(engine: Engine, path: Path, *, say: Say) -> tuple[Manifest, int]:
    """Load a bundle unless all of its images are here, and return its manifest and how many were missing.

    The whole file is checked before the engine gets any of it. Of images that are here the engine keeps what it has.
    Raises BadBundle, or EngineError where the engine rejects an image; those before it stay.
    """
    say(f"checking {path.name}")
    with bundle.reading(path) as opened:
        found = opened.manifest
        missing = sum(engine.image_content(one.reference) != one.content for one in found.images)
        if missing:
            say(f"loading {missing} of {len(found.images)} images")
            engine.load_image(opened.archive())
    if found.set == "local":
        state.write_shared_json(build.RECORD, {"loaded": True})
    return found, missing


def _references(
    settings: Settings, name: SetName, releases: Releases, *, demo: bool
) -> dict[str, str]:
    """Return the references to save, each with its image's name.

    The local set is saved as a whole, or else it would be built: images that the settings replace, and the demo's,
    belong to it.
    """
    taken: dict[str, str] = {}
    for image in sets.catalogue(releases, demo=demo or name == "local"):
        reference = sets.reference(image, settings, name)
        if "@" in reference:
            raise StackctlError(
                f"{image.variable} names an image by digest, which no engine gives a loaded one",
                remedy="name it by a tag; `stackctl images lock` keeps it at that image",
            )
        taken[reference] = image.name
        if name == "local":
            taken[image.local] = image.name
    return taken


def _tagged(
    listed: Sequence[Mapping[str, Any]], ids: Mapping[str, str | None]
) -> list[dict[str, Any]]:
    """Return the list that `docker save` ends with, with each image under the references that it is wanted by.

    What was saved by digest has no reference in it. Raises EngineError where an image is missing.
    """
    tagged: dict[str, dict[str, Any]] = {}
    for reference, id_ in ids.items():
        for entry in listed:
            by_id = entry["Config"] == f"blobs/sha256/{str(id_).removeprefix('sha256:')}"
            if by_id or reference in (entry["RepoTags"] or ()):
                new = tagged.setdefault(entry["Config"], {**entry, "RepoTags": []})
                new["RepoTags"].append(reference)
                break
        else:
            raise EngineError(
                f"`docker save` left out {reference}", remedy="use Docker Engine 25 or newer"
            )
    return list(tagged.values())
