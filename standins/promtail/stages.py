"""Pipeline stages: each changes an entry, or drops it."""

from __future__ import annotations

import json
import math
import re
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from standins.promtail import times
from standins.shared import labels as label_sets
from standins.shared import units
from standins.shared.logql import pipeline as logql
from standins.shared.logql.lexer import ParseError
from standins.shared.logql.parser import parse_selector
from standins.shared.template import Template, TemplateError


@dataclass(slots=True)
class Entry:
    """A line in the pipeline: nanoseconds since 1970, its labels, and the values that stages have extracted so far."""

    time: int
    line: str
    labels: dict[str, str]
    extracted: dict[str, object] = field(default_factory=dict)
    drop_reason: str | None = None


class Stage(Protocol):
    """One step of a pipeline."""

    def process(self, entry: Entry) -> None:
        """Change the entry in place; drop it by setting its drop_reason."""


class Gathering(ABC):
    """A step that holds entries back, or has stages of its own that do."""

    @abstractmethod
    def take(self, entry: Entry, now: float) -> list[Entry]:
        """Accept an entry, and return those that continue: none, this one, or others before it."""

    @abstractmethod
    def flush(self, now: float) -> list[Entry]:
        """Return the entries that were held back for the maximum time."""


class Pipeline:
    """A sequence of stages, read from pipeline_stages. `clock` returns seconds. Raises ValueError."""

    def __init__(self, config: object, clock: Callable[[], float] = time.monotonic) -> None:
        self._stages = _stages(config)
        self._clock = clock

    def run(self, entry: Entry) -> list[Entry]:
        """Process an entry and return those that are done; a dropped entry has a drop_reason."""
        return _run(self._stages, _begun(entry), self._clock())

    def flush(self, *, at_once: bool = False) -> list[Entry]:
        """Return the entries that waited for more lines and have reached the maximum time, or must not wait longer."""
        return _flush(self._stages, math.inf if at_once else self._clock())


def _begun(entry: Entry) -> Entry:
    """The extracted values of an entry start with its labels, also in a nested pipeline."""
    entry.extracted.update(entry.labels)
    return entry


def _run(stages: Sequence[Stage | Gathering], entry: Entry, now: float) -> list[Entry]:
    entries = [entry]
    for stage in stages:
        entries = [one for entry in entries for one in _step(stage, entry, now)]
    return entries


def _step(stage: Stage | Gathering, entry: Entry, now: float) -> list[Entry]:
    if entry.drop_reason is not None:
        return [entry]
    if isinstance(stage, Gathering):
        return stage.take(entry, now)
    stage.process(entry)
    return [entry]


def _flush(stages: Sequence[Stage | Gathering], now: float) -> list[Entry]:
    entries: list[Entry] = []
    for stage in stages:
        entries = [one for entry in entries for one in _step(stage, entry, now)]
        if isinstance(stage, Gathering):
            entries += stage.flush(now)
    return entries


def _stages(config: object) -> tuple[Stage | Gathering, ...]:
    if config is None:
        return ()
    if not isinstance(config, list):
        raise ValueError("pipeline_stages is not a list")
    return tuple(_stage(one) for one in config)


def _stage(config: object) -> Stage | Gathering:
    if not isinstance(config, dict) or len(config) != 1:
        raise ValueError("pipeline stage must contain only one key")
    ((name, settings),) = config.items()
    if name not in _MAKERS:
        raise ValueError(f"pipeline_stages: the stand-in has no stage {name}")
    try:
        return _MAKERS[name](settings)
    except (ValueError, ParseError) as error:
        raise ValueError(f"invalid {name} stage config: {error}") from None


