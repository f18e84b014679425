"""stackctl.lock: which images a team runs, by digest, in the current folder like .env and to be committed.

A pulled image is locked by the digest that registries know it by, so that a tag that moves changes nothing. An image
of the local set is locked by its content, which is the same in every engine. Our own image of the upstream set is not
locked: each machine builds it from the Dockerfile that comes with stackctl.

Format 1 has the image's ID in the place of its content. The engine's image store decides about that, so such a lock
holds only where it was made; `stackctl images lock` writes format 2.
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
"""Reference → the ID that the image got here when a bundle was loaded."""
_FILE_MODE = 0o644
_AGAIN = "`stackctl images lock` records what is here"
_PULL = "`stackctl images pull` gets what is locked"

Digest = Annotated[str, StringConstraints(pattern=r"^sha256:[0-9a-f]{64}$")]


class Entry(BaseModel):
    """A locked image: its reference without a mirror, its content, and its digest where a registry gave it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    reference: str
    content: Digest | None = None
    """The digest of what it consists of (`docker.images.Content`); None in format 1."""
    id: Digest | None = None
    """Its ID in the engine that it was locked on, in format 1 only."""
    digest: Digest | None = None

    def matches(self, engine: Engine, taken: str) -> bool:
        """Return whether the image that is here by this reference is the locked one."""
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
            elif found is not None and not entry.matches(engine, taken):
                yield self._differs(engine, taken, entry)

    def _differs(self, engine: Engine, taken: str, entry: Entry) -> StackctlError:
        """Return the error for an image that is here and is not the locked one."""
        if self.format == 1:
            return StackctlError(
                f"{FILE} has format 1, which knows {taken} by an ID that differs between image stores,"
                " and the ID here is another",
                remedy="where it was made, `stackctl images lock` writes a lock that holds on every engine",
            )
        here = _identity(engine, taken, by_id=False)
        return StackctlError(
            f"{taken} is {_short(here)} here, and {_short(entry.content)} in {FILE}", remedy=_AGAIN
        )

    def pins(
        self, engine: Engine, settings: Settings, releases: Releases, *, demo: bool = True
    ) -> dict[str, str]:
        """Return the digest of each reference that is pinned to one.

        An image that was loaded from a bundle is not here by its digest: its tag is used, if it is the locked one.
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
        """Return the releases that are locked: an image is the current one where its reference is that of it alone.

        So is one that the current releases do without, where the lock does without it too.
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
            return "yes" if entry.matches(engine, taken) else "differs"
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

    An image that is the one in the `previous` lock stays locked to its digest there, whether it is here by that digest
    alone, as it was pulled, or came in a bundle and is not here by it.
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
        # containerd's store has a digest for what was built or loaded too, which no registry knows.
        made_here = taken == image.local or loaded.get(taken) == engine.image_id(taken)
        digest = kept.digest if kept else None if made_here else _digest_of(engine, taken)
        entries[image.name] = Entry(reference=plain, content=content.digest, digest=digest)
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


def _kept(
    engine: Engine, previous: Lock | None, image: Image, taken: str, plain: str
) -> Entry | None:
    """Return the previous lock's entry with a digest, if its image is here by the tag, or by the digest alone."""
    entry = previous.images.get(image.name) if previous else None
    if entry is None or entry.digest is None or entry.reference != plain:
        return None
    if engine.image_id(taken) is None:
        return entry if engine.image_id(_by_digest(taken, entry)) else None
    return entry if entry.matches(engine, taken) else None


def _by_digest(taken: str, entry: Entry) -> str:
    """Return a reference with the locked digest, where there is one and the reference itself has none."""
    if entry.digest is None or "@" in taken:
        return taken
    return pinned(taken, {taken: entry.digest})


def _is_here(engine: Engine, taken: str, entry: Entry) -> bool:
    """Return whether an image with a digest is here: by that digest, or by its content, as a bundle has none."""
    return engine.image_id(_by_digest(taken, entry)) is not None or entry.matches(engine, taken)


def _not_as_locked(engine: Engine, taken: str, entry: Entry) -> StackctlError:
    """Return the error for an image with a digest that is not here, or differs here."""
    if engine.image_id(taken) is None:
        return StackctlError(f"not here: {_by_digest(taken, entry)}", remedy=_PULL)
    digest = _digest_of(engine, taken)
    what = _short(digest) if digest else "one without a digest"
    return StackctlError(
        f"the digest of {taken} differs: locked {_short(entry.digest)}, here {what}",
        remedy=f"{_PULL}; {_AGAIN}",
    )


def _identity(engine: Engine, taken: str, *, by_id: bool) -> str | None:
    """Return what tells a local image from others: its content's digest or, as in format 1, its ID."""
    if by_id:
        return engine.image_id(taken)
    content = engine.image_content(taken)
    return None if content is None else content.digest


def _digest_of(engine: Engine, taken: str) -> str | None:
    """Return the digest of an image in the repository that its reference names."""
    if "@" in taken:
        return taken.partition("@")[2]
    repository = taken[: taken.rindex(":")] if ":" in taken.rpartition("/")[2] else taken
    known = engine.image_digests(taken)
    # The engine leaves Docker Hub's host out.
    return known.get(repository) or known.get(repository.removeprefix("docker.io/"))


def _short(digest: str | None) -> str:
    return (digest or "none").removeprefix("sha256:")[:12]


def _first(error: ValidationError) -> str:
    one = error.errors()[0]
    where = ".".join(map(str, one["loc"]))
    return f"{where}: {one['msg']}" if where else str(one["msg"])
