"""Splits a query into tokens. Kinds and error texts are those of Loki's parser."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from standins.shared import units


class ParseError(Exception):
    """An invalid LogQL query; the text is Loki's, with line and column if they are known."""

    def __init__(self, message: str, line: int = 0, column: int = 0) -> None:
        place = f" at line {line}, col {column}" if line or column else " "
        super().__init__(f"parse error{place}: {message}")


@dataclass(frozen=True, slots=True)
class Token:
    """A token: `kind` as error texts name it, `text` or `number` depending on the kind, and its position."""

    kind: str
    text: str
    line: int
    column: int
    number: float = 0.0


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


FUNCTIONS = _names(
    "rate rate_counter count_over_time bytes_rate bytes_over_time avg_over_time sum_over_time min_over_time "
    "max_over_time stdvar_over_time stddev_over_time quantile_over_time first_over_time last_over_time "
    "absent_over_time vector sum avg max min count stddev stdvar bottomk topk sort sort_desc bytes duration "
    "duration_seconds"
)
KEYWORDS = _names(
    "by without bool label_replace offset on ignoring group_left group_right unwrap or and unless json regexp "
    "logfmt unpack pattern label_format line_format ip decolorize drop keep"
)

_TOKEN = re.compile(
    r"""
    (?P<space>\s+|\#[^\n]*)
  | (?P<string>"(?:[^"\\\n]|\\.)*"|`[^`]*`)
  | (?P<open>["`])
  | (?P<range>\[(?P<period>[^\]]*)(?P<close>\]?))
  | (?P<measure>-?(?:\d+(?:\.\d+)?(?:ns|us|µs|ms|s|m|h|d|w|y))+(?![A-Za-z0-9]))
  | (?P<size>\d+(?:\.\d+)?(?:[kKMGTP]i?)?B(?![A-Za-z0-9]))
  | (?P<number>(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?)
  | (?P<word>[A-Za-z_][A-Za-z0-9_]*)
  | (?P<sign>\|=|\|~|!=|!~|=~|==|>=|<=|[-{}()=|,.+*/%^<>])
    """,
    re.VERBOSE,
)
_CALL = re.compile(r"\s*(?:\(|(?:by|without)\s*\()")
_ESCAPE = re.compile(r"\\(x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|[0-7]{3}|.)", re.DOTALL)
_ESCAPES = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}
_MAX_INPUT = 5120


def tokens(query: str) -> list[Token]:
    """Return the tokens of a query, followed by one of kind `$end`. Raises ParseError."""
    if len(query.encode()) >= _MAX_INPUT:
        raise ParseError(f"input size too long ({len(query.encode())} > {_MAX_INPUT})")
    found = []
    at = 0
    while at < len(query):
        line, column = _place(query, at)
        match = _TOKEN.match(query, at)
        if match is None:
            raise ParseError(f"syntax error: unexpected {query[at]!r}", line, column)
        at = match.end()
        if match.lastgroup != "space":
            found.append(_token(match, line, column))
    return [*found, Token("$end", "", *_place(query, len(query)))]


def _token(match: re.Match[str], line: int, column: int) -> Token:
    text = match[0]
    group = next(name for name in _GROUPS if match[name] is not None)
    if group == "string":
        return Token("STRING", _unquote(text, line, column), line, column)
    if group == "open":
        raise ParseError("literal not terminated", line, column)
    if group == "range":
        return _range(match, line, column)
    if group == "measure":
        return Token("DURATION", text, line, column, units.duration(text) / units.NANOSECONDS)
    if group == "size":
        return Token("BYTES", text, line, column, float(units.size(text)))
    if group == "number":
        return Token("NUMBER", text, line, column, float(text))
    if group == "word":
        return Token(_word(match), text, line, column)
    return Token(text, text, line, column)


_GROUPS: tuple[
    Literal["string", "open", "range", "measure", "size", "number", "word", "sign"], ...
] = ("string", "open", "range", "measure", "size", "number", "word", "sign")


def _range(match: re.Match[str], line: int, column: int) -> Token:
    if not match["close"]:
        raise ParseError("missing closing ']' in duration", 0, column)
    try:
        nanoseconds = units.duration(match["period"])
    except ValueError as error:
        raise ParseError(str(error), 0, column) from None
    if nanoseconds <= 0:
        raise ParseError("duration must be greater than 0", 0, column)
    return Token("RANGE", match[0], line, column, nanoseconds / units.NANOSECONDS)


def _word(match: re.Match[str]) -> str:
    word = match[0]
    if word in FUNCTIONS and _CALL.match(match.string, match.end()):
        return word.upper()
    return word if word in KEYWORDS else "IDENTIFIER"


def _unquote(text: str, line: int, column: int) -> str:
    if text[0] == "`":
        return text[1:-1]

    def replace(match: re.Match[str]) -> str:
        code = match[1]
        if code[0] in "xuU" and len(code) > 1:
            return chr(int(code[1:], 16))
        if len(code) == 3:
            return chr(int(code, 8))
        if code in _ESCAPES or code in {"\\", '"', "'"}:
            return _ESCAPES.get(code, code)
        raise ParseError("invalid char escape", line, column)

    return _ESCAPE.sub(replace, text[1:-1])


def _place(query: str, at: int) -> tuple[int, int]:
    return query.count("\n", 0, at) + 1, at - query.rfind("\n", 0, at)
