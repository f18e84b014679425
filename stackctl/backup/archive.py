"""A backup's file: a gzip'd tar of one plain tar a volume and, last, manifest.json with their sizes and checksums.

The volumes' tars are as the engine gives them: every name in them begins with `volume`, and owners and modes are
theirs. Nothing here knows Docker, and nothing is ever in memory as a whole.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import gzip
import hashlib
import io
import os
import tarfile
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import IO, TYPE_CHECKING

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from stackctl import __version__
from stackctl.docker.named_volumes import ROOT
from stackctl.errors import StackctlError, UsageError
from stackctl.project.state import temporary_beside

if TYPE_CHECKING:
    from _typeshed import SupportsRead

FORMAT = 1

_MANIFEST = "manifest.json"
_MAX_MANIFEST = 1024 * 1024
_CHUNK = 1024 * 1024
_LEVEL = 6
"""gzip's own default: Python's 9 takes several times as long for one or two percent."""
_UNREADABLE = (tarfile.TarError, EOFError, OSError, zlib.error, ValueError)


class BadBackup(StackctlError):
    """The file is damaged, or is no backup of stackctl's."""


class Volume(BaseModel):
    """A volume in a backup. `size` is its tar's, in bytes; `image` is what the service that wrote it ran on."""

    model_config = ConfigDict(frozen=True)

    name: str
    image: str
    size: int
    sha256: str


class _Origin(BaseModel):
    """What the manifest of every format has."""

    model_config = ConfigDict(frozen=True)

    format: int
    stackctl: str


class Manifest(_Origin):
    """What a backup says of itself."""

    project: str
    time: AwareDatetime
    volumes: tuple[Volume, ...] = Field(min_length=1)


class Writer:
    """Adds volumes to a backup that is being written."""

    def __init__(self, tar: tarfile.TarFile) -> None:
        self._tar = tar
        self.volumes: list[Volume] = []

    def add(self, name: str, image: str, content: IO[bytes]) -> None:
        """Add a volume from a file that holds its tar."""
        size = content.seek(0, os.SEEK_END)
        content.seek(0)
        hashing = _Hashing(content)
        self._member(_member_of(name), size, hashing)
        self.volumes.append(Volume(name=name, image=image, size=size, sha256=hashing.digest()))

    def close(self, project: str) -> Manifest:
        """Add the manifest, which ends the backup."""
        manifest = Manifest(
            format=FORMAT,
            stackctl=__version__,
            project=project,
            time=dt.datetime.now(dt.UTC).replace(microsecond=0),
            volumes=tuple(self.volumes),
        )
        content = manifest.model_dump_json(indent=2).encode() + b"\n"
        self._member(_MANIFEST, len(content), io.BytesIO(content))
        return manifest

    def _member(self, name: str, size: int, content: SupportsRead[bytes]) -> None:
        info = tarfile.TarInfo(name)
        info.size = size
        info.mode = 0o600
        info.mtime = int(dt.datetime.now(dt.UTC).timestamp())
        self._tar.addfile(info, content)


def refuse_existing(path: Path, *, force: bool) -> None:
    """Raise UsageError where a backup cannot be written: the file exists and `force` is not given, or no folder."""
    if not path.parent.is_dir():
        raise UsageError(f"there is no folder {path.parent}", remedy=f"mkdir -p {path.parent}")
    if path.is_dir():
        raise UsageError(f"{path} is a folder", remedy="name a file in it")
    if path.exists() and not force:
        raise UsageError(f"{path} exists", remedy="--force replaces it")


@contextlib.contextmanager
def writing(path: Path) -> Iterator[Writer]:
    """Write a backup beside `path` while the body runs, and put it there once the body has ended well.

    Only its user can read it: Grafana's database has secrets. Raises StackctlError where it cannot be written.
    """
    temporary: Path | None = None
    try:
        descriptor, temporary = temporary_beside(path)
        with os.fdopen(descriptor, "wb") as stream:
            with tarfile.open(fileobj=stream, mode="w:gz", compresslevel=_LEVEL) as tar:
                yield Writer(tar)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(path)
    except OSError as error:
        raise StackctlError(
            f"{path} cannot be written: {error.strerror or error}",
            remedy="choose a folder that you can write, with room for the data",
        ) from None
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def streaming(stream: IO[bytes]) -> Iterator[Writer]:
    """Write a backup to a stream, such as a pipe, while the body runs.

    What is cut off is no backup: `reading` finds its end missing. Raises StackctlError where it cannot be written.
    """
    try:
        # tarfile's own "w|gz" takes no level before Python 3.12.
        with (
            gzip.GzipFile("", "wb", _LEVEL, stream) as packed,
            tarfile.open(fileobj=packed, mode="w|") as tar,
        ):
            yield Writer(tar)
        stream.flush()
    except BrokenPipeError:
        raise StackctlError("whoever read the backup has gone before its end") from None
    except OSError as error:
        raise StackctlError(f"the backup cannot be written: {error.strerror or error}") from None


class Reader:
    """A backup that was found to be whole: `manifest` is what it has, `volumes` gives it."""

    def __init__(self, path: Path, stream: IO[bytes], manifest: Manifest) -> None:
        self._path = path
        self._stream = stream
        self.manifest = manifest

    def volumes(self) -> Iterator[tuple[Volume, IO[bytes]]]:
        """Yield each volume with its tar, which must be read before the next one is requested."""
        known = {_member_of(volume.name): volume for volume in self.manifest.volumes}
        with _translated(self._path), _members(self._stream) as tar:
            for member in tar:
                if member.name in known:
                    yield known[member.name], _content(tar, member)


