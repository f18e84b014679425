"""stackctl.lock: which images a team runs, by digest, in the current folder like .env and to be committed.

A pulled image is locked by the digest that registries know it by, so that a tag that moves changes nothing. An image
of the local set is locked by its ID. Our own image of the upstream set is not locked: each machine builds it from the
Dockerfile that comes with stackctl.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from stackctl.config.settings import Settings
from stackctl.docker.engine import Engine
from stackctl.errors import StackctlError
from stackctl.images.sets import Image, catalogue, pinned, plain_reference, reference
from stackctl.project.state import write_atomic
from stackctl.services.catalog import SetName
from stackctl.services.releases import PLAN, Releases, current

FILE = Path("stackctl.lock")
_FILE_MODE = 0o644
_AGAIN = "`stackctl images lock` records what is here"
_PULL = "`stackctl images pull` gets what is locked"

Digest = Annotated[str, StringConstraints(pattern=r"^sha256:[0-9a-f]{64}$")]


class Entry(BaseModel):
    """A locked image: its reference without a mirror, its ID here, and its digest where a registry gave it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    reference: str
    id: Digest
    digest: Digest | None = None


class Lock(BaseModel):
    """The content of stackctl.lock: an image set, and its images by name."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal[1] = 1
    set: Literal["upstream", "local"]
    images: dict[str, Entry] = Field(min_length=1)

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
        """Yield why the set `name` cannot run as it is locked, with one error for each image.

        What a pull would correct is not an error, unless every image is to be `here` already.
        """
        if name != self.set:
            yield StackctlError(
                f"{FILE} locks the {self.set} image set, and this would be the {name} one",
                remedy=f"use --images {self.set}, or `stackctl images lock --set {name}`",
            )
            return
        for image in _lockable(name, releases, demo=demo):
            plain = plain_reference(image, settings, name)
            entry = self.images.get(image.name)
            if entry is None:
                yield StackctlError(f"{FILE} has no {image.name}", remedy=_AGAIN)
                continue
            if entry.reference != plain:
                yield StackctlError(
                    f"{FILE} has {entry.reference}, and the settings say {plain}", remedy=_AGAIN
                )
                continue
            taken = reference(image, settings, name)
            found = engine.image_id(taken)
            if entry.digest is not None:
                if here and not _is_here(engine, taken, entry):
                    yield _not_as_locked(engine, taken, entry)
            elif found is None and name == "local":
                yield StackctlError(
                    f"{taken} as {FILE} has it is not here, and another build of it is another image",
                    remedy="`stackctl images load` a bundle that has it, or build the set and lock it again",
                )
            elif found is None and here:
                yield StackctlError(
                    f"not here: {taken}", remedy="`stackctl images load` or `stackctl images pull`"
                )
            elif found is not None and found != entry.id:
                yield StackctlError(
                    f"{taken} is {_short(found)} here, and {_short(entry.id)} in {FILE}",
                    remedy=_AGAIN,
                )

    def pins(
        self, engine: Engine, settings: Settings, releases: Releases, *, demo: bool = True
    ) -> dict[str, str]:
        """Return the digest of each reference that is pinned to one.

        An image that was loaded from a bundle has no digest here: its tag is used, if its ID is as locked.
        """
        pins: dict[str, str] = {}
        for image in _lockable(self.set, releases, demo=demo):
            entry = self.images.get(image.name)
            taken = reference(image, settings, self.set)
            if entry is None or entry.digest is None or "@" in taken:
                continue
            by_digest = _by_digest(taken, entry)
            if engine.image_id(by_digest) is None and engine.image_id(taken) == entry.id:
                continue
            pins[taken] = entry.digest
        return pins

    def releases(self) -> Releases:
        """Return the releases that are locked: an image is the current one where its reference is that of it alone."""
        plan, newer = (
            {image.name: {image.upstream, image.local} for image in catalogue(one)}
            for one in (PLAN, current())
        )
        return Releases(
            frozenset(
                name
                for name, entry in self.images.items()
                if entry.reference in newer.get(name, set()) - plan.get(name, set())
            )
        )

    def status(self, engine: Engine, settings: Settings, image: Image) -> str:
        """Return whether an image is locked: `yes`, `no`, or `differs` where the image here is not the locked one.

        An image that is not here and has a digest is locked: a pull gets what was locked.
        """
        entry = self.images.get(image.name)
        if entry is None:
            return "no"
        if entry.reference != plain_reference(image, settings, self.set):
            return "differs"
        taken = reference(image, settings, self.set)
        found = engine.image_id(taken)
        if entry.digest is None:
            return "yes" if found == entry.id else "differs"
        return "yes" if found is None or _is_here(engine, taken, entry) else "differs"


def read(path: Path = FILE) -> Lock | None:
    """Return the lock, None where there is no file. Raises StackctlError for a file that is not a lock."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StackctlError(
            f"{path} cannot be read: {error.strerror}", remedy="make it a file that you can read"
        ) from None
    try:
        return Lock.model_validate_json(content)
    except ValidationError as error:
        raise StackctlError(
            f"{path} is not a lock that this stackctl can read: {_first(error)}",
            remedy="take it from version control again, or remove it",
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
    """Return the lock of a set as its images are here. Raises StackctlError where an image is missing.

    An image that is here only by its digest in the `previous` lock, as that was pulled, stays locked to it.
    """
    entries: dict[str, Entry] = {}
    missing: list[str] = []
    for image in _lockable(name, releases, demo=demo):
        plain = plain_reference(image, settings, name)
        taken = reference(image, settings, name)
        here = engine.image_id(taken)
        if here is None:
            kept = _pulled_by(engine, previous, image, taken, plain)
            if kept is None:
                missing.append(taken)
            else:
                entries[image.name] = kept
            continue
        # An engine may give what it built itself a digest too, which no registry knows.
        digest = None if taken == image.local else _digest_of(engine, taken)
        entries[image.name] = Entry(reference=plain, id=here, digest=digest)
    if missing:
        raise not_here(missing, name)
    return Lock(set=name, images=entries)


def not_here(missing: list[str], name: SetName) -> StackctlError:
    """Return the error for images of a set that are not here."""
    return StackctlError(
        f"not here, of the {name} image set: {', '.join(missing)}",
        remedy="`stackctl images build` makes it"
        if name == "local"
        else "`stackctl images pull` gets what registries have, `stackctl up --images upstream` builds the rest",
    )


def write(lock: Lock, path: Path = FILE) -> bool:
    """Write the lock, and return whether that changed anything. Raises StackctlError where it cannot be written."""
    content = json.dumps(lock.model_dump(exclude_none=True), indent=2, sort_keys=True) + "\n"
    try:
        return write_atomic(path, content, _FILE_MODE)
    except OSError as error:
        raise StackctlError(
            f"{path} cannot be written: {os.strerror(error.errno or 0)}",
            remedy="call stackctl in a folder that you can write",
        ) from None


def _lockable(name: SetName, releases: Releases, *, demo: bool) -> list[Image]:
    return [one for one in catalogue(releases, demo=demo) if name == "local" or not one.built_here]


def _pulled_by(
    engine: Engine, previous: Lock | None, image: Image, taken: str, plain: str
) -> Entry | None:
    """Return the previous lock's entry for an image that is here by the digest in it."""
    entry = previous.images.get(image.name) if previous else None
    if entry is None or entry.digest is None or entry.reference != plain:
        return None
    return entry if engine.image_id(_by_digest(taken, entry)) else None


def _by_digest(taken: str, entry: Entry) -> str:
    """Return a reference with the locked digest, where there is one and the reference itself has none."""
    if entry.digest is None or "@" in taken:
        return taken
    return pinned(taken, {taken: entry.digest})


def _is_here(engine: Engine, taken: str, entry: Entry) -> bool:
    """Return whether an image with a digest is here: by that digest, or by its ID, as a bundle has none."""
    return (
        engine.image_id(_by_digest(taken, entry)) is not None or engine.image_id(taken) == entry.id
    )


def _not_as_locked(engine: Engine, taken: str, entry: Entry) -> StackctlError:
    """Return the error for an image with a digest that is not here, or differs here."""
    found = engine.image_id(taken)
    if found is None:
        return StackctlError(f"not here: {_by_digest(taken, entry)}", remedy=_PULL)
    digest = _digest_of(engine, taken)
    what = _short(digest) if digest else f"{_short(found)} (its ID, for it has no digest)"
    return StackctlError(
        f"the digest of {taken} differs: locked {_short(entry.digest or entry.id)}, here {what}",
        remedy=f"{_PULL}; {_AGAIN}",
    )


def _digest_of(engine: Engine, taken: str) -> str | None:
    """Return the digest of an image in the repository that its reference names."""
    if "@" in taken:
        return taken.partition("@")[2]
    repository = taken[: taken.rindex(":")] if ":" in taken.rpartition("/")[2] else taken
    known = engine.image_digests(taken)
    # The engine leaves Docker Hub's host out.
    return known.get(repository) or known.get(repository.removeprefix("docker.io/"))


def _short(id_: str) -> str:
    return id_.removeprefix("sha256:")[:12]


def _first(error: ValidationError) -> str:
    one = error.errors()[0]
    where = ".".join(map(str, one["loc"]))
    return f"{where}: {one['msg']}" if where else str(one["msg"])
