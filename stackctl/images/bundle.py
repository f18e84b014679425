"""Bundles: files with images for machines without access to a registry.

A bundle is a tar as written by `docker save`, which contains each layer once, compressed with zstd, plus two things:
  bundle.json   the tar's first member, which describes the bundle (`Manifest`)
  the end       a skippable frame (RFC 8878, section 3.1.2) with the SHA-256 of everything before it
zstd and `docker load` ignore both, so a machine without stackctl can also read the file. It is never loaded into
memory as a whole.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import io
import os
import struct
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, Annotated, Literal, cast

import zstandard
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from stackctl import __version__
from stackctl.docker.images import Content
from stackctl.errors import StackctlError, UsageError
from stackctl.project.state import temporary_beside

FORMAT = 2

_MANIFEST = "bundle.json"
_MAX_MANIFEST = 1024 * 1024
_OF_FORMAT_1 = b"bundle.json\0"
"""The start of a bundle of format 1, which was a tar of compressed members."""
_CHUNK = 1024 * 1024
_TAR_BUFFER = 64 * 1024
"""With a larger buffer, the library copies too often, because it appends 16 KiB at a time."""
_LEVEL = 3
"""For the local set, the result is smaller than gzip's best, in an eighth of the time."""
_END = struct.Struct("<II32s")
"""The last frame: the number that marks it as skippable, the size of its content, and its content."""
_SKIPPABLE = 0x184D2A50
_MODE = 0o644

Digest = Annotated[str, StringConstraints(pattern=r"^sha256:[0-9a-f]{64}$")]


class BadBundle(StackctlError):
    """The file is damaged, or is not a bundle."""


class Bundled(BaseModel):
    """An image in a bundle: its name in the stack, its reference, and its content (`docker.images.Content`)."""

    model_config = ConfigDict(frozen=True)

    name: str
    reference: Annotated[str, StringConstraints(pattern=r"^\w[\w./:-]*$")]
    configuration: Digest
    layers: tuple[Digest, ...]

    @property
    def content(self) -> Content:
        """The content, to be compared with that of a local image."""
        return Content(self.configuration, self.layers)


class _Origin(BaseModel):
    """The members of the manifest in every format."""

    model_config = ConfigDict(frozen=True)

    format: int
    stackctl: str


class Manifest(_Origin):
    """The description of a bundle. `inputs` is the digest of the inputs of its local set."""

    set: Literal["upstream", "local"]
    inputs: str | None
    images: tuple[Bundled, ...] = Field(min_length=1)


@contextlib.contextmanager
def writing(path: Path, manifest: Manifest) -> Iterator[tarfile.TarFile]:
    """Open a bundle's tar, to which the body adds the output of `docker save` for the manifest's images.

    The complete file is at `path` after the body succeeded; otherwise an existing file is kept. Raises StackctlError if
    it cannot be written.
    """
    temporary: Path | None = None
    try:
        descriptor, temporary = temporary_beside(path)
        with os.fdopen(descriptor, "wb") as stream:
            hashing = _Hashing(stream)
            # The checksum lets `docker load` and zstd detect damage too.
            compressor = zstandard.ZstdCompressor(level=_LEVEL, write_checksum=True)
            with (
                compressor.stream_writer(cast("IO[bytes]", hashing), closefd=False) as compressed,
                tarfile.open(
                    fileobj=compressed,
                    mode="w|",
                    bufsize=_TAR_BUFFER,
                    format=tarfile.GNU_FORMAT,
                ) as tar,
            ):
                add(tar, _MANIFEST, manifest.model_dump_json(indent=2).encode())
                yield tar
            stream.write(_END.pack(_SKIPPABLE, hashing.sha256.digest_size, hashing.sha256.digest()))
            stream.flush()
            os.fchmod(stream.fileno(), _MODE)
            os.fsync(stream.fileno())
        temporary.replace(path)
    except OSError as error:
        raise StackctlError(
            f"cannot write {path}: {error.strerror or error}",
            remedy="choose a writable folder with enough space for the images",
        ) from None
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    """Add a small file to a bundle's tar."""
    member = tarfile.TarInfo(name)
    member.size = len(content)
    tar.addfile(member, io.BytesIO(content))


