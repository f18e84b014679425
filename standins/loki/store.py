"""Stores lines in segment files in one folder, and finds them.

A segment is a file of JSON lines: `{"stream": 3, "labels": {…}}` names a stream, `[3, nanoseconds, "text"]` is one of
its lines. The newest is also held in memory. A full one is sealed: compressed, with an index of its streams next to it,
and read from disk when a query needs it. A segment whose lines are all older than the retention is deleted.
"""

from __future__ import annotations

import bisect
import gzip
import json
import logging
import operator
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from standins.shared.labels import LabelSet, Matcher, label_set, select
from standins.shared.logs import fields
from standins.shared.units import NANOSECONDS

Entry = tuple[int, str]
"""Nanoseconds since 1970, and the line."""

Streams = dict[LabelSet, list[Entry]]

_log = logging.getLogger("standins.loki.store")

_OPEN = ".ndjson"
_SEALED = ".ndjson.gz"
_INDEX = ".index.json"


@dataclass(frozen=True, slots=True)
class Part:
    """One segment's part of a query: its time range, and a function that reads its streams."""

    first: int
    last: int
    read: Callable[[], Streams]


@dataclass(slots=True)
class SealedSegment:
    """A segment on disk with its index. Its lines are read on demand."""

    path: Path
    streams: dict[LabelSet, tuple[int, int]]
    first: int
    last: int
    lines: int

    def read(self) -> Streams:
        """Return all of the segment's lines."""
        with gzip.open(self.path, "rt", encoding="utf-8") as file:
            return _load(file)

    def delete(self) -> None:
        """Remove the segment's files."""
        _index_of(self.path).unlink(missing_ok=True)
        self.path.unlink(missing_ok=True)


