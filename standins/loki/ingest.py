"""Accepts pushed lines: reads the body, checks every line against the limits, stores the valid ones."""

from __future__ import annotations

import collections
import json
import re
from collections.abc import Callable
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Counter

from standins.loki import wire
from standins.loki.config import Limits
from standins.loki.store import Entry, Store
from standins.shared import labels as label_sets
from standins.shared import units
from standins.shared.labels import LabelSet
from standins.shared.logql.lexer import ParseError
from standins.shared.logql.parser import parse_labels
from standins.shared.units import NANOSECONDS

MAX_REQUEST = 16 << 20
"""Maximum size of a decompressed request in bytes."""

_TENANT = "fake"
_MAX_SHOWN = 10
_NO_METADATA = "the stand-in does not keep structured metadata; Loki needs it allowed too"


class PushError(Exception):
    """A rejected push: the HTTP status, and Loki's message."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Ingester:
    """Checks pushes and stores them. `clock` returns nanoseconds since 1970."""

    def __init__(
        self,
        store: Store,
        limits: Limits,
        registry: CollectorRegistry,
        clock: Callable[[], int],
    ) -> None:
        self._store = store
        self._limits = limits
        self._clock = clock
        self._bucket = _Bucket(limits.ingestion_rate, limits.ingestion_burst, clock())
        self._lines = Counter(
            "loki_distributor_lines_received_total",
            "The total number of lines received per tenant.",
            ["tenant"],
            registry=registry,
        )
        self._bytes = Counter(
            "loki_distributor_bytes_received_total",
            "The total number of uncompressed bytes received per tenant.",
            ["tenant"],
            registry=registry,
        )
        self._discarded = Counter(
            "loki_discarded_samples_total",
            "The total number of samples that were discarded.",
            ["reason", "tenant"],
            registry=registry,
        )
        self._mutated = Counter(
            "loki_mutated_samples_total",
            "The total number of samples that have been mutated.",
            ["reason", "tenant"],
            registry=registry,
        )
        self._duplicates = Counter(
            "loki_standin_duplicate_lines_total",
            "Lines that their stream already had, sent again.",
            registry=registry,
        )

    def push(self, body: bytes, content_type: str) -> None:
        """Store the lines of one request. Raises PushError for invalid lines, after storing the valid ones."""
        streams = _decode(body, content_type)
        now = self._clock()
        accepted: list[tuple[LabelSet, list[Entry]]] = []
        problems: list[str] = []
        for stream in streams:
            try:
                labels = self._labels(stream)
            except _Refused as refusal:
                self._count(refusal.reason, len(stream.entries))
                problems.append(str(refusal))
                continue
            entries = []
            for entry in stream.entries:
                try:
                    entries.append(self._entry(stream, entry, now))
                except _Refused as refusal:
                    self._count(refusal.reason, 1)
                    problems.append(str(refusal))
            timely, behind = self._timely(labels, entries)
            accepted.append((labels, timely))
            if behind:
                self._count("too_far_behind", len(behind))
                shown = "".join(f"{one},\n" for one in behind[:_MAX_SHOWN])
                problems.append(
                    f"{shown}user '{_TENANT}', total ignored: {len(behind)} out of {len(entries)} for stream: {stream}"
                )
        self._store_within_rate(accepted, now)
        if problems:
            raise PushError(400, _summary(problems))

    def _labels(self, stream: _Stream) -> LabelSet:
        limits = self._limits
        if not stream.labels:
            raise _Refused("missing_labels", "error at least one label pair is required per stream")
        if len(stream.labels) > limits.max_label_names:
            raise _Refused(
                "max_label_names_per_series",
                f"entry for stream '{stream}' has {len(stream.labels)} label names; limit {limits.max_label_names}",
            )
        for name, value in stream.labels.items():
            if not label_sets.is_name(name):
                raise _Refused(
                    "invalid_labels",
                    f"Error parsing labels '{stream}' with error: invalid label name {name}",
                )
            if len(name) > limits.max_label_name:
                raise _Refused(
                    "label_name_too_long", f"stream '{stream}' has label name too long: '{name}'"
                )
            if len(value) > limits.max_label_value:
                raise _Refused(
                    "label_value_too_long", f"stream '{stream}' has label value too long: '{value}'"
                )
        return label_sets.label_set(stream.labels)

    def _entry(self, stream: _Stream, entry: Entry, now: int) -> Entry:
        time, line = entry
        limits = self._limits
        if limits.reject_old_samples and time < now - limits.max_age:
            raise _Refused(
                "greater_than_max_sample_age",
                f"entry for stream '{stream}' has timestamp too old: {_seconds(time)}, "
                f"oldest acceptable timestamp is: {_seconds(now - limits.max_age)}",
            )
        if time > now + limits.creation_grace:
            raise _Refused(
                "too_far_in_future",
                f"entry for stream '{stream}' has timestamp too new: {_seconds(time)}",
            )
        if limits.max_line_size and len(line.encode()) > limits.max_line_size:
            if limits.truncate_lines:
                self._mutated.labels("line_too_long", _TENANT).inc()
                return time, line.encode()[: limits.max_line_size].decode(errors="ignore")
            raise _Refused(
                "line_too_long",
                f"Max entry size '{limits.max_line_size}' bytes exceeded for stream '{stream}' "
                f"while adding an entry with length '{len(line.encode())}' bytes",
            )
        return entry

    def _timely(self, labels: LabelSet, entries: list[Entry]) -> tuple[list[Entry], list[str]]:
        """Return the lines that are not too far behind the newest of their stream, and messages about the others."""
        last = self._store.newest(labels)
        newest = last[0] if last else None
        timely, behind = [], []
        for entry in entries:
            oldest = None if newest is None else newest - self._limits.max_behind
            if oldest is not None and entry[0] < oldest:
                behind.append(
                    f"entry with timestamp {_go_time(entry[0])} ignored, reason: 'entry too far behind, "
                    f"oldest acceptable timestamp is: {_seconds(oldest)}'"
                )
                continue
            newest = entry[0] if newest is None else max(newest, entry[0])
            timely.append(entry)
        return timely, behind

    def _store_within_rate(self, accepted: list[tuple[LabelSet, list[Entry]]], now: int) -> None:
        lines = sum(len(entries) for _, entries in accepted)
        size = sum(len(line.encode()) for _, entries in accepted for _, line in entries)
        if not self._bucket.take(size, now):
            self._count("rate_limited", lines)
            raise PushError(
                429,
                f"Ingestion rate limit exceeded for user {_TENANT} "
                f"(limit: {int(self._limits.ingestion_rate)} bytes/sec) while attempting to ingest "
                f"'{lines}' lines totaling '{size}' bytes, reduce log volume or contact your Loki administrator to "
                "see if the limit can be increased",
            )
        new = {labels for labels, _ in accepted if not self._store.is_active(labels)}
        limit = self._limits.max_streams
        if limit and new and self._store.active_streams + len(new) > limit:
            self._count("stream_limit", lines)
            raise PushError(
                429,
                "Maximum active stream limit exceeded, reduce the number of active streams (reduce labels or reduce "
                "label values), or contact your Loki administrator to see if the limit can be increased, "
                f"user: '{_TENANT}'",
            )
        added = self._store.append(accepted, now)
        self._lines.labels(_TENANT).inc(lines)
        self._bytes.labels(_TENANT).inc(size)
        self._duplicates.inc(lines - added)

    def _count(self, reason: str, lines: int) -> None:
        self._discarded.labels(reason, _TENANT).inc(lines)


@dataclass(frozen=True, slots=True)
class _Stream:
    labels: dict[str, str]
    entries: list[Entry]

    def __str__(self) -> str:
        return label_sets.show(sorted(self.labels.items()))


class _Refused(Exception):
    """A stream or a line that exceeds a limit; `reason` is the label in loki_discarded_samples_total."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class _Bucket:
    """A token bucket for bytes: `rate` tokens are added per second, up to `burst`."""

    def __init__(self, rate: float, burst: float, now: int) -> None:
        self._rate = rate
        self._burst = burst
        self._tokens = burst
        self._at = now

    def take(self, size: int, now: int) -> bool:
        """Take this many tokens if available."""
        refill = (now - self._at) / NANOSECONDS * self._rate
        self._tokens = min(self._burst, self._tokens + max(refill, 0))
        self._at = now
        if size > self._tokens:
            return False
        self._tokens -= size
        return True


