"""A bundle's file: images for a machine without a registry, in one tar that a save which was cut off goes on with.

In this order the tar has
  bundle.json                  the format and the images (`Head`): by it a save knows the file that it had begun
  blobs/sha256/<sum>.zst       a layer or a configuration, once however many images share it, compressed with zstd;
                               <sum> is the SHA-256 of what was compressed
  manifest.json.zst            what is in each image, and size and checksum of each part (`Manifest`)
Every member is a plain file. Its header is written when its content is there, so that what has a header is whole.
Nothing here knows Docker, but for the tar that `docker load` takes, and no part is ever in memory as a whole.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import io
import json
import os
import re
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Annotated, Literal, TypeVar, cast

import zstandard
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from stackctl import __version__
from stackctl.errors import StackctlError, UsageError

FORMAT = 1

_HEAD = "bundle.json"
_MANIFEST = "manifest.json.zst"
_BLOB = re.compile(r"blobs/sha256/([0-9a-f]{64})\.zst")
_MAX_TEXT = 1024 * 1024
"""Bytes that the head or the manifest may have: fifteen images come to some ten thousand."""
_BLOCK = tarfile.BLOCKSIZE
_END = bytes(2 * _BLOCK)
_CHUNK = 1024 * 1024
_LEVEL = 3
"""Of the layers here it makes less than gzip does at its best, in an eighth of the time."""

Sum = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


class BadBundle(StackctlError):
    """The file is damaged, or is no bundle of stackctl's."""


class Bundled(BaseModel):
    """An image in a bundle: its name in the stack, its reference, and its ID in the engine that it was saved from."""

    model_config = ConfigDict(frozen=True)

    name: str
    reference: Annotated[str, StringConstraints(pattern=r"^\w[\w./:-]*$")]
    id: str


class _Origin(BaseModel):
    """What the head of every format has."""

    model_config = ConfigDict(frozen=True)

    format: int
    stackctl: str


class Head(_Origin):
    """What is known of a bundle before it is written; `inputs` is what its local set was built from."""

    set: Literal["upstream", "local"]
    inputs: str | None
    images: tuple[Bundled, ...] = Field(min_length=1)


class Content(BaseModel):
    """What an image is made of: the checksums of its configuration and of its layers, the lowest first."""

    model_config = ConfigDict(frozen=True)

    config: Sum
    layers: tuple[Sum, ...]


class Part(BaseModel):
    """A part: the checksum and size of what was compressed, and size and checksum as it is stored. In bytes."""

    model_config = ConfigDict(frozen=True)

    content: Sum
    size: int = Field(ge=0)
    stored: int = Field(ge=0)
    sha256: Sum


class Manifest(Head):
    """What a bundle says of itself. `contents` are those of `images`, in that order."""

    contents: tuple[Content, ...]
    parts: tuple[Part, ...]


_Kind = TypeVar("_Kind", bound=Head)


def head_of(
    set_: Literal["upstream", "local"], inputs: str | None, images: tuple[Bundled, ...]
) -> Head:
    """Give the head of a new bundle."""
    return Head(format=FORMAT, stackctl=__version__, set=set_, inputs=inputs, images=images)


@dataclass(frozen=True, slots=True)
class _Member:
    """A member of the tar: its name, where its header and its content begin, and the content's size in bytes."""

    name: str
    at: int
    content: int
    size: int

    @property
    def end(self) -> int:
        return self.content + self.size + -self.size % _BLOCK