class _Json:
    """`json`: extracts values from an object by path."""

    def __init__(self, settings: object) -> None:
        values = _mapping(settings, {"expressions", "source", "drop_malformed"})
        expressions = values.get("expressions")
        if not isinstance(expressions, dict) or not expressions:
            raise ValueError("JMES expression is required")
        self._paths = {
            str(name): _path(str(expression or name)) for name, expression in expressions.items()
        }
        self._source = values.get("source")
        self._drop = bool(values.get("drop_malformed", False))

    def process(self, entry: Entry) -> None:
        text = entry.line if self._source is None else _text(entry.extracted.get(self._source))
        if text is None:
            return
        try:
            document = json.loads(text, parse_constant=logql.no_constant)
        except (ValueError, RecursionError):
            document = None
        if not isinstance(document, dict):
            if self._drop:
                entry.drop_reason = "malformed_json"
            return
        for name, path in self._paths.items():
            value = _follow(document, path)
            entry.extracted[name] = (
                json.dumps(value, separators=(",", ":"))
                if isinstance(value, dict | list)
                else value
            )


class _Regex:
    """`regex`: named groups become values."""

    def __init__(self, settings: object) -> None:
        values = _mapping(settings, {"expression", "source"})
        if not values.get("expression"):
            raise ValueError("expression is required")
        self._pattern = label_sets.regex(str(values["expression"]))
        self._source = values.get("source")

    def process(self, entry: Entry) -> None:
        text = entry.line if self._source is None else _text(entry.extracted.get(self._source))
        match = self._pattern.search(text) if text is not None else None
        if match:
            entry.extracted.update(match.groupdict(default=""))


class _Labels:
    """`labels`: values become labels."""

    def __init__(self, settings: object) -> None:
        if not isinstance(settings, dict) or not settings:
            raise ValueError("label stage config cannot be empty")
        self._sources = {_name(name): str(source or name) for name, source in settings.items()}

    def process(self, entry: Entry) -> None:
        for name, source in self._sources.items():
            value = _text(entry.extracted.get(source))
            if value is not None:
                entry.labels[name] = value


class _StaticLabels:
    """`static_labels`: labels with a fixed value."""

    def __init__(self, settings: object) -> None:
        if not isinstance(settings, dict) or not settings:
            raise ValueError("static_labels stage config cannot be empty")
        self._labels = {_name(name): str(value) for name, value in settings.items() if value}

    def process(self, entry: Entry) -> None:
        entry.labels.update(self._labels)


class _LabelDrop:
    """`labeldrop`: removes labels."""

    def __init__(self, settings: object) -> None:
        self._names = _names(settings, "labeldrop")

    def process(self, entry: Entry) -> None:
        for name in self._names:
            entry.labels.pop(name, None)


class _LabelAllow:
    """`labelallow`: removes all labels but these."""

    def __init__(self, settings: object) -> None:
        self._names = frozenset(_names(settings, "labelallow"))

    def process(self, entry: Entry) -> None:
        entry.labels = {name: value for name, value in entry.labels.items() if name in self._names}


class _Timestamp:
    """`timestamp`: a value becomes the entry's time.

    `action_on_failure` is for one that cannot be parsed: `fudge`, one nanosecond after the stream's last
    good time, or `skip`, the time that the entry has. `action_on_duplicate_timestamp` is Alloy's: `fudge`
    adds a nanosecond to an entry with the same time as the one before.
    """

    def __init__(self, settings: object) -> None:
        values = _mapping(
            settings,
            {
                "source",
                "format",
                "fallback_formats",
                "location",
                "action_on_failure",
                "action_on_duplicate_timestamp",
            },
        )
        for key in ("source", "format"):
            if not values.get(key):
                raise ValueError(f"timestamp {key} is required")
        self._source = str(values["source"])
        location = values.get("location")
        layouts = [values["format"], *(values.get("fallback_formats") or ())]
        self._parsers = [times.parser(str(layout), location) for layout in layouts]
        action = values.get("action_on_failure", "fudge")
        if action not in {"skip", "fudge"}:
            raise ValueError("invalid action on failure (supported values are [skip fudge])")
        duplicate = values.get("action_on_duplicate_timestamp", "keep")
        if duplicate not in {"keep", "fudge"}:
            raise ValueError(
                "invalid action on duplicate timestamp (supported values are [keep fudge])"
            )
        self._fudge = action == "fudge"
        self._spreads = duplicate == "fudge"
        self._last: dict[label_sets.LabelSet, tuple[int, int]] = {}
        """By stream, the time that was parsed last, and the time that the entry got."""

    def process(self, entry: Entry) -> None:
        found = self._read(_text(entry.extracted.get(self._source)))
        if found is not None:
            entry.time = found
        if not (self._fudge or self._spreads):
            return
        stream = label_sets.label_set(entry.labels)
        read, given = self._last.get(stream, (None, 0))
        if found is None:
            if read is None or not self._fudge:
                return
            entry.time, found = given + 1, read
        elif read is None and len(self._last) >= _MAX_STREAMS:
            self._last.clear()
        elif self._spreads and found == read:
            entry.time = given + 1
        self._last[stream] = found, entry.time

    def _read(self, text: str | None) -> int | None:
        if text is None:
            return None
        for parse in self._parsers:
            try:
                return parse(text)
            except ValueError:
                continue
        return None