def _decode(body: bytes, content_type: str) -> list[_Stream]:
    if not content_type:
        raise PushError(400, "mime: no media type")
    if content_type != "application/json":
        try:
            return [_pushed(stream) for stream in wire.push_request(body, MAX_REQUEST)]
        except ValueError as error:
            raise PushError(400, str(error)) from None
    try:
        document = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise PushError(400, f"loghttp.PushRequest: {error}") from None
    streams = document.get("streams") if isinstance(document, dict) else None
    if not isinstance(streams, list):
        raise PushError(400, "loghttp.PushRequest.Streams: expects [")
    return [_stream(stream) for stream in streams]


def _pushed(stream: wire.PushedStream) -> _Stream:
    text, pushed = stream
    if any(metadata for _, _, metadata in pushed):
        raise PushError(400, _NO_METADATA)
    return _Stream(_parsed(text), [(time, line) for time, line, _ in pushed])


def _parsed(labels: str) -> dict[str, str]:
    try:
        return parse_labels(labels)
    except ParseError as error:
        raise PushError(400, f"couldn't parse labels: {error}") from None


def _stream(stream: object) -> _Stream:
    if not isinstance(stream, dict):
        raise PushError(400, "loghttp.Stream: expects {")
    labels = stream.get("stream", {})
    if isinstance(labels, str):
        labels = _parsed(labels)
    if not isinstance(labels, dict) or not all(isinstance(one, str) for one in labels.values()):
        raise PushError(400, "loghttp.Stream.Labels: expects { of strings")
    values = stream.get("values", [])
    if not isinstance(values, list):
        raise PushError(400, "loghttp.Stream.Entries: expects [")
    return _Stream(labels, [_entry(value) for value in values])


_INTEGER = re.compile(r"-?\d{1,19}")


def _entry(value: object) -> Entry:
    match value:
        case [str(time), str(line)] if _INTEGER.fullmatch(time):
            return int(time), line
        case [str(time), str(line), dict(metadata)] if _INTEGER.fullmatch(time):
            if metadata:
                raise PushError(400, _NO_METADATA)
            return int(time), line
    raise PushError(400, 'loghttp.Entry: expects ["<nanoseconds>", "<line>"]')


def _summary(problems: list[str]) -> str:
    """Loki joins its messages in one response, each once; ten are enough to show the problem."""
    if len(problems) == 1:
        return problems[0]
    counts = collections.Counter(problems)
    shown = "; ".join(f"{number} errors like: {text}" for text, number in counts.most_common(10))
    hidden = len(counts) - 10
    return shown if hidden <= 0 else f"{shown}; …and {hidden} more"


def _seconds(nanoseconds: int) -> str:
    return units.show_time(nanoseconds // NANOSECONDS * NANOSECONDS)


def _go_time(nanoseconds: int) -> str:
    """Format a time as Go's Time.String does, in UTC."""
    return units.show_time(nanoseconds).replace("T", " ").removesuffix("Z") + " +0000 UTC"
