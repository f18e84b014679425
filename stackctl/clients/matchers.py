"""Parses matchers as people write them: in amtool's notation, or in braces as in PromQL and LogQL.

A text means what it means to Alertmanager in fallback mode, the default of amtool and the server since 0.27
(matcher/compat/parse.go): it uses the classic parser if that accepts the text (pkg/labels/parse.go), else the one for
UTF-8 (matcher/parse).
"""

from __future__ import annotations

import re

from stackctl.clients.alertmanager import Matcher

_OPERATOR = r"=~|!=|!~|="
_CLASSIC = re.compile(rf"\s*([a-zA-Z_:][a-zA-Z0-9_:]*)\s*({_OPERATOR})\s*(.*?)\s*", re.DOTALL)
_PART = r"""(?:"(?:[^"\\\n]|\\.)*"|[^\s{}!=~,\\"'`]+)"""
_UTF8 = re.compile(rf"\s*({_PART})\s*({_OPERATOR})\s*({_PART})\s*")
_BETWEEN = re.compile(r'((?:[^",]|"(?:[^"\\]|\\.)*")*)(?:,|$)')
_ESCAPE = re.compile(
    r"\\(?:(?P<sign>[abfnrtv\\\"])|x(?P<byte>[0-9a-fA-F]{2})|u(?P<short>[0-9a-fA-F]{4})"
    r"|U(?P<long>[0-9a-fA-F]{8})|(?P<other>.))"
)
_SIGNS = dict(zip("abfnrtv", "\a\b\f\n\r\t\v", strict=True))


def parse(text: str) -> list[Matcher]:
    """Parse an argument: an alert's name, a matcher, or several matchers in braces, separated by commas.

    Raises ValueError with the reason. amtool takes any text that it cannot parse for an alert's name, so a typo creates
    a silence that matches nothing; here a text with any of a matcher's characters is never a name.
    """
    stripped = text.strip()
    if stripped.startswith("{"):
        if not stripped.endswith("}"):
            raise ValueError("unclosed brace")
        return _list(stripped[1:-1])
    if stripped.endswith("}"):
        raise ValueError("unopened brace; put a value with a brace in double quotes")
    try:
        return [_one(text)]
    except ValueError:
        if stripped and not re.search(r'[{}=~"]', stripped):
            return [Matcher(name="alertname", value=text)]
        raise


def written(matcher: Matcher) -> str:
    """Return a matcher in the notation of Alertmanager and amtool: the value in quotes, the name if necessary."""
    operator = ("!" if not matcher.is_equal else "") + ("~" if matcher.is_regex else "")
    sign = {"": "=", "~": "=~", "!": "!=", "!~": "!~"}[operator]
    plain = re.fullmatch(r"[a-zA-Z_:][a-zA-Z0-9_:]*", matcher.name)
    return f"{matcher.name if plain else _quoted(matcher.name)}{sign}{_quoted(matcher.value)}"


def _list(text: str) -> list[Matcher]:
    parts = []
    at = 0
    while at < len(text):
        found = _BETWEEN.match(text, at)
        if found is None:
            raise ValueError("unclosed quote")
        parts.append(found[1])
        at = found.end()
    if parts and not parts[-1].strip():
        # A trailing comma is allowed.
        parts.pop()
    if not parts:
        raise ValueError("no matchers in the braces")
    return [_one(part) for part in parts]


def _one(text: str) -> Matcher:
    try:
        name, operator, value = _classic(text)
    except ValueError:
        name, operator, value = _utf8(text)
    if not name:
        raise ValueError("missing label name")
    return Matcher(name=name, value=value, is_regex="~" in operator, is_equal="!" not in operator)


def _classic(text: str) -> tuple[str, str, str]:
    found = _CLASSIC.fullmatch(text)
    if found is None:
        raise ValueError("expected LABEL=VALUE, or !=, =~ or !~")
    name, operator, raw = found.groups()
    quoted = raw.startswith('"')
    if quoted:
        body = re.fullmatch(r'"((?:[^"\\]|\\.)*)"', raw, re.DOTALL)
    else:
        body = re.fullmatch(r'((?:[^"\\]|\\.)*\\?)', raw, re.DOTALL)
    if body is None:
        raise ValueError("unclosed quote, or a quote inside a value without a backslash")
    # A backslash before any other character stands for itself.
    value = re.sub(r'\\([n"\\])', lambda one: "\n" if one[1] == "n" else one[1], body[1])
    return name, operator, value


def _utf8(text: str) -> tuple[str, str, str]:
    found = _UTF8.fullmatch(text)
    if found is None:
        raise ValueError(
            "expected LABEL=VALUE, or !=, =~ or !~; put special characters in double quotes"
        )
    name, operator, value = found.groups()
    return _unquoted(name), operator, _unquoted(value)


def _unquoted(part: str) -> str:
    return _ESCAPE.sub(_escaped, part[1:-1]) if part.startswith('"') else part


def _escaped(found: re.Match[str]) -> str:
    if found["other"] is not None:
        raise ValueError(f"unknown escape \\{found['other']} in a value")
    if found["sign"] is not None:
        return _SIGNS.get(found["sign"], found["sign"])
    code = int(found["byte"] or found["short"] or found["long"], 16)
    if code > 0x10FFFF or 0xD800 <= code <= 0xDFFF or (found["byte"] and code > 0x7F):
        raise ValueError(f"{found[0]} is not a character")
    return chr(code)


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'
