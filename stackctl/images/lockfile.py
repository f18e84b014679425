"""stackctl.lock: the digests of the images that a team runs. Like .env it is in the current folder; commit it.

A pulled image is locked by its registry digest, so that a moved tag changes nothing. An image of the local set is
locked by its content, which is the same in every engine. The demo's image of the upstream set is not locked: each
machine builds it from the Dockerfile that comes with stackctl.

Format 1 contains the image's ID instead of its content. The ID depends on the engine's image store, so such a lock is
only valid where it was created; `stackctl images lock` writes format 2.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    model_validator,
)

from stackctl.config.registry import LOCK_FILE
from stackctl.config.settings import Settings
from stackctl.docker.engine import Engine
from stackctl.errors import StackctlError
from stackctl.images.sets import Image, catalogue, pinned, plain_reference, reference
from stackctl.project import state
from stackctl.project.state import write_atomic
from stackctl.services.catalog import SetName
from stackctl.services.releases import PLAN, Releases, current

FILE = Path(LOCK_FILE)
LOADED = "loaded-images.json"
"""Reference → the image's ID after a bundle was loaded."""
_FILE_MODE = 0o644
_AGAIN = "update the lock with `stackctl images lock`"
_PULL = "pull the locked image with `stackctl images pull`"

Digest = Annotated[str, StringConstraints(pattern=r"^sha256:[0-9a-f]{64}$")]