class OpenSegment:
    """The segment being written, whose lines are also in memory."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.streams: Streams = {}
        self.size = 0
        self.lines = 0
        if path.exists():
            self.streams = _recover(path)
            self.size = path.stat().st_size
            self.lines = sum(map(len, self.streams.values()))
        self._numbers = {labels: number for number, labels in enumerate(self.streams)}
        self._file = path.open("a", encoding="utf-8")

    def append(self, labels: LabelSet, entries: Iterable[Entry]) -> int:
        """Add lines to a stream; return how many were new."""
        stream = self.streams.get(labels)
        written = []
        if stream is None:
            stream = self.streams[labels] = []
            self._numbers[labels] = len(self._numbers)
            written.append(_encode({"stream": self._numbers[labels], "labels": dict(labels)}))
        new = [entry for entry in entries if _insert(stream, entry)]
        written += [_encode([self._numbers[labels], *entry]) for entry in new]
        # ASCII only, so that characters are bytes.
        self.size += self._file.write("".join(written))
        self.lines += len(new)
        return len(new)

    def flush(self) -> None:
        """Flush the written lines to the operating system."""
        self._file.flush()

    def close(self) -> None:
        """Close the file; it can still be sealed."""
        self._file.close()

    def seal(self) -> SealedSegment:
        """Compress the file and write its index. It uses only files and copies, so it can run in a thread."""
        streams = {
            labels: (entries[0][0], entries[-1][0])
            for labels, entries in self.streams.items()
            if entries
        }
        index = {
            "lines": self.lines,
            "streams": [
                {"labels": dict(labels), "first": first, "last": last}
                for labels, (first, last) in streams.items()
            ],
        }
        sealed = self.path.with_name(self.path.name + ".gz")
        _write(sealed, gzip.compress(self.path.read_bytes(), compresslevel=1))
        _write(_index_of(sealed), json.dumps(index).encode())
        self.path.unlink()
        return _sealed(sealed)


class Store:
    """Lines by stream. All methods except the parts' `read` must run in one thread.

    `max_segment` (bytes) and `max_age` (ns) limit a segment; `retention` (ns, 0 for ever) is how long it is kept.
    Raises OSError if the folder is not writable.
    """

    def __init__(
        self,
        folder: Path,
        now: int,
        *,
        retention: int = 0,
        max_segment: int = 8 * 1024 * 1024,
        max_age: int = 6 * 3600 * NANOSECONDS,
        cached: int = 12,
    ) -> None:
        self._folder = folder
        self._retention = retention
        self._max_segment = max_segment
        self._max_age = max_age
        self._cache = _Cache(cached)
        folder.mkdir(parents=True, exist_ok=True)
        self._sealed = [_sealed(path) for path in sorted(folder.glob(f"*{_SEALED}"))]
        done = {segment.path.with_suffix("") for segment in self._sealed}
        for path in done:
            path.unlink(missing_ok=True)  # The process ended just before it could do this.
        unsealed = [OpenSegment(path) for path in sorted(folder.glob(f"*{_OPEN}"))]
        self._full: list[OpenSegment] = unsealed[:-1]
        self._open = unsealed[-1] if unsealed else self._new(now)

    @property
    def lines(self) -> int:
        """Lines in all segments."""
        sealed = sum(segment.lines for segment in self._sealed)
        return sealed + sum(segment.lines for segment in (*self._full, self._open))

    @property
    def segments(self) -> int:
        """Segments, including the one being written."""
        return len(self._sealed) + len(self._full) + 1

    @property
    def active_streams(self) -> int:
        """Streams of the segment being written."""
        return len(self._open.streams)

    def is_active(self, labels: LabelSet) -> bool:
        """Return whether the segment being written has this stream."""
        return labels in self._open.streams

    def newest(self, labels: LabelSet) -> Entry | None:
        """Return the newest line of a stream in the segment being written."""
        entries = self._open.streams.get(labels)
        return entries[-1] if entries else None

    def append(self, streams: Iterable[tuple[LabelSet, Iterable[Entry]]], now: int) -> int:
        """Add lines and flush them to the operating system; return how many were new.

        A line with the same time and text as one in its stream is the same line, sent twice.
        """
        added = sum(self._open.append(labels, entries) for labels, entries in streams)
        self._open.flush()
        if self._open.size >= self._max_segment or self._age(now) >= self._max_age:
            self._open.close()
            self._full.append(self._open)
            self._open = self._new(now)
        return added

    def full(self) -> OpenSegment | None:
        """Return the oldest full segment that is not sealed: seal it in a thread, then call `replace`."""
        return self._full[0] if self._full else None

    def replace(self, full: OpenSegment, sealed: SealedSegment) -> None:
        """Replace the segment with the sealed one."""
        self._full.remove(full)
        self._sealed.append(sealed)

    def expire(self, now: int) -> int:
        """Delete the segments whose lines are all older than the retention; return how many."""
        if not self._retention:
            return 0
        oldest = now - self._retention
        expired = [segment for segment in self._sealed if segment.last < oldest]
        self._sealed = [segment for segment in self._sealed if segment.last >= oldest]
        for segment in expired:
            self._cache.forget(segment.path)
            segment.delete()
        return len(expired)

    def select(self, matchers: Sequence[Matcher], start: int, end: int) -> list[Part]:
        """Return the parts that may have lines of the matching streams with `start <= time < end`.

        A part reads all lines of its matching streams in that range. It can be read later, in another thread.
        """
        parts = []
        for sealed in list(self._sealed):
            chosen = [
                labels
                for labels, (first, last) in sealed.streams.items()
                if first < end and last >= start and select(matchers, dict(labels))
            ]
            if chosen:
                read = _reader(self._cache, sealed, chosen, start, end)
                parts.append(Part(sealed.first, sealed.last, read))
        for segment in (*self._full, self._open):
            found = {}
            for labels, entries in segment.streams.items():
                if select(matchers, dict(labels)) and (cut := _between(entries, start, end)):
                    found[labels] = cut
            if found:
                first = min(entries[0][0] for entries in found.values())
                last = max(entries[-1][0] for entries in found.values())
                parts.append(Part(first, last, _given(found)))
        return parts

    def label_sets(self, matchers: Sequence[Matcher], start: int, end: int) -> set[LabelSet]:
        """Return the matching streams that have lines around these times."""
        found = set()
        for sealed in self._sealed:
            for labels, (first, last) in sealed.streams.items():
                if first < end and last >= start and select(matchers, dict(labels)):
                    found.add(labels)
        for segment in (*self._full, self._open):
            for labels, entries in segment.streams.items():
                overlaps = entries and entries[0][0] < end and entries[-1][0] >= start
                if overlaps and select(matchers, dict(labels)):
                    found.add(labels)
        return found

    def close(self) -> None:
        """Close the open segment's file."""
        self._open.close()

    def _age(self, now: int) -> int:
        return now - int(self._open.path.name.removesuffix(_OPEN))

    def _new(self, now: int) -> OpenSegment:
        return OpenSegment(self._folder / f"{now:020d}{_OPEN}")