class _Output:
    """`output`: a value becomes the line."""

    def __init__(self, settings: object) -> None:
        source = _mapping(settings, {"source"}).get("source")
        if not source:
            raise ValueError("output source value is required if output is specified")
        self._source = str(source)

    def process(self, entry: Entry) -> None:
        value = _text(entry.extracted.get(self._source))
        if value is not None:
            entry.line = value


class _Match(Gathering):
    """`match`: stages for the entries that a selector matches, or a drop."""

    def __init__(self, settings: object) -> None:
        values = _mapping(
            settings, {"selector", "stages", "action", "pipeline_name", "drop_counter_reason"}
        )
        if not values.get("selector"):
            raise ValueError("selector statement required for match stage")
        # Promtail's own parser, older than Loki's, has no raw strings.
        if "`" in _QUOTED.sub("", str(values["selector"])):
            raise ValueError("selector: syntax error: unexpected IDENTIFIER, expecting STRING")
        selector = parse_selector(str(values["selector"]))
        self._matchers = selector.matchers
        if not all(isinstance(stage, logql.LineFilter) for stage in selector.stages):
            raise ValueError("selector: only labels and line filters can be matched")
        self._filters = selector.stages
        action = values.get("action") or "keep"
        if action not in {"keep", "drop"}:
            raise ValueError("match stage action should be 'keep' or 'drop'")
        self._drops = action == "drop"
        self._reason = str(values.get("drop_counter_reason") or "match_stage")
        self._stages = _stages(values.get("stages"))
        if self._drops and self._stages:
            raise ValueError("match stage configured to drop entries cannot contains stages")
        if not self._drops and not self._stages:
            raise ValueError(
                "match stage requires at least one additional stage to be defined in '- stages'"
            )

    def take(self, entry: Entry, now: float) -> list[Entry]:
        if not label_sets.select(self._matchers, entry.labels):
            return [entry]
        if logql.run(self._filters, entry.line, {}) is None:
            return [entry]
        if self._drops:
            entry.drop_reason = self._reason
            return [entry]
        return _run(self._stages, _begun(entry), now)

    def flush(self, now: float) -> list[Entry]:
        return _flush(self._stages, now)


class _Decolorize:
    """`decolorize`: removes the terminal's escape sequences."""

    def __init__(self, settings: object) -> None:
        if settings:
            raise ValueError("it has no settings")

    def process(self, entry: Entry) -> None:
        entry.line = logql.decolorized(entry.line)


class _Template:
    """`template`: a value becomes a template's text, or is removed if that is empty."""

    def __init__(self, settings: object) -> None:
        values = _mapping(settings, {"source", "template"})
        if not values.get("source"):
            raise ValueError("template source value is required")
        self._source = str(values["source"])
        self._template = Template(str(values.get("template") or ""))

    def process(self, entry: Entry) -> None:
        data = _template_values(entry)
        if self._source in data:
            data["Value"] = data[self._source]
        data["Entry"] = entry.line
        try:
            text = self._template.render(data)
        except TemplateError:
            return
        if text:
            entry.extracted[self._source] = text
        else:
            entry.extracted.pop(self._source, None)


