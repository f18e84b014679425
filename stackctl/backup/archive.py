"""The file of a backup: a tar.gz with one tar per volume and finally manifest.json with their sizes and checksums.

The volumes' tars come from the engine: every path in them begins with `volume`, and owners and modes are kept. This
module does not depend on Docker, and never loads a volume into memory as a whole.
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
"""gzip's default; Python's default of 9 takes several times as long and saves one or two percent."""
_UNREADABLE = (tarfile.TarError, EOFError, OSError, zlib.error, ValueError)


class BadBackup(StackctlError):
    """The file is damaged, or is not a backup of stackctl."""


class Volume(BaseModel):
    """A volume in a backup: `size` is the size of its tar in bytes, `image` the image of the service that wrote it."""

    model_config = ConfigDict(frozen=True)

    name: str
    image: str
    size: int
    sha256: str


class _Origin(BaseModel):
    """The members of the manifest in every format."""

    model_config = ConfigDict(frozen=True)

    format: int
    stackctl: str


class Manifest(_Origin):
    """The manifest of a backup."""

    project: str
    time: AwareDatetime
    volumes: tuple[Volume, ...] = Field(min_length=1)


class Writer:
    """Adds volumes to a backup that is being written."""

    def __init__(self, tar: tarfile.TarFile) -> None:
        self._tar = tar
        self.volumes: list[Volume] = []

    def add(self, name: str, image: str, content: IO[bytes]) -> None:
        """Add a volume from a file that contains its tar."""
        size = content.seek(0, os.SEEK_END)
        content.seek(0)
        hashing = _Hashing(content)
        self._member(_member_of(name), size, hashing)
        self.volumes.append(Volume(name=name, image=image, size=size, sha256=hashing.digest()))

    def close(self, project: str) -> Manifest:
        """Add the manifest, which completes the backup."""
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
    """Raise UsageError if the file exists and `force` is not set, or its folder does not exist."""
    if not path.parent.is_dir():
        raise UsageError(f"folder {path.parent} does not exist", remedy=f"mkdir -p {path.parent}")
    if path.is_dir():
        raise UsageError(f"{path} is a folder", remedy="specify a file in it")
    if path.exists() and not force:
        raise UsageError(f"{path} already exists", remedy="replace it with --force")


@contextlib.contextmanager
def writing(path: Path) -> Iterator[Writer]:
    """Write a backup to a temporary file while the body runs, and rename it to `path` if the body succeeds.

    Only its user can read it, because Grafana's database contains secrets. Raises StackctlError if it cannot be
    written.
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
            f"cannot write {path}: {error.strerror or error}",
            remedy="choose a writable folder with enough space for the data",
        ) from None
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def streaming(stream: IO[bytes]) -> Iterator[Writer]:
    """Write a backup to a stream, such as a pipe, while the body runs.

    A truncated backup is not valid: `reading` detects the missing end. Raises StackctlError if it cannot be written.
    """
    try:
        # tarfile's "w|gz" does not accept a compression level before Python 3.12.
        with (
            gzip.GzipFile("", "wb", _LEVEL, stream) as packed,
            tarfile.open(fileobj=packed, mode="w|") as tar,
        ):
            yield Writer(tar)
        stream.flush()
    except BrokenPipeError:
        raise StackctlError("the reader of the backup closed the pipe before its end") from None
    except OSError as error:
        raise StackctlError(f"cannot write the backup: {error.strerror or error}") from None


class Reader:
    """A backup that was verified: its `manifest` and its `volumes`."""

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
    """Open a backup that may contain the `known` volumes, after verifying all of it.

    Raises BadBackup, before anything is given, for a file that is not a backup, is of a newer format, is damaged,
    or has a volume or a path in a volume that a backup never has.
    """
    try:
        stream = path.open("rb")
    except OSError as error:
        raise UsageError(
            f"cannot read {path}: {error.strerror}",
            remedy="specify a file that `stackctl backup` wrote",
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
        raise _damaged(path, "its volumes do not match its manifest")
    for volume in manifest.volumes:
        if found[volume.name] != (volume.size, volume.sha256):
            raise _damaged(path, f"checksum mismatch for {volume.name}")
    return manifest


def _parse(path: Path, content: bytes) -> Manifest:
    try:
        origin = _Origin.model_validate_json(content)
        if origin.format == FORMAT:
            return Manifest.model_validate_json(content)
    except ValidationError:
        raise _foreign(path) from None
    raise BadBackup(
        f"{path} has format {origin.format}, but stackctl {__version__} requires format {FORMAT}",
        remedy=f"restore it with stackctl {origin.stackctl}, which wrote it",
    )


def _examine(path: Path, content: IO[bytes]) -> str:
    """Check every path in a volume's tar, and return the tar's checksum.

    The engine unpacks a tar inside a container that has nothing but the volume. A path outside of the volume's folder
    nevertheless shows that the file was tampered with, as does data after the tar's end.
    """
    hashing = _Hashing(content)
    links: set[PurePosixPath] = set()
    with tarfile.open(fileobj=hashing, mode="r|", bufsize=_CHUNK) as tar:
        for member in tar:
            # The library keeps every member that it reads, and a volume may have millions.
            tar.members.clear()  # type: ignore[attr-defined]
            where = PurePosixPath(member.name)
            inside = _is_inside(where) and links.isdisjoint(where.parents)
            if member.islnk():
                inside = inside and _is_inside(PurePosixPath(member.linkname))
            if not inside or member.ischr() or member.isblk():
                raise BadBackup(
                    f"{path} contains a path that is never in a backup: {member.name[:200]!r}",
                    remedy="do not use this file",
                )
            if member.issym():
                links.add(where)
        end = tar.offset
    while hashing.read(_CHUNK):
        pass
    if hashing.last_data > end:
        raise _damaged(path, "data after the end of a volume")
    return hashing.digest()


def _is_inside(where: PurePosixPath) -> bool:
    return where.parts[:1] == (ROOT,) and ".." not in where.parts


class _Hashing(io.RawIOBase):
    """Reads from another file, and computes the checksum and the position of the last non-zero byte."""

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
        """Return the SHA-256 of the data read so far, in hexadecimal."""
        return self._hash.hexdigest()


def _member_of(volume: str) -> str:
    return f"volumes/{volume}.tar"


@contextlib.contextmanager
def _members(stream: IO[bytes]) -> Iterator[tarfile.TarFile]:
    """Open the outer tar from its start, and finally read to the end of the file, where gzip has its checksum."""
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
        f"{path} is damaged or not a backup: {why[:200]}", remedy="use another copy of the file"
    )


def _foreign(path: Path) -> BadBackup:
    return BadBackup(
        f"{path} is not a backup of stackctl", remedy="specify a file that `stackctl backup` wrote"
    )