class _Cache:
    """The segments most recently read from disk, for the threads that read them."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._kept: OrderedDict[Path, Streams] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, segment: SealedSegment) -> Streams:
        with self._lock:
            if segment.path in self._kept:
                self._kept.move_to_end(segment.path)
                return self._kept[segment.path]
        streams = segment.read()
        with self._lock:
            self._kept[segment.path] = streams
            while len(self._kept) > self._size:
                self._kept.popitem(last=False)
        return streams

    def forget(self, path: Path) -> None:
        with self._lock:
            self._kept.pop(path, None)


def _reader(
    cache: _Cache, segment: SealedSegment, chosen: list[LabelSet], start: int, end: int
) -> Callable[[], Streams]:
    def read() -> Streams:
        try:
            streams = cache.get(segment)
        except FileNotFoundError:
            return {}  # Retention has removed it meanwhile.
        return {labels: _between(streams[labels], start, end) for labels in chosen}

    return read


def _given(streams: Streams) -> Callable[[], Streams]:
    return lambda: streams


def _between(entries: list[Entry], start: int, end: int) -> list[Entry]:
    first = bisect.bisect_left(entries, start, key=_time)
    return entries[first : bisect.bisect_left(entries, end, lo=first, key=_time)]


def _insert(stream: list[Entry], entry: Entry) -> bool:
    """Insert a line after those of the same time; return False if it is one of them."""
    if not stream or entry[0] > stream[-1][0]:
        stream.append(entry)
        return True
    at = bisect.bisect_right(stream, entry[0], key=_time)
    if entry in stream[bisect.bisect_left(stream, entry[0], hi=at, key=_time) : at]:
        return False
    stream.insert(at, entry)
    return True


_time = operator.itemgetter(0)


def _encode(record: object) -> str:
    return json.dumps(record, separators=(",", ":")) + "\n"


def _load(lines: Iterable[str]) -> Streams:
    by_number: dict[int, list[Entry]] = {}
    streams: Streams = {}
    for line in lines:
        record = json.loads(line)
        if isinstance(record, list):
            number, time, text = record
            by_number[number].append((time, text))
        else:
            labels = label_set(record["labels"])
            by_number[record["stream"]] = streams[labels] = []
    for entries in streams.values():
        entries.sort(key=_time)
    return streams


def _recover(path: Path) -> Streams:
    """Read an open segment; remove a last line that the end of the process left incomplete."""
    content = path.read_bytes()
    whole = content.rfind(b"\n") + 1
    if whole < len(content):
        _log.warning("removed an incomplete line", extra=fields(segment=path.name))
        with path.open("r+b") as file:
            file.truncate(whole)
    return _load(_lines(content[:whole]))


def _lines(content: bytes) -> Iterator[str]:
    return (line.decode() for line in content.splitlines())


def _sealed(path: Path) -> SealedSegment:
    index_path = _index_of(path)
    if not index_path.exists():
        # The process ended between the two writes; the open file still exists and is sealed again.
        path.unlink()
        return OpenSegment(path.with_suffix("")).seal()
    index = json.loads(index_path.read_bytes())
    streams = {
        label_set(stream["labels"]): (stream["first"], stream["last"])
        for stream in index["streams"]
    }
    first = min((first for first, _ in streams.values()), default=0)
    last = max((last for _, last in streams.values()), default=0)
    return SealedSegment(path, streams, first, last, index["lines"])


def _index_of(path: Path) -> Path:
    return path.with_name(path.name.removesuffix(_SEALED) + _INDEX)


def _write(path: Path, content: bytes) -> None:
    temporary = path.with_name(f".{path.name}.new")
    file: IO[bytes]
    with temporary.open("wb") as file:
        file.write(content)
    temporary.replace(path)