class _Replace:
    """`replace`: every group of an expression becomes a template's text, in the line or in a value."""

    def __init__(self, settings: object) -> None:
        values = _mapping(settings, {"expression", "source", "replace"})
        if not values.get("expression"):
            raise ValueError("expression is required in replace stage")
        self._pattern = label_sets.regex(str(values["expression"]))
        self._source = values.get("source")
        self._template = Template(str(values.get("replace") or ""))

    def process(self, entry: Entry) -> None:
        text = entry.line if self._source is None else _text(entry.extracted.get(self._source))
        if text is None or self._pattern.search(text) is None:
            return
        data = _template_values(entry)
        parts, at = [], 0
        for match in self._pattern.finditer(text):
            for group in range(1, self._pattern.groups + 1):
                first, last = match.span(group)
                if first >= at:
                    value = self._template.render({**data, "Value": match[group]}, missing="")
                    parts += [text[at:first], value]
                    at = last
        result = "".join([*parts, text[at:]])
        if self._source is None:
            entry.line = result
        else:
            entry.extracted[self._source] = result


@dataclass(slots=True)
class _Block:
    """The lines of one stream that wait for more, and the first of them, which is kept after they were sent."""

    first: Entry
    lines: list[str]
    since: float


class _Multiline(Gathering):
    """`multiline`: a first line and those that follow it become one entry.

    As in Promtail, this is per stream. Lines before a stream's first first line pass unchanged. Lines that follow after
    the entry was sent, because it was full or `max_wait_time` passed, become another with the same time and labels.
    """

    def __init__(self, settings: object) -> None:
        values = _mapping(settings, {"firstline", "max_lines", "max_wait_time"})
        if values.get("firstline") is None:
            raise ValueError("multiline stage config must define `firstline` regular expression")
        self._first = label_sets.regex(str(values["firstline"]))
        self._max = int(values.get("max_lines", 128))
        self._wait = units.duration(str(values.get("max_wait_time", "3s"))) / units.NANOSECONDS
        self._blocks: dict[label_sets.LabelSet, _Block] = {}

    def take(self, entry: Entry, now: float) -> list[Entry]:
        stream = label_sets.label_set(entry.labels)
        block = self._blocks.get(stream)
        gone: list[Entry] = []
        if self._first.search(entry.line):
            gone += self._gone(block)
            if block is None and len(self._blocks) >= _MAX_STREAMS:
                gone += self.flush(math.inf)
                self._blocks.clear()
            block = self._blocks[stream] = _Block(entry, [], now)
        elif block is None:
            return [entry]
        # A single empty line is not an entry.
        if block.lines or entry.line:
            block.lines.append(entry.line)
        block.since = now
        if len(block.lines) >= self._max:
            gone += self._gone(block)
        return gone

    def flush(self, now: float) -> list[Entry]:
        due = [block for block in self._blocks.values() if now - block.since >= self._wait]
        return [entry for block in due for entry in self._gone(block)]

    def _gone(self, block: _Block | None) -> list[Entry]:
        if block is None or not block.lines:
            return []
        first = block.first
        text, block.lines = "\n".join(block.lines), []
        return [
            Entry(
                first.time,
                text,
                dict(first.labels),
                dict(first.extracted),
            )
        ]