class _Hashing:
    """Writes to another file; `sha256` is the hash of the written data."""

    def __init__(self, target: IO[bytes]) -> None:
        self._target = target
        self.sha256 = hashlib.sha256()

    def write(self, data: bytes) -> int:
        """Write to the other file."""
        self.sha256.update(data)
        return self._target.write(data)


@dataclass(frozen=True, slots=True)
class Opened:
    """A bundle that was verified."""

    manifest: Manifest
    _stream: IO[bytes]

    def archive(self) -> Iterator[bytes]:
        """Return the chunks of the file, for `docker load`."""
        self._stream.seek(0)
        return iter(partial(self._stream.read, _CHUNK), b"")


@contextlib.contextmanager
def reading(path: Path) -> Iterator[Opened]:
    """Open a bundle after verifying the checksum of the whole file.

    Raises BadBundle for a file that is not a bundle, is of another format or is damaged, UsageError for one that
    cannot be opened.
    """
    try:
        if path.is_fifo():
            # The file is read twice, and opening a pipe without a writer would block forever.
            raise OSError(errno.ESPIPE, "it is a pipe")
        stream = path.open("rb")
    except OSError as error:
        raise UsageError(
            f"cannot read {path}: {error.strerror}",
            remedy="specify a file that `stackctl images save` wrote",
        ) from None
    with stream:
        try:
            _verify(path, stream)
            manifest = _manifest(path, stream)
        except OSError as error:
            raise _damaged(path, error.strerror or str(error)) from None
        yield Opened(manifest, stream)


def _verify(path: Path, stream: IO[bytes]) -> None:
    """Raise BadBundle unless the file ends with the right checksum."""
    beginning = stream.read(len(_OF_FORMAT_1))
    if beginning == _OF_FORMAT_1:
        raise BadBundle(
            f"{path} has format 1, but stackctl {__version__} requires format {FORMAT}",
            remedy="save it again with `stackctl images save`",
        )
    if not beginning.startswith(zstandard.FRAME_HEADER):
        raise BadBundle(
            f"{path} is not a bundle", remedy="specify a file that `stackctl images save` wrote"
        )
    left = stream.seek(0, os.SEEK_END) - _END.size
    stream.seek(max(left, 0))
    end = stream.read()
    if left < 0 or end[:8] != _END.pack(_SKIPPABLE, 32, b"")[:8]:
        raise _damaged(path, "its end is missing")
    stream.seek(0)
    digest = hashlib.sha256()
    while chunk := stream.read(min(_CHUNK, left)):
        digest.update(chunk)
        left -= len(chunk)
    if end[8:] != digest.digest():
        raise _damaged(path, "checksum mismatch")


def _manifest(path: Path, stream: IO[bytes]) -> Manifest:
    """Return the manifest of a bundle whose checksum was verified."""
    stream.seek(0)
    try:
        unpacked = zstandard.ZstdDecompressor().stream_reader(stream, closefd=False)
        member = tarfile.TarInfo.frombuf(
            unpacked.read(tarfile.BLOCKSIZE), tarfile.ENCODING, "strict"
        )
        if member.name != _MANIFEST or not 0 <= member.size <= _MAX_MANIFEST:
            raise ValueError
        content = unpacked.read(member.size)
        origin = _Origin.model_validate_json(content)
        if origin.format == FORMAT:
            return Manifest.model_validate_json(content)
    except (zstandard.ZstdError, tarfile.TarError, ValueError):
        raise _damaged(path, "it has no manifest") from None
    raise BadBundle(
        f"{path} has format {origin.format}, but stackctl {__version__} requires format {FORMAT}",
        remedy=f"load it with stackctl {origin.stackctl[:40]}, which wrote it",
    )


def _damaged(path: Path, why: str) -> BadBundle:
    return BadBundle(
        f"{path} is damaged or not a bundle: {why}", remedy="use another copy of the file"
    )
