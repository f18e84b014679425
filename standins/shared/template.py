"""Go's text templates as far as log pipelines use them: fields, calls, pipes, and `if`.

Promtail's `template` and `replace` stages and LogQL's `line_format` use them
(https://pkg.go.dev/text/template; the functions beyond the built-in ones are Promtail's and Sprig's).
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from standins.shared.labels import regex

Values = Mapping[str, object]

_ACTION = re.compile(r"\{\{(- )?(.*?)( -)?\}\}", re.DOTALL)
_TOKEN = re.compile(
    r"""\s+|(?P<string>"(?:[^"\\]|\\.)*"|`[^`]*`)|(?P<field>\.\w*)|(?P<number>-?\d+)|(?P<name>\w+)|(?P<sign>[()|])""",
    re.VERBOSE,
)
_HEX = re.compile(r"\\x([0-9a-fA-F]{2})")
_GROUP = re.compile(r"\$(?:\{(\w+)\}|(\w+))")


class TemplateError(Exception):
    """A template that cannot be executed on these values, such as a function on a value that is missing."""


class Template:
    """A parsed template. `names` are further names for which a call of `render` provides values.

    Raises ValueError for an invalid template, and for features of Go that the stand-ins do not support.
    """

    def __init__(self, text: str, names: Sequence[str] = ()) -> None:
        self._names = frozenset(names)
        parts = _parts(text)
        self._body, end = _block(parts, 0, self._names)
        if end < len(parts):
            raise ValueError(f"template: unexpected {{{{{parts[end].text}}}}}")

    def render(
        self, values: Values, *, missing: str = "<no value>", constants: Values | None = None
    ) -> str:
        """Return the text. `missing` replaces a field without a value. Raises TemplateError."""
        scope = _Scope(values, missing, constants or {})
        return "".join(node(scope) for node in self._body)


@dataclass(frozen=True, slots=True)
class _Scope:
    values: Values
    missing: str
    constants: Values

    def show(self, value: object) -> str:
        if value is None:
            return self.missing
        if isinstance(value, bool):
            return "true" if value else "false"
        return str(value)


@dataclass(frozen=True, slots=True)
class _Part:
    text: str
    action: bool


_Node = Callable[[_Scope], str]
_Value = Callable[[_Scope], object]


def _parts(text: str) -> list[_Part]:
    """Split into literal text and actions, without the white space that `{{-` and `-}}` remove."""
    parts: list[_Part] = []
    at = 0
    for found in _ACTION.finditer(text):
        left, action, right = found.groups()
        before = text[at : found.start()]
        parts.append(_Part(before.rstrip() if left else before, False))
        parts.append(_Part(action.strip(), True))
        at = found.end()
        if right:
            at = len(text) - len(text[at:].lstrip())
    parts.append(_Part(text[at:], False))
    if any("{{" in part.text for part in parts if not part.action):
        raise ValueError("template: unclosed action")
    return parts


def _block(parts: list[_Part], at: int, names: frozenset[str]) -> tuple[list[_Node], int]:
    """Read nodes up to an `else` or `end` that belongs to an outer `if`, and return its position."""
    nodes: list[_Node] = []
    while at < len(parts):
        part = parts[at]
        word, _, rest = part.text.partition(" ")
        if not part.action:
            nodes.append(_constant(part.text))
        elif word in {"end", "else"}:
            break
        elif word == "if":
            node, at = _condition(parts, at, rest, names)
            nodes.append(node)
        else:
            nodes.append(_shown(_expression(part.text, names)))
        at += 1
    return nodes, at


def _condition(parts: list[_Part], at: int, text: str, names: frozenset[str]) -> tuple[_Node, int]:
    test = _expression(text, names)
    then, at = _block(parts, at + 1, names)
    if at >= len(parts):
        raise ValueError("template: unexpected EOF")
    otherwise: list[_Node] = []
    rest = parts[at].text.removeprefix("else").strip()
    if parts[at].text != "end":
        if rest.startswith("if "):
            node, at = _condition(parts, at, rest.removeprefix("if "), names)
            return _either(test, then, [node]), at
        otherwise, at = _block(parts, at + 1, names)
        if at >= len(parts) or parts[at].text != "end":
            raise ValueError("template: expected {{end}}")
    return _either(test, then, otherwise), at


def _constant(text: str) -> _Node:
    return lambda _scope: text


def _shown(value: _Value) -> _Node:
    return lambda scope: scope.show(value(scope))


def _either(test: _Value, then: list[_Node], otherwise: list[_Node]) -> _Node:
    return lambda scope: "".join(node(scope) for node in (then if test(scope) else otherwise))


