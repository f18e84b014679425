"""The stages of a log query: each gets a line and its labels, and passes the line on or drops it."""

from __future__ import annotations

import json
import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from standins.shared import units
from standins.shared.labels import Matcher, regex
from standins.shared.template import Template, TemplateError

ERROR = "__error__"
ERROR_DETAILS = "__error_details__"

_NO_OBJECT = "Value looks like object, but can't find closing '}' symbol"


def no_constant(text: str) -> None:
    """Reject NaN and Infinity, which `json.loads` accepts although JSON lacks them. Always raises ValueError."""
    raise ValueError(f"no JSON: {text}")


def decolorized(line: str) -> str:
    """Return the line without the terminal's escape sequences, as Loki's `decolorize` finds them."""
    return _COLORS.sub("", line)


class Stage(Protocol):
    """One step of a pipeline."""

    def process(self, line: str, labels: dict[str, str]) -> str | None:
        """Return the line, with `labels` changed in place, or None to drop it."""


def run(stages: tuple[Stage, ...], line: str, labels: dict[str, str]) -> str | None:
    """Send a line through all stages."""
    for stage in stages:
        result = stage.process(line, labels)
        if result is None:
            return None
        line = result
    return line


@dataclass(frozen=True, slots=True)
class LineFilter:
    """`|= "text"`, `!= "text"`, `|~ "regex"`, `!~ "regex"`. Raises ValueError for a bad expression."""

    op: str
    text: str
    _keeps: Callable[[str], bool] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_keeps", self._condition())

    def _condition(self) -> Callable[[str], bool]:
        text = self.text
        if self.op == "|=":
            return lambda line: text in line
        if self.op == "!=":
            return lambda line: text not in line
        search = regex(text).search
        if self.op == "|~":
            return lambda line: search(line) is not None
        return lambda line: search(line) is None

    def process(self, line: str, labels: dict[str, str]) -> str | None:
        """Keep the line or drop it."""
        return line if self._keeps(line) else None


@dataclass(frozen=True, slots=True)
class Json:
    """`| json`: every field of the line's object becomes a label, nested ones as `outer_inner`.

    With expressions (`| json label="path.to.field"`) only those fields do. A line that is not an object gets the label
    `__error__="JSONParserErr"`, as in Loki, and without expressions also one that says why.
    """

    expressions: tuple[tuple[str, str], ...] = ()

    def process(self, line: str, labels: dict[str, str]) -> str | None:
        """Add the labels."""
        try:
            document = json.loads(line, parse_float=str, parse_int=str, parse_constant=no_constant)
        except (ValueError, RecursionError):
            document = None
        if not isinstance(document, dict):
            labels[ERROR] = "JSONParserErr"
            if not self.expressions:
                broken = line.lstrip().startswith("{")
                labels[ERROR_DETAILS] = "Malformed JSON error" if broken else _NO_OBJECT
            return line
        if self.expressions:
            for name, path in self.expressions:
                labels[_free(name, labels)] = _scalar(_follow(document, path)) or ""
        else:
            stream = dict(labels)
            for name, value in _flat(document, ""):
                labels[_free(name, stream)] = value
        return line


@dataclass(frozen=True, slots=True)
class Logfmt:
    """`| logfmt`: every `key=value` of the line becomes a label."""

    def process(self, line: str, labels: dict[str, str]) -> str | None:
        """Add the labels."""
        stream = dict(labels)
        for match in _LOGFMT.finditer(line):
            value = match[2]
            if value.startswith('"'):
                value = _unquoted(value)
            labels[_free(_sanitized(match[1]), stream)] = value
        return line


@dataclass(frozen=True, slots=True)
class Regexp:
    """`| regexp "(?P<name>…)"`: every named group becomes a label. Raises ValueError for a bad expression."""

    expression: str
    _search: Callable[[str], re.Match[str] | None] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        pattern = regex(self.expression)
        if not pattern.groupindex:
            raise ValueError("at least one named capture must be supplied")
        object.__setattr__(self, "_search", pattern.search)

    def process(self, line: str, labels: dict[str, str]) -> str | None:
        """Add the labels."""
        match = self._search(line)
        if match:
            stream = dict(labels)
            for name, value in match.groupdict(default="").items():
                labels[_free(name, stream)] = value
        return line


@dataclass(frozen=True, slots=True)
class LineFormat:
    """`| line_format "{{.job}} {{__line__}}"`: the line becomes the template's text.

    Supports only the part of Go's templates that `template` does. Raises ValueError for anything else.
    """

    source: str
    _template: Template = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_template", Template(self.source, [_LINE]))

    def process(self, line: str, labels: dict[str, str]) -> str | None:
        """Return the text; a missing label is empty."""
        try:
            return self._template.render(labels, missing="", constants={_LINE: line})
        except TemplateError:
            labels[ERROR] = "TemplateFormatErr"
            return line