class Writer:
    """Writes a bundle into a file beside its place, with what an earlier save had finished of the same images."""

    def __init__(self, path: Path, stream: IO[bytes], head: Head) -> None:
        self._path = path
        self._stream = stream
        self._head = head
        self._parts: dict[str, Part] = {}
        self._resume()
        self.resumed = len(self._parts)
        """How many parts an earlier save had finished."""

    def has(self, content: str) -> bool:
        """Tell whether the bundle has a blob already."""
        return content in self._parts

    def add(self, content: str, blob: IO[bytes]) -> None:
        """Compress a blob into the bundle. Raises StackctlError where `content` is not its SHA-256."""
        at = self._begin()
        compressor = zstandard.ZstdCompressor(level=_LEVEL).compressobj()
        plain, stored = hashlib.sha256(), hashlib.sha256()
        size = length = 0
        while chunk := blob.read(_CHUNK):
            plain.update(chunk)
            size += len(chunk)
            packed = compressor.compress(chunk)
            stored.update(packed)
            length += self._stream.write(packed)
        packed = compressor.flush()
        stored.update(packed)
        length += self._stream.write(packed)
        if plain.hexdigest() != content:
            raise StackctlError(
                f"the engine gave another content for the blob {content[:12]}", remedy="try again"
            )
        self._end(at, f"blobs/sha256/{content}.zst", length)
        self._parts[content] = Part(
            content=content, size=size, stored=length, sha256=stored.hexdigest()
        )

    def close(self, contents: tuple[Content, ...]) -> Manifest:
        """Add the manifest, and put the bundle in its place."""
        manifest = Manifest(
            **self._head.model_dump(), contents=contents, parts=tuple(self._parts.values())
        )
        # zstd's own checksum guards the manifest, which nothing else does.
        compressor = zstandard.ZstdCompressor(level=_LEVEL, write_checksum=True)
        self._whole(_MANIFEST, compressor.compress(manifest.model_dump_json(indent=2).encode()))
        self._stream.write(_END)
        self._stream.flush()
        os.fsync(self._stream.fileno())
        _partial(self._path).replace(self._path)
        return manifest

    def _resume(self) -> None:
        head = self._head.model_dump_json(indent=2).encode()
        members = _members(self._path, self._stream)
        end = 0
        # What is behind a broken header, or is no bundle at all, is written anew.
        with contextlib.suppress(BadBundle, ValueError):
            first = next(members, None)
            if first is not None and first.name == _HEAD and _content(self._stream, first) == head:
                end = first.end
                for part, end in _finished(self._stream, members):  # noqa: B007 - the last one counts
                    self._parts[part.content] = part
        self._stream.seek(end)
        self._stream.truncate()
        if not end:
            self._whole(_HEAD, head)

    def _whole(self, name: str, content: bytes) -> None:
        at = self._begin()
        self._stream.write(content)
        self._end(at, name, len(content))

    def _begin(self) -> int:
        at = self._stream.tell()
        self._stream.write(bytes(_BLOCK))
        return at

    def _end(self, at: int, name: str, size: int) -> None:
        self._stream.write(bytes(-size % _BLOCK))
        after = self._stream.tell()
        self._stream.seek(at)
        self._stream.write(_header(name, size))
        self._stream.seek(after)


def _finished(stream: IO[bytes], members: Iterator[_Member]) -> Iterator[tuple[Part, int]]:
    """Give the parts that an earlier save wrote, each with its end, up to the first that is not what its name says."""
    for member in members:
        found = _BLOB.fullmatch(member.name)
        if found is None:
            return
        stored, size = hashlib.sha256(), 0
        try:
            for chunk in _unpacked(stream, member, found[1]):
                size += len(chunk)
        except (ValueError, zstandard.ZstdError):
            return
        stream.seek(member.content)
        for chunk in _chunks(stream, member.size):
            stored.update(chunk)
        part = Part(content=found[1], size=size, stored=member.size, sha256=stored.hexdigest())
        yield part, member.end


@contextlib.contextmanager
def writing(path: Path, head: Head) -> Iterator[Writer]:
    """Write a bundle beside `path` while the body runs; `Writer.close` puts it there.

    What was finished stays beside it where the body is cut off or fails, and the next save of the same images goes on
    from there. Raises StackctlError where it cannot be written, or another save is at it.
    """
    try:
        descriptor = os.open(_partial(path), os.O_RDWR | os.O_CREAT, 0o644)
        with os.fdopen(descriptor, "r+b") as stream:
            _lock(path, stream)
            yield Writer(path, stream, head)
    except OSError as error:
        raise StackctlError(
            f"{path} cannot be written: {error.strerror or error}",
            remedy="see to room in a folder that you can write, and save again: what is finished is kept",
        ) from None


