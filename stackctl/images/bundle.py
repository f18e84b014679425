"""The file of a bundle: images for a machine without a registry.

It is a tar as `docker save` writes it, which has each layer once, compressed with zstd. Two things are added:
  bundle.json   the tar's first member, which says what is in the bundle (`Manifest`)
  the end       a skippable frame (RFC 8878, section 3.1.2) with the SHA-256 of all that precedes it
zstd and `docker load` ignore both, so that a machine without stackctl can read the file too. It is never in memory as
a whole.
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
"""How a bundle of format 1 begins: it was a tar of compressed members."""
_CHUNK = 1024 * 1024
_TAR_BUFFER = 64 * 1024
"""The library copies a larger one too often: it appends 16 KiB at a time."""
_LEVEL = 3
"""Of the local set it makes less than gzip at its best, in an eighth of the time."""
_END = struct.Struct("<II32s")
"""The last frame: the number that marks it as skippable, the size of its content, and the content."""
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
    """What the manifest of every format has."""

    model_config = ConfigDict(frozen=True)

    format: int
    stackctl: str


class Manifest(_Origin):
    """What is in a bundle. `inputs` is what its local set was built from."""

    set: Literal["upstream", "local"]
    inputs: str | None
    images: tuple[Bundled, ...] = Field(min_length=1)


@contextlib.contextmanager
def writing(path: Path, manifest: Manifest) -> Iterator[tarfile.TarFile]:
    """Open a bundle's tar, for the body to add what `docker save` gives of the manifest's images.

    The file is at `path`, whole and on disk, once the body has ended well; else what was there stays. Raises
    StackctlError where it cannot be written.
    """
    temporary: Path | None = None
    try:
        descriptor, temporary = temporary_beside(path)
        with os.fdopen(descriptor, "wb") as stream:
            hashing = _Hashing(stream)
            # The checksum lets `docker load` and zstd notice damage too.
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
            f"{path} cannot be written: {error.strerror or error}",
            remedy="choose a folder that you can write, with room for the images",
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
    """Writes to another file; `sha256` is the hash of what was written."""

    def __init__(self, target: IO[bytes]) -> None:
        self._target = target
        self.sha256 = hashlib.sha256()

    def write(self, data: bytes) -> int:
        """Write to the other file."""
        self.sha256.update(data)
        return self._target.write(data)


@dataclass(frozen=True, slots=True)
class Opened:
    """A bundle that was found to be whole."""

    manifest: Manifest
    _stream: IO[bytes]

    def archive(self) -> Iterator[bytes]:
        """Return the file, piece by piece, for `docker load`."""
        self._stream.seek(0)
        return iter(partial(self._stream.read, _CHUNK), b"")


@contextlib.contextmanager
def reading(path: Path) -> Iterator[Opened]:
    """Open a bundle once the checksum of the whole file is found to be right.

    Raises BadBundle for a file that is not a bundle, is of another format or is damaged, UsageError for one that
    cannot be opened.
    """
    try:
        if path.is_fifo():
            # It is read twice; and opening one that nobody writes to would wait for ever.
            raise OSError(errno.ESPIPE, "it is a pipe")
        stream = path.open("rb")
    except OSError as error:
        raise UsageError(
            f"{path} cannot be read: {error.strerror}",
            remedy="name a file that `stackctl images save` wrote",
        ) from None
    with stream:
        try:
            _verify(path, stream)
            manifest = _manifest(path, stream)
        except OSError as error:
            raise _damaged(path, error.strerror or str(error)) from None
        yield Opened(manifest, stream)


def _verify(path: Path, stream: IO[bytes]) -> None:
    """Raise BadBundle unless the file ends with the checksum of what is before."""
    beginning = stream.read(len(_OF_FORMAT_1))
    if beginning == _OF_FORMAT_1:
        raise BadBundle(
            f"{path} has format 1, and this is stackctl {__version__} with format {FORMAT}",
            remedy="save it again with `stackctl images save`",
        )
    if not beginning.startswith(zstandard.FRAME_HEADER):
        raise BadBundle(
            f"{path} is not a bundle", remedy="name a file that `stackctl images save` wrote"
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
    """Return the manifest of a bundle whose checksum is right."""
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
        f"{path} has format {origin.format}, and this is stackctl {__version__} with format {FORMAT}",
        remedy=f"load it with stackctl {origin.stackctl[:40]}, which wrote it",
    )


def _damaged(path: Path, why: str) -> BadBundle:
    return BadBundle(
        f"{path} is damaged or is not a bundle: {why}", remedy="take another copy of the file"
    )
