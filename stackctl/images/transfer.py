"""Images to and from where there is no registry, and from where there is one: pull, save, load."""

from __future__ import annotations

import contextlib
import io
import json
import re
import tarfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
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

from stackctl.config.settings import Settings
from stackctl.docker.engine import Engine
from stackctl.errors import EngineError, StackctlError
from stackctl.images import build, bundle, lockfile, sets
from stackctl.images.bundle import Bundled, Content, Manifest
from stackctl.images.lockfile import Lock
from stackctl.project import state
from stackctl.services.catalog import SetName

_AT_ONCE = 3
_ATTEMPTS = 4
_WAIT = wait_exponential(multiplier=1, max=10)
_LOOK_SECONDS = 0.2
_PAUSE_SECONDS = 0.02
_BUFFER = 1024 * 1024
_WORTH_TELLING = 1_000_000
_TRANSIENT = re.compile(
    r"timeout|deadline exceeded|connection reset|broken pipe|unexpected EOF|: EOF|TLS handshake"
    r"|toomanyrequests|too many requests|unexpected HTTP status: 5\d\d|5\d\d (Internal|Bad|Service|Gateway)"
    r"|temporary failure|try again",
    re.IGNORECASE,
)
"""What a registry or the way to it says when the next attempt may end otherwise."""

_LOADED = "loaded-images.json"
"""ID in a bundle → ID here, where they differ: an engine with containerd's image store has other IDs."""

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Pulled:
    """A reference that was to be pulled, and why it could not be, where it could not."""

    reference: str
    failure: str | None


def pull(
    engine: Engine, settings: Settings, *, demo: bool, lock: Lock | None, say: Say
) -> list[Pulled]:
    """Pull the upstream set, at most three images at once, and give what came of each.

    A failure that may pass is tried again after a while. What stackctl builds itself is left out. With a lock of the
    upstream set each image is taken by its digest.
    """
    pins = lock.pins(engine, settings, demo=demo) if lock and lock.set == "upstream" else {}
    wanted = [
        sets.pinned(sets.reference(image, settings, "upstream"), pins)
        for image in sets.catalogue(demo=demo)
        if not image.built_here or settings[image.variable] is not None
    ]
    ended = threading.Event()
    pool = ThreadPoolExecutor(_AT_ONCE)
    running: list[Future[Pulled]] = []
    try:
        running.extend(pool.submit(_pull, engine, say, ended, one) for one in dict.fromkeys(wanted))
        # A signal need not wake who waits for another thread, so no wait is a long one.
        while wait(running, timeout=_LOOK_SECONDS).not_done:
            pass
        return [future.result() for future in running]
    except BaseException:
        ended.set()
        pool.shutdown(wait=False, cancel_futures=True)
        # The threads wait for their `docker pull`, which a SIGTERM to this process alone would let go on. More than
        # once, for a thread may have been about to begin one; and a thread that was just being started is in no list.
        while _told_to_end() or not all(map(Future.done, running)):
            time.sleep(_PAUSE_SECONDS)
        raise
    finally:
        pool.shutdown()


def _told_to_end() -> int:
    """Tell the programs that this process has started to end, and give how many of them still run."""
    told = 0
    for child in psutil.Process().children():
        with contextlib.suppress(psutil.NoSuchProcess):
            if child.status() != psutil.STATUS_ZOMBIE:
                child.terminate()
                told += 1
    return told


