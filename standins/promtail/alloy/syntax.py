"""Alloy's configuration language, without operators and calls.

grafana.com/docs/alloy/latest/get-started/configuration-syntax describes it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

_TOKEN = re.compile(
    r"""
    (?P<space>[ \t\r\n]+|//[^\n]*|/\*.*?\*/)
    |(?P<string>"(?:[^"\\\n]|\\.)*")
    |(?P<raw>`[^`]*`)
    |(?P<number>-?\d+(?:\.\d+)?)
    |(?P<name>[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*)
    |(?P<sign>[{}\[\],=])
    """,
    re.VERBOSE | re.DOTALL,
)
_WORDS = {"true": True, "false": False, "null": None}


@dataclass(frozen=True, slots=True)
class Reference:
    """What another component exports, such as `loki.write.loki.receiver`."""

    path: str


@dataclass(frozen=True, slots=True)
class Block:
    """A block, such as `loki.process "docker" { … }`: its attributes, and its blocks in order."""

    name: str
    label: str = ""
    attributes: dict[str, Any] = field(default_factory=dict)
    blocks: list[Block] = field(default_factory=list)


class SyntaxProblem(ValueError):
    """Text that is not valid, or not in the supported part of the language."""


def parse(text: str) -> list[Block]:
    """Return the blocks of a file. Raises SyntaxProblem."""
    parser = _Parser(text)
    body = parser.body("file", "", end="")
    if body.attributes:
        raise SyntaxProblem(f"unexpected attribute {next(iter(body.attributes))} outside of blocks")
    return body.blocks


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str
    line: int


class _Parser:
    def __init__(self, text: str) -> None:
        self._tokens = list(_tokens(text))
        self._at = 0

    def body(self, name: str, label: str, end: str) -> Block:
        block = Block(name, label)
        while (token := self._next()).text != end or token.kind == "string":
            if token.kind != "name":
                raise _unexpected(token, "a name")
            if self._peek().text == "=":
                self._next()
                if token.text in block.attributes:
                    raise SyntaxProblem(f"line {token.line}: {token.text} is set twice")
                block.attributes[token.text] = self._value()
                continue
            own = _string(self._next()) if self._peek().kind == "string" else ""
            self._expect("{")
            block.blocks.append(self.body(token.text, own, end="}"))
        return block

    def _value(self) -> Any:
        token = self._next()
        match token.kind, token.text:
            case (("string" | "raw"), _):
                return _string(token)
            case "number", text:
                return float(text) if "." in text else int(text)
            case "name", text:
                return _WORDS[text] if text in _WORDS else Reference(text)
            case "sign", "[":
                return self._list()
            case "sign", "{":
                return self._object()
        raise _unexpected(token, "a value")

    def _list(self) -> list[Any]:
        values = []
        while self._peek().text != "]":
            values.append(self._value())
            if self._peek().text != "]":
                self._expect(",")
        self._next()
        return values

    def _object(self) -> dict[str, Any]:
        values = {}
        while self._peek().text != "}":
            key = self._next()
            if key.kind not in {"name", "string"}:
                raise _unexpected(key, "a key")
            self._expect("=")
            values[_string(key) if key.kind == "string" else key.text] = self._value()
            if self._peek().text != "}":
                self._expect(",")
        self._next()
        return values

    def _peek(self) -> _Token:
        return self._tokens[self._at]

    def _next(self) -> _Token:
        token = self._tokens[self._at]
        self._at = min(self._at + 1, len(self._tokens) - 1)
        return token

    def _expect(self, sign: str) -> None:
        token = self._next()
        if token.kind != "sign" or token.text != sign:
            raise _unexpected(token, sign)


def _tokens(text: str) -> Iterator[_Token]:
    at = 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        line = text.count("\n", 0, at) + 1
        if match is None:
            raise SyntaxProblem(f"line {line}: unexpected {text[at]!r}")
        if match.lastgroup != "space":
            yield _Token(str(match.lastgroup), match[0], line)
        at = match.end()
    yield _Token("end", "", text.count("\n") + 1)


def _string(token: _Token) -> str:
    if token.kind == "raw":
        return token.text[1:-1]
    try:
        return str(json.loads(token.text))
    except ValueError:
        raise SyntaxProblem(f"line {token.line}: unknown escape in {token.text}") from None


def _unexpected(token: _Token, wanted: str) -> SyntaxProblem:
    return SyntaxProblem(f"line {token.line}: expected {wanted}, got {token.text or 'the end'}")