@dataclass(frozen=True, slots=True)
class Decolorize:
    """`| decolorize`: removes the terminal's escape sequences."""

    def process(self, line: str, labels: dict[str, str]) -> str | None:
        """Return the line without the sequences."""
        return decolorized(line)


@dataclass(frozen=True, slots=True)
class Drop:
    """`| drop level, method="GET"`: removes labels, those with a matcher only if it matches."""

    labels: tuple[str | Matcher, ...]

    def process(self, line: str, labels: dict[str, str]) -> str | None:
        """Remove the labels."""
        for one in self.labels:
            name = one if isinstance(one, str) else one.name
            if isinstance(one, str) or one.matches(labels.get(name, "")):
                labels.pop(name, None)
        return line


@dataclass(frozen=True, slots=True)
class LabelMatch:
    """`| level="error"` and its three relatives."""

    matcher: Matcher

    def process(self, line: str, labels: dict[str, str]) -> str | None:
        """Keep the line or drop it."""
        return line if self.matcher.matches(labels.get(self.matcher.name, "")) else None


@dataclass(frozen=True, slots=True)
class LabelCompare:
    """`| status >= 500`, `| took > 2s`, `| size > 1MB`; `kind` is NUMBER, DURATION or BYTES.

    A line without the label is dropped; one with an invalid value stays, with an `__error__` label.
    """

    name: str
    op: str
    value: float
    kind: str

    def process(self, line: str, labels: dict[str, str]) -> str | None:
        """Keep the line or drop it."""
        if ERROR in labels:
            return line
        text = labels.get(self.name)
        if text is None:
            return None
        try:
            value = _CONVERT[self.kind](text)
        except ValueError:
            labels[ERROR] = "LabelFilterErr"
            return line
        return line if OPERATORS[self.op](value, self.value) else None


@dataclass(frozen=True, slots=True)
class Both:
    """`a and b`, `a, b`."""

    left: Stage
    right: Stage

    def process(self, line: str, labels: dict[str, str]) -> str | None:
        """Keep a line that both filters keep."""
        return None if self.left.process(line, labels) is None else self.right.process(line, labels)


@dataclass(frozen=True, slots=True)
class Either:
    """`a or b`."""

    left: Stage
    right: Stage

    def process(self, line: str, labels: dict[str, str]) -> str | None:
        """Keep a line that either filter keeps."""
        kept = self.left.process(line, labels)
        return self.right.process(line, labels) if kept is None else kept


Parser = Json | Logfmt | Regexp
"""The stages that extract labels from a line."""

OPERATORS: Mapping[str, Callable[[float, float], bool]] = {
    "==": operator.eq,
    "=": operator.eq,
    "!=": operator.ne,
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
}

_CONVERT: Mapping[str, Callable[[str], float]] = {
    "NUMBER": float,
    "DURATION": lambda text: units.duration(text) / units.NANOSECONDS,
    "BYTES": lambda text: float(units.size(text)),
}

_LINE = "__line__"
# The sequences that Loki 2.9 removes: those of an operating system command up to a bell, and those of a control
# sequence up to its final character.
_COLORS = re.compile(
    r"[\x1b\x9b][\[\]()#;?]*(?:[a-zA-Z0-9;]*\x07|(?:[0-9]{1,4}(?:;[0-9]{0,4})*)?[0-9A-PRZcf-nqrty=><~])"
)
_LOGFMT = re.compile(r'([^\s="]+)=("(?:[^"\\]|\\.)*"|[^\s"]*)')
_NO_NAME = re.compile(r"[^a-zA-Z0-9_]")


def _flat(document: Mapping[str, object], prefix: str) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    for key, value in document.items():
        name = prefix + _sanitized(key)
        if isinstance(value, dict):
            found += _flat(value, f"{name}_")
        else:
            text = _scalar(value)
            if text is not None:
                found.append((name, text))
    return found


def _scalar(value: object) -> str | None:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return value
    return None


def _follow(document: object, path: str) -> object:
    for part in re.findall(r'[^.\[\]"]+', path):
        if isinstance(document, dict):
            document = document.get(part)
        elif isinstance(document, list) and part.isdigit() and int(part) < len(document):
            document = document[int(part)]
        else:
            return None
    return json.dumps(document) if isinstance(document, dict | list) else document


def _sanitized(name: str) -> str:
    clean = _NO_NAME.sub("_", name)
    return f"_{clean}" if clean[:1].isdigit() else clean


def _free(name: str, taken: Mapping[str, str]) -> str:
    return f"{name}_extracted" if name in taken else name


def _unquoted(text: str) -> str:
    try:
        return str(json.loads(text))
    except ValueError:
        return text[1:-1]