def _expression(text: str, names: frozenset[str]) -> _Value:
    tokens: list[tuple[str, str]] = []
    at = 0
    while at < len(text):
        found = _TOKEN.match(text, at)
        if found is None:
            raise ValueError(f"template: the stand-in cannot read {{{{{text}}}}}")
        at = found.end()
        if found.lastgroup:
            tokens.append((found.lastgroup, found[0]))
    value, end = _pipeline(tokens, 0, names)
    if end < len(tokens):
        raise ValueError(f"template: unexpected {tokens[end][1]!r} in {{{{{text}}}}}")
    return value


def _pipeline(tokens: list[tuple[str, str]], at: int, names: frozenset[str]) -> tuple[_Value, int]:
    value, at = _command(tokens, at, names, None)
    while at < len(tokens) and tokens[at] == ("sign", "|"):
        value, at = _command(tokens, at + 1, names, value)
    return value, at


def _command(
    tokens: list[tuple[str, str]], at: int, names: frozenset[str], piped: _Value | None
) -> tuple[_Value, int]:
    if at >= len(tokens):
        raise ValueError("template: missing value for command")
    kind, name = tokens[at]
    if kind == "name" and name not in names:
        if name not in _FUNCTIONS:
            raise ValueError(f"template: the stand-in has no function {name}")
        operands: list[_Value] = []
        at += 1
        while at < len(tokens) and tokens[at][1] not in {")", "|"}:
            operand, at = _operand(tokens, at, names)
            operands.append(operand)
        return _call(name, operands if piped is None else [*operands, piped]), at
    if piped is not None:
        raise ValueError(f"template: non executable command {name!r} in pipeline")
    return _operand(tokens, at, names)


def _operand(tokens: list[tuple[str, str]], at: int, names: frozenset[str]) -> tuple[_Value, int]:
    kind, text = tokens[at]
    if kind == "sign" and text == "(":
        value, at = _pipeline(tokens, at + 1, names)
        if at >= len(tokens) or tokens[at][1] != ")":
            raise ValueError("template: unclosed left paren")
        return value, at + 1
    if kind == "string":
        literal = _unquoted(text)
        return (lambda _scope: literal), at + 1
    if kind == "number":
        number = int(text)
        return (lambda _scope: number), at + 1
    if text == ".":
        return (lambda scope: scope.values), at + 1
    if kind == "field":
        return (lambda scope: scope.values.get(text[1:])), at + 1
    if text in names:
        return (lambda scope: scope.constants.get(text)), at + 1
    raise ValueError(f"template: the stand-in cannot read {text!r}")


def _call(name: str, operands: list[_Value]) -> _Value:
    if name in {"and", "or"}:
        return lambda scope: _chosen(name == "or", operands, scope)
    function, count = _FUNCTIONS[name]
    if count is not None and len(operands) != count:
        raise ValueError(f"template: wrong number of args for {name}: want {count}")

    def call(scope: _Scope) -> object:
        try:
            return function(*(operand(scope) for operand in operands))
        except (TypeError, AttributeError):
            raise TemplateError(f"error calling {name}: invalid value") from None

    return call


def _chosen(wanted: bool, operands: list[_Value], scope: _Scope) -> object:
    """Return what Go's `or` (wanted is True) and `and` do: the first operand that decides, otherwise the last."""
    value: object = None
    for operand in operands:
        value = operand(scope)
        if bool(value) is wanted:
            break
    return value


def _unquoted(text: str) -> str:
    if text.startswith("`"):
        return text[1:-1]
    return str(json.loads(_HEX.sub(r"\\u00\1", text)))


def _equal(first: object, *others: object) -> bool:
    return any(first == other for other in others)


def _replaced(expression: str, text: str, by: str) -> str:
    return regex(expression).sub(lambda found: _GROUP.sub(lambda one: found[_key(one)], by), text)


def _key(found: re.Match[str]) -> str | int:
    name = found[1] or found[2]
    return int(name) if name.isdigit() else name


def _size(value: Any) -> int:
    """Go counts the bytes of a string."""
    return len(value.encode()) if isinstance(value, str) else len(value)


_FUNCTIONS: Mapping[str, tuple[Callable[..., Any], int | None]] = {
    "and": (all, None),
    "or": (any, None),
    "not": (lambda value: not value, 1),
    "eq": (_equal, None),
    "ne": (lambda one, other: one != other, 2),
    "gt": (lambda one, other: one > other, 2),
    "lt": (lambda one, other: one < other, 2),
    "len": (_size, 1),
    "hasKey": (lambda values, key: key in values, 2),
    "ToLower": (lambda text: text.lower(), 1),
    "ToUpper": (lambda text: text.upper(), 1),
    "TrimSpace": (lambda text: text.strip(), 1),
    "regexReplaceAll": (_replaced, 3),
    "regexReplaceAllLiteral": (
        lambda expression, text, by: regex(expression).sub(lambda _found: by, text),
        3,
    ),
}
"""By name: the function, and its number of operands if that is fixed."""