class Entry(BaseModel):
    """A locked image: its reference without a mirror, its content, and its digest if it is from a registry."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    reference: str
    content: Digest | None = None
    """The digest of its content (`docker.images.Content`); None in format 1."""
    id: Digest | None = None
    """Its ID in the engine where it was locked; only in format 1."""
    digest: Digest | None = None

    def matches(self, engine: Engine, taken: str) -> bool:
        """Return whether the local image with this reference is the locked one."""
        return _identity(engine, taken, by_id=self.content is None) == (self.content or self.id)


class Lock(BaseModel):
    """The content of stackctl.lock: an image set, and its images by name."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal[1, 2] = 2
    set: Literal["upstream", "local"]
    images: dict[str, Entry] = Field(min_length=1)

    @model_validator(mode="after")
    def _has_the_members_of_its_format(self) -> Self:
        wanted = "id" if self.format == 1 else "content"
        for name, entry in self.images.items():
            if {one for one in ("id", "content") if getattr(entry, one)} != {wanted}:
                raise ValueError(f"{name} must have {wanted!r} in format {self.format}")
        return self

    def problems(
        self,
        engine: Engine,
        settings: Settings,
        name: SetName,
        releases: Releases,
        *,
        demo: bool = True,
        here: bool = False,
    ) -> Iterator[StackctlError]:
        """Yield an error for each image because of which the set `name` cannot run as locked.

        What a pull would fix is not an error, unless every image must already be `here`.
        """
        if name != self.set:
            yield StackctlError(
                f"{FILE} locks the {self.set} image set, but the {name} one would be used",
                remedy=f"use --images {self.set}, or `stackctl images lock --set {name}`",
            )
            return
        for image in _lockable(name, releases, demo=demo):
            plain = plain_reference(image, settings, name)
            entry = self.images.get(image.name)
            if entry is None:
                yield StackctlError(f"{FILE} does not contain {image.name}", remedy=_AGAIN)
                continue
            if entry.reference != plain:
                yield StackctlError(
                    f"{FILE} contains {entry.reference}, but the settings select {plain}",
                    remedy=_AGAIN,
                )
                continue
            taken = reference(image, settings, name)
            found = engine.image_id(taken)
            if entry.digest is not None:
                if here and not _is_here(engine, taken, entry):
                    yield _not_as_locked(engine, taken, entry)
            elif found is None and name == "local":
                yield StackctlError(
                    f"the {taken} in {FILE} does not exist on this machine, and a new build would be a different image",
                    remedy="load a bundle that contains it with `stackctl images load`, or build and lock the set"
                    " again",
                )
            elif found is None and here:
                yield StackctlError(
                    f"missing image: {taken}",
                    remedy="`stackctl images load` or `stackctl images pull`",
                )
            elif found is not None and not entry.matches(engine, taken):
                yield self._differs(engine, taken, entry)

    def _differs(self, engine: Engine, taken: str, entry: Entry) -> StackctlError:
        """Return the error for a local image that differs from the locked one."""
        if self.format == 1:
            return StackctlError(
                f"{FILE} has format 1, which identifies {taken} by an ID that depends on the image store,"
                " and the ID on this machine differs",
                remedy="run `stackctl images lock` where it was created, which writes a lock that is valid everywhere",
            )
        here = _identity(engine, taken, by_id=False)
        return StackctlError(
            f"{taken} differs: locked {_short(entry.content)}, on this machine {_short(here)}",
            remedy=_AGAIN,
        )

    def pins(
        self, engine: Engine, settings: Settings, releases: Releases, *, demo: bool = True
    ) -> dict[str, str]:
        """Return reference → digest for the images that are locked by digest.

        An image that was loaded from a bundle has no registry digest: its tag is used, if it is the locked image.
        """
        pins: dict[str, str] = {}
        for image in _lockable(self.set, releases, demo=demo):
            entry = self.images.get(image.name)
            taken = reference(image, settings, self.set)
            if entry is None or entry.digest is None or "@" in taken:
                continue
            by_digest = _by_digest(taken, entry)
            if engine.image_id(by_digest) is None and entry.matches(engine, taken):
                continue
            pins[taken] = entry.digest
        return pins

    def releases(self) -> Releases:
        """Return the locked releases: an image is current if its reference is only that of the current release.

        So is an image that the current releases do not use, if the lock does not contain it either.
        """
        plan, newer = (
            {image.name: {image.upstream, image.local} for image in catalogue(one)}
            for one in (PLAN, current())
        )
        changed = {
            name
            for name, entry in self.images.items()
            if entry.reference in newer.get(name, set()) - plan.get(name, set())
        }
        return Releases(frozenset(changed | (plan.keys() - newer.keys() - self.images.keys())))

    def status(self, engine: Engine, settings: Settings, image: Image) -> str:
        """Return whether an image is locked: `yes`, `no`, or `differs` if the local image is not the locked one.

        A missing image with a digest counts as locked, because a pull gets the locked one.
        """
        entry = self.images.get(image.name)
        if entry is None:
            return "no"
        if entry.reference != plain_reference(image, settings, self.set):
            return "differs"
        taken = reference(image, settings, self.set)
        found = engine.image_id(taken)
        if entry.digest is None:
            return "yes" if entry.matches(engine, taken) else "differs"
        return "yes" if found is None or _is_here(engine, taken, entry) else "differs"