def _pull(engine: Engine, say: Say, ended: threading.Event, reference: str) -> Pulled:
    """Pull one image, unless all has `ended`: then a wait before the next attempt is over, and there is none."""

    def attempt() -> None:
        if not ended.is_set():
            engine.pull(reference)

    say(f"pulling {reference}")
    attempts = Retrying(
        sleep=sleep_using_event(ended),
        stop=stop_any(stop_after_attempt(_ATTEMPTS), stop_when_event_set(ended)),
        wait=_WAIT,
        retry=retry_if_exception(_may_pass),
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


def _may_pass(error: BaseException) -> bool:
    return isinstance(error, EngineError) and _TRANSIENT.search(error.message) is not None


def save(
    engine: Engine,
    settings: Settings,
    path: Path,
    *,
    name: SetName,
    demo: bool,
    lock: Lock | None,
    say: Say,
) -> Manifest:
    """Write the images of a set to a bundle, and give its manifest.

    A save of the same images that was cut off is gone on with. Raises StackctlError where an image is not here, or
    where the file cannot be written.
    """
    if name == "local" and not build.is_built(engine):
        raise StackctlError(
            "the local image set is not here as this stackctl makes it",
            remedy="`stackctl images build` makes it",
        )
    taken = _taken(settings, name, demo=demo)
    pins = lock.pins(engine, settings, demo=demo) if lock and lock.set == name else {}
    sources = {reference: sets.pinned(reference, pins) for reference in taken}
    ids = {reference: engine.image_id(source) for reference, source in sources.items()}
    missing = [sources[reference] for reference, id_ in ids.items() if id_ is None]
    if missing:
        raise lockfile.not_here(missing, name)
    head = bundle.head_of(
        name,
        build.inputs_digest() if name == "local" else None,
        tuple(
            Bundled(name=taken[reference], reference=reference, id=id_)
            for reference, id_ in ids.items()
            if id_ is not None
        ),
    )
    with bundle.writing(path, head) as writer:
        if writer.resumed:
            say(f"going on with a save that was cut off: {writer.resumed} parts are there")
        say(f"asking the engine for {len(head.images)} images")
        listed: list[dict[str, Any]] | None = None
        stream = cast("IO[bytes]", _Pieces(engine.save_images(list(sources.values()))))
        with tarfile.open(fileobj=stream, mode="r|", bufsize=_BUFFER) as tar:
            for member in tar:
                tar.members.clear()  # type: ignore[attr-defined]
                content = tar.extractfile(member) if member.isreg() else None
                if content is None:
                    continue
                if member.name == "manifest.json":
                    listed = json.load(content)
                elif (blob := _blob_of(member.name)) and not writer.has(blob):
                    if member.size >= _WORTH_TELLING:
                        say(f"compressing {decimal(member.size)}")
                    writer.add(blob, content)
        return writer.close(_contents(head.images, listed or []))


def load(engine: Engine, path: Path, *, say: Say) -> tuple[Manifest, int]:
    """Load what is not here yet of a bundle's images, and give its manifest and how many were loaded.

    The whole file is checked before the engine gets any of it. Raises BadBundle, or EngineError where the engine
    refuses an image; those before it stay, and the next load goes on behind them.
    """
    say(f"checking {path.name}")
    with bundle.reading(path) as opened:
        found = opened.manifest
        known = state.read_shared_json(_LOADED)
        missing = [
            one
            for one in found.images
            if engine.image_id(one.reference) not in (one.id, known.get(one.id, one.id))
        ]
        for place, image in enumerate(missing, start=1):
            say(f"loading {image.reference} ({place} of {len(missing)})")
            engine.load_image(opened.archive(image))
            here = engine.image_id(image.reference)
            if here != image.id:
                known[image.id] = here
                state.write_shared_json(_LOADED, known)
    if found.set == "local":
        state.write_shared_json(build.RECORD, {"loaded": True})
    return found, len(missing)


def _taken(settings: Settings, name: SetName, *, demo: bool) -> dict[str, str]:
    """Give the references to save, each with its image's name.

    The local set is there as a whole or is built: images that the settings replace, and the demo's, belong to it.
    """
    taken: dict[str, str] = {}
    for image in sets.catalogue(demo=demo or name == "local"):
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


def _contents(
    wanted: Sequence[Bundled], listed: Sequence[Mapping[str, Any]]
) -> tuple[Content, ...]:
    """Find each image in the list that the engine ends its tar with, by its ID or by its tag."""
    by_key: dict[str, Mapping[str, Any]] = {}
    for entry in listed:
        for key in (f"sha256:{_blob_of(entry['Config'])}", *(entry["RepoTags"] or ())):
            by_key[key] = entry
    contents = []
    for image in wanted:
        found = by_key.get(image.id) or by_key.get(image.reference)
        blobs = [_blob_of(one) for one in (found["Config"], *found["Layers"])] if found else []
        if not blobs or None in blobs:
            raise EngineError(
                f"the engine's `docker save` has not {image.reference} as an OCI layout has it",
                remedy="save it with Docker Engine 25 or newer",
            )
        config, *layers = (blob for blob in blobs if blob is not None)
        contents.append(Content(config=config, layers=tuple(layers)))
    return tuple(contents)


def _blob_of(name: str) -> str | None:
    found = re.fullmatch(r"blobs/sha256/([0-9a-f]{64})", name)
    return found[1] if found else None


class _Pieces(io.RawIOBase):
    """Reads what comes piece by piece as a file."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        super().__init__()
        self._pieces = pieces
        self._rest = b""

    def read(self, size: int = -1, /) -> bytes:
        """Read so many bytes, fewer only at the end."""
        while len(self._rest) < size and (piece := next(self._pieces, b"")):
            self._rest += piece
        chunk, self._rest = self._rest[:size], self._rest[size:]
        return chunk