def _lock(path: Path, stream: IO[bytes]) -> None:
    try:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # One that ended just now has put what is open here in its place.
        if not os.path.samestat(os.fstat(stream.fileno()), _partial(path).stat()):
            raise BlockingIOError
    except (BlockingIOError, FileNotFoundError):
        raise StackctlError(
            f"another stackctl is writing {path}", remedy="wait for it to end"
        ) from None


def _partial(path: Path) -> Path:
    return path.with_name(f".{path.name}.partial")


class Reader:
    """A bundle that was found to be whole: `manifest` is what it has, `archive` gives an image of it."""

    def __init__(
        self, path: Path, stream: IO[bytes], manifest: Manifest, places: dict[str, _Member]
    ) -> None:
        self._path = path
        self._stream = stream
        self._places = places
        self._sizes = {part.content: part.size for part in manifest.parts}
        self.manifest = manifest

    def archive(self, image: Bundled) -> Iterator[bytes]:
        """Give the tar of one image for `docker load`, piece by piece.

        What makes it an image comes last: a tar that is cut off before, as by the BadBundle that this raises for a
        part which is not what its name says, loads nothing.
        """
        content = self.manifest.contents[self.manifest.images.index(image)]
        for blob in dict.fromkeys((content.config, *content.layers)):
            yield _header(_blob(blob), self._sizes[blob])
            try:
                yield from _unpacked(self._stream, self._places[blob], blob, self._sizes[blob])
            except (ValueError, zstandard.ZstdError) as error:
                raise _damaged(self._path, str(error)) from None
            yield bytes(-self._sizes[blob] % _BLOCK)
        listed = [
            {
                "Config": _blob(content.config),
                "RepoTags": [image.reference],
                "Layers": [_blob(layer) for layer in content.layers],
            }
        ]
        text = json.dumps(listed).encode()
        yield _header("manifest.json", len(text)) + text + bytes(-len(text) % _BLOCK) + _END


@contextlib.contextmanager
def reading(path: Path) -> Iterator[Reader]:
    """Open a bundle, and give it once all of it is found to be good.

    Raises BadBundle, before anything is given, for a file that is not a bundle, is of a newer format or is damaged.
    """
    try:
        stream = path.open("rb")
    except OSError as error:
        raise UsageError(
            f"{path} cannot be read: {error.strerror}",
            remedy="name a file that `stackctl images save` wrote",
        ) from None
    with stream:
        try:
            manifest, places = _verify(path, stream)
        except (OSError, zstandard.ZstdError, ValueError) as error:
            raise _damaged(path, str(error)) from None
        yield Reader(path, stream, manifest, places)


def _verify(path: Path, stream: IO[bytes]) -> tuple[Manifest, dict[str, _Member]]:
    members = _members(path, stream)
    first = next(members, None)
    if first is None or first.name != _HEAD:
        raise _foreign(path)
    head = _parse(path, Head, _content(stream, first))
    places: dict[str, _Member] = {}
    sums: dict[str, tuple[int, str]] = {}
    for member in members:
        if member.name == _MANIFEST:
            break
        found = _BLOB.fullmatch(member.name)
        if found is None or found[1] in places:
            raise _foreign(path)
        digest = hashlib.sha256()
        for chunk in _chunks(stream, member.size):
            digest.update(chunk)
        places[found[1]] = member
        sums[found[1]] = member.size, digest.hexdigest()
    else:
        raise _damaged(path, "it ends before its manifest")
    text = zstandard.ZstdDecompressor().decompress(
        _content(stream, member), max_output_size=_MAX_TEXT
    )
    manifest = _parse(path, Manifest, text)
    stream.seek(member.end)
    if stream.read(len(_END) + 1) != _END:
        raise _damaged(path, "it does not end behind its manifest")
    if Head(**manifest.model_dump(include=set(Head.model_fields))) != head:
        raise _damaged(path, "its head and its manifest differ")
    if sums.keys() != {part.content for part in manifest.parts}:
        raise _damaged(path, "its parts are not those of its manifest")
    for part in manifest.parts:
        if sums[part.content] != (part.stored, part.sha256):
            raise _damaged(path, f"the checksum of the part {part.content[:12]} is another")
    used = {blob for content in manifest.contents for blob in (content.config, *content.layers)}
    if not used <= sums.keys() or len(manifest.contents) != len(manifest.images):
        raise _foreign(path)
    return manifest, places