def read(path: Path = FILE) -> Lock | None:
    """Return the lock; None if there is no file. Raises StackctlError if the file is not a lock."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StackctlError(
            f"cannot read {path}: {error.strerror}", remedy="make it a readable file"
        ) from None
    try:
        return Lock.model_validate_json(content)
    except ValidationError as error:
        raise StackctlError(
            f"{path} is not a valid lock file: {_first(error)}",
            remedy="restore it from version control, or remove it",
        ) from None


def take(
    engine: Engine,
    settings: Settings,
    name: SetName,
    releases: Releases,
    *,
    demo: bool,
    previous: Lock | None,
) -> Lock:
    """Return a lock of the local images of a set. Raises StackctlError if an image is missing.

    An image that is the one in the `previous` lock keeps its digest, whether it was pulled by that digest or came in a
    bundle without it.
    """
    entries: dict[str, Entry] = {}
    missing: list[str] = []
    loaded = state.read_shared_json(LOADED)
    for image in _lockable(name, releases, demo=demo):
        plain = plain_reference(image, settings, name)
        taken = reference(image, settings, name)
        kept = _kept(engine, previous, image, taken, plain)
        content = engine.image_content(taken)
        if content is None and kept is not None:
            content = engine.image_content(_by_digest(taken, kept))
        if content is None:
            missing.append(taken)
            continue
        # containerd's store also has digests of built and loaded images, which no registry knows.
        made_here = taken == image.local or loaded.get(taken) == engine.image_id(taken)
        digest = kept.digest if kept else None if made_here else _digest_of(engine, taken)
        entries[image.name] = Entry(reference=plain, content=content.digest, digest=digest)
    if missing:
        raise not_here(missing, name)
    return Lock(set=name, images=entries)


def not_here(missing: list[str], name: SetName) -> StackctlError:
    """Return the error for missing images of a set."""
    return StackctlError(
        f"missing images of the {name} set: {', '.join(missing)}",
        remedy="`stackctl images build`"
        if name == "local"
        else "`stackctl images pull` pulls those of registries, `stackctl up --images upstream` builds the rest",
    )


def write(lock: Lock, path: Path = FILE) -> bool:
    """Write the lock, and return whether it changed. Raises StackctlError if it cannot be written."""
    content = json.dumps(lock.model_dump(exclude_none=True), indent=2, sort_keys=True) + "\n"
    try:
        return write_atomic(path, content, _FILE_MODE)
    except OSError as error:
        raise StackctlError(
            f"cannot write {path}: {os.strerror(error.errno or 0)}",
            remedy="run stackctl in a writable folder",
        ) from None


def _lockable(name: SetName, releases: Releases, *, demo: bool) -> list[Image]:
    return [one for one in catalogue(releases, demo=demo) if name == "local" or not one.built_here]


def _kept(
    engine: Engine, previous: Lock | None, image: Image, taken: str, plain: str
) -> Entry | None:
    """Return the previous lock's entry with a digest, if its image exists locally by tag or by digest."""
    entry = previous.images.get(image.name) if previous else None
    if entry is None or entry.digest is None or entry.reference != plain:
        return None
    if engine.image_id(taken) is None:
        return entry if engine.image_id(_by_digest(taken, entry)) else None
    return entry if entry.matches(engine, taken) else None


def _by_digest(taken: str, entry: Entry) -> str:
    """Return a reference with the locked digest, if there is one and the reference has none."""
    if entry.digest is None or "@" in taken:
        return taken
    return pinned(taken, {taken: entry.digest})


def _is_here(engine: Engine, taken: str, entry: Entry) -> bool:
    """Return whether an image with a digest exists locally: by the digest or, from a bundle, by its content."""
    return engine.image_id(_by_digest(taken, entry)) is not None or entry.matches(engine, taken)


def _not_as_locked(engine: Engine, taken: str, entry: Entry) -> StackctlError:
    """Return the error for an image with a digest that is missing or differs locally."""
    if engine.image_id(taken) is None:
        return StackctlError(f"missing image: {_by_digest(taken, entry)}", remedy=_PULL)
    digest = _digest_of(engine, taken)
    what = _short(digest) if digest else "no digest"
    return StackctlError(
        f"the digest of {taken} differs: locked {_short(entry.digest)}, on this machine {what}",
        remedy=f"{_PULL}; {_AGAIN}",
    )


def _identity(engine: Engine, taken: str, *, by_id: bool) -> str | None:
    """Return what identifies a local image: its content's digest or, in format 1, its ID."""
    if by_id:
        return engine.image_id(taken)
    content = engine.image_content(taken)
    return None if content is None else content.digest


def _digest_of(engine: Engine, taken: str) -> str | None:
    """Return the digest of an image in its reference's repository."""
    if "@" in taken:
        return taken.partition("@")[2]
    repository = taken[: taken.rindex(":")] if ":" in taken.rpartition("/")[2] else taken
    known = engine.image_digests(taken)
    # The engine omits Docker Hub's host.
    return known.get(repository) or known.get(repository.removeprefix("docker.io/"))


def _short(digest: str | None) -> str:
    return (digest or "none").removeprefix("sha256:")[:12]


def _first(error: ValidationError) -> str:
    one = error.errors()[0]
    where = ".".join(map(str, one["loc"]))
    return f"{where}: {one['msg']}" if where else str(one["msg"])