@contextlib.contextmanager
def reading(path: Path, known: Iterable[str]) -> Iterator[Reader]:
    """Open a backup that may have the `known` volumes, and return it after all of it has been verified.

    Raises BadBackup, before anything is given, for a file that is not a backup, is of a newer format, is damaged,
    or has a volume or a path in a volume that a backup never has.
    """
    try:
        stream = path.open("rb")
    except OSError as error:
        raise UsageError(
            f"{path} cannot be read: {error.strerror}",
            remedy="name a file that `stackctl backup` wrote",
        ) from None
    with stream:
        yield Reader(
            path, stream, _verify(path, stream, {_member_of(name): name for name in known})
        )


def _verify(path: Path, stream: IO[bytes], known: dict[str, str]) -> Manifest:
    found: dict[str, tuple[int, str]] = {}
    manifest: Manifest | None = None
    with _translated(path), _members(stream) as tar:
        for member in tar:
            if manifest is not None or not (member.isreg() and member.name in {*known, _MANIFEST}):
                raise _foreign(path)
            content = _content(tar, member)
            if member.name == _MANIFEST:
                manifest = _parse(path, content.read(_MAX_MANIFEST))
            elif known[member.name] in found:
                raise _foreign(path)
            else:
                found[known[member.name]] = (member.size, _examine(path, content))
    if manifest is None:
        raise _damaged(path, "it ends before its manifest")
    if found.keys() != {volume.name for volume in manifest.volumes}:
        raise _damaged(path, "its volumes are not those of its manifest")
    for volume in manifest.volumes:
        if found[volume.name] != (volume.size, volume.sha256):
            raise _damaged(path, f"the checksum of {volume.name} is another")
    return manifest


def _parse(path: Path, content: bytes) -> Manifest:
    try:
        origin = _Origin.model_validate_json(content)
        if origin.format == FORMAT:
            return Manifest.model_validate_json(content)
    except ValidationError:
        raise _foreign(path) from None
    raise BadBackup(
        f"{path} has format {origin.format}, and this is stackctl {__version__} with format {FORMAT}",
        remedy=f"restore it with stackctl {origin.stackctl}, which wrote it",
    )


def _examine(path: Path, content: IO[bytes]) -> str:
    """Check every name in a volume's tar and return the tar's checksum.

    The engine unpacks a tar inside a container that has nothing but the volume; a path that leaves the volume's
    folder tells all the same that somebody made it, and so does anything behind the tar's end.
    """
    hashing = _Hashing(content)
    links: set[PurePosixPath] = set()
    with tarfile.open(fileobj=hashing, mode="r|", bufsize=_CHUNK) as tar:
        for member in tar:
            # The library keeps every member that it has read, and a volume may have millions.
            tar.members.clear()  # type: ignore[attr-defined]
            where = PurePosixPath(member.name)
            inside = _is_inside(where) and links.isdisjoint(where.parents)
            if member.islnk():
                inside = inside and _is_inside(PurePosixPath(member.linkname))
            if not inside or member.ischr() or member.isblk():
                raise BadBackup(
                    f"{path} has a path that no backup has: {member.name[:200]!r}",
                    remedy="do not use this file",
                )
            if member.issym():
                links.add(where)
        end = tar.offset
    while hashing.read(_CHUNK):
        pass
    if hashing.last_data > end:
        raise _damaged(path, "a volume goes on behind its end")
    return hashing.digest()


def _is_inside(where: PurePosixPath) -> bool:
    return where.parts[:1] == (ROOT,) and ".." not in where.parts


class _Hashing(io.RawIOBase):
    """Reads from another file and keeps what went through: its checksum, and the place of its last byte but zeros."""

    def __init__(self, source: IO[bytes]) -> None:
        super().__init__()
        self._source = source
        self._hash = hashlib.sha256()
        self._position = 0
        self.last_data = 0

    def read(self, size: int = -1, /) -> bytes:
        """Read from the other file."""
        chunk = self._source.read(size)
        self._hash.update(chunk)
        length = len(chunk.rstrip(b"\0"))
        if length:
            self.last_data = self._position + length
        self._position += len(chunk)
        return chunk

    def digest(self) -> str:
        """Return the SHA-256 of all that was read, in hexadecimal."""
        return self._hash.hexdigest()


def _member_of(volume: str) -> str:
    return f"volumes/{volume}.tar"


@contextlib.contextmanager
def _members(stream: IO[bytes]) -> Iterator[tarfile.TarFile]:
    """Open the outer tar from its beginning, and read to the end of the file: gzip has its own checksum there."""
    stream.seek(0)
    with (
        gzip.GzipFile(fileobj=stream, mode="rb") as plain,
        tarfile.open(fileobj=plain, mode="r|", bufsize=_CHUNK) as tar,
    ):
        yield tar
        while plain.read(_CHUNK):
            pass


def _content(tar: tarfile.TarFile, member: tarfile.TarInfo) -> IO[bytes]:
    content = tar.extractfile(member)
    assert content is not None  # noqa: S101 - a regular file has content
    return content


@contextlib.contextmanager
def _translated(path: Path) -> Iterator[None]:
    try:
        yield
    except _UNREADABLE as error:
        raise _damaged(path, str(error) or type(error).__name__) from None


def _damaged(path: Path, why: str) -> BadBackup:
    return BadBackup(
        f"{path} is damaged or is not a backup: {why[:200]}", remedy="take another copy of the file"
    )


def _foreign(path: Path) -> BadBackup:
    return BadBackup(
        f"{path} is not a backup of stackctl's", remedy="name a file that `stackctl backup` wrote"
    )