def _parse(path: Path, kind: type[_Kind], content: bytes) -> _Kind:
    try:
        origin = _Origin.model_validate_json(content)
        if origin.format == FORMAT:
            return kind.model_validate_json(content)
    except ValidationError:
        raise _foreign(path) from None
    raise BadBundle(
        f"{path} has format {origin.format}, and this is stackctl {__version__} with format {FORMAT}",
        remedy=f"load it with stackctl {origin.stackctl[:40]}, which wrote it",
    )


def _members(path: Path, stream: IO[bytes]) -> Iterator[_Member]:
    """Give the members up to the tar's end, with the file at each one's content. Raises BadBundle at what is none.

    The library's own reader takes more than a bundle has: links, folders, and headers of any length.
    """
    length = stream.seek(0, os.SEEK_END)
    at = 0
    while at < length:
        stream.seek(at)
        block = stream.read(_BLOCK)
        if block == bytes(_BLOCK):
            return
        try:
            info = tarfile.TarInfo.frombuf(block, "utf-8", "strict")
        except (tarfile.HeaderError, UnicodeError):
            raise _foreign(path) if at == 0 else _damaged(path, "a header is broken") from None
        if info.type != tarfile.REGTYPE or info.size < 0:
            raise _foreign(path)
        member = _Member(info.name, at, at + _BLOCK, info.size)
        if member.end > length:
            raise _damaged(path, "it is cut off")
        yield member
        at = member.end


def _content(stream: IO[bytes], member: _Member) -> bytes:
    """Give the content of a member that is text. Raises ValueError for one that is too long to be it."""
    if member.size > _MAX_TEXT:
        raise ValueError(f"{member.name} has {member.size} bytes")
    stream.seek(member.content)
    return stream.read(member.size)


def _header(name: str, size: int) -> bytes:
    info = tarfile.TarInfo(name)
    info.size = size
    info.mode = 0o644
    return info.tobuf(tarfile.GNU_FORMAT)


def _blob(content: str) -> str:
    return f"blobs/sha256/{content}"


def _chunks(stream: IO[bytes], size: int) -> Iterator[bytes]:
    while size:
        chunk = stream.read(min(_CHUNK, size))
        if not chunk:
            raise ValueError("it is cut off")
        size -= len(chunk)
        yield chunk


def _unpacked(
    stream: IO[bytes], member: _Member, content: str, size: int | None = None
) -> Iterator[bytes]:
    """Give a part as it was before it was compressed. Raises ValueError where it is not what its name says."""
    digest, length = hashlib.sha256(), 0
    stream.seek(member.content)
    unpacking = zstandard.ZstdDecompressor().stream_reader(
        cast("IO[bytes]", _Piece(stream, member.size))
    )
    while chunk := unpacking.read(_CHUNK):
        digest.update(chunk)
        length += len(chunk)
        if size is not None and length > size:
            break
        yield chunk
    if size not in (None, length) or digest.hexdigest() != content:
        raise ValueError(f"the content of the part {content[:12]} is another")


class _Piece(io.RawIOBase):
    """Reads no further than so many bytes of another file."""

    def __init__(self, source: IO[bytes], size: int) -> None:
        super().__init__()
        self._source = source
        self._left = size

    def read(self, size: int = -1, /) -> bytes:
        """Read from the other file."""
        chunk = self._source.read(self._left if size < 0 else min(size, self._left))
        self._left -= len(chunk)
        return chunk


def _damaged(path: Path, why: str) -> BadBundle:
    return BadBundle(
        f"{path} is damaged or is not a bundle: {why[:200]}",
        remedy="take another copy of the file",
    )


def _foreign(path: Path) -> BadBundle:
    return BadBundle(
        f"{path} is not a bundle of stackctl's",
        remedy="name a file that `stackctl images save` wrote",
    )