class _Drop:
    """`drop`: drops an entry that meets all of the conditions."""

    def __init__(self, settings: object) -> None:
        values = _mapping(
            settings,
            {
                "source",
                "value",
                "separator",
                "expression",
                "older_than",
                "longer_than",
                "drop_counter_reason",
            },
        )
        given = ("source", "expression", "older_than", "longer_than")
        if all(values.get(key) is None for key in given):
            raise ValueError(
                "drop stage config must contain at least one of `source`, `expression`, `older_than` or `longer_than`"
            )
        source = values.get("source")
        if values.get("value") is not None and (source is None or values.get("expression")):
            raise ValueError("`value` needs a `source` and excludes `expression`")
        self._reason = str(values.get("drop_counter_reason") or "drop_stage")
        self._sources = tuple(map(str, source if isinstance(source, list) else [source or ""]))
        self._has_source = source is not None
        self._separator = str(values.get("separator", ";"))
        self._pattern: re.Pattern[str] | None = None
        if values.get("value") is not None:
            self._pattern = re.compile(rf"^{re.escape(str(values['value']))}$")
        elif values.get("expression") is not None:
            self._pattern = label_sets.regex(str(values["expression"]))
        older = values.get("older_than")
        self._older = None if older is None else units.duration(str(older))
        longer = values.get("longer_than")
        self._longer = None if longer is None else units.limit_size(str(longer))

    def process(self, entry: Entry) -> None:
        if self._longer is not None and len(entry.line.encode()) <= self._longer:
            return
        if self._older is not None and entry.time >= time.time_ns() - self._older:
            return
        if not self._fits(entry):
            return
        entry.drop_reason = self._reason

    def _fits(self, entry: Entry) -> bool:
        if not self._has_source:
            return self._pattern is None or self._pattern.search(entry.line) is not None
        if any(name not in entry.extracted for name in self._sources):
            return False
        if self._pattern is None:
            return True
        values = [_text(entry.extracted[name]) or "" for name in self._sources]
        return self._pattern.search(self._separator.join(values)) is not None


_MAKERS: Mapping[str, Callable[[object], Stage | Gathering]] = {
    "json": _Json,
    "regex": _Regex,
    "labels": _Labels,
    "static_labels": _StaticLabels,
    "labeldrop": _LabelDrop,
    "labelallow": _LabelAllow,
    "timestamp": _Timestamp,
    "output": _Output,
    "match": _Match,
    "drop": _Drop,
    "decolorize": _Decolorize,
    "template": _Template,
    "replace": _Replace,
    "multiline": _Multiline,
}

_MAX_STREAMS = 10_000
_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"')
_PATH = re.compile(r'(?:(?:^|\.)(?:([A-Za-z_]\w*)|"([^"]+)")|\[(-?\d+)\])')


def _path(expression: str) -> tuple[str | int, ...]:
    parts: list[str | int] = []
    at = 0
    while at < len(expression):
        match = _PATH.match(expression, at)
        if match is None:
            raise ValueError(f"the stand-in reads paths such as a.b[0] only, not {expression!r}")
        parts.append(int(match[3]) if match[3] else match[1] or match[2])
        at = match.end()
    return tuple(parts)


def _follow(document: Any, path: tuple[str | int, ...]) -> object:
    for part in path:
        if isinstance(part, str) and isinstance(document, dict):
            document = document.get(part)
        elif isinstance(part, int) and isinstance(document, list):
            document = document[part] if -len(document) <= part < len(document) else None
        else:
            return None
    return document


def _text(value: object) -> str | None:
    """A value as Promtail writes it into a label or a line; None if it has no text."""
    if value is None:
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def _template_values(entry: Entry) -> dict[str, object]:
    """The values that a template can use: those with a text."""
    texts = {name: _text(value) for name, value in entry.extracted.items()}
    return {name: text for name, text in texts.items() if text is not None}


def _mapping(settings: object, keys: set[str]) -> dict[str, Any]:
    if not isinstance(settings, dict):
        raise ValueError("it needs settings")
    for key in settings:
        if key not in keys:
            raise ValueError(f"unknown key {key}")
    return settings


def _name(name: object) -> str:
    if not label_sets.is_name(str(name)):
        raise ValueError(f"invalid label name: {name}")
    return str(name)


def _names(settings: object, stage: str) -> list[str]:
    if not isinstance(settings, list) or not settings:
        raise ValueError(f"{stage} stage config cannot be empty")
    return [_name(name) for name in settings]
