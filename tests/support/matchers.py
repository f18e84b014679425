"""One list of matchers, for our parser and for the real amtool."""

from __future__ import annotations

from stackctl.clients.alertmanager import Matcher


def _is(name: str, value: str, operator: str = "=") -> Matcher:
    return Matcher(
        name=name, value=value, is_regex="~" in operator, is_equal=not operator.startswith("!")
    )


TAKEN: dict[str, Matcher] = {
    "HighCPUUsage": _is("alertname", "HighCPUUsage"),
    "High CPU usage, Größe": _is("alertname", "High CPU usage, Größe"),
    "alertname=X": _is("alertname", "X"),
    'alertname="HighCPUUsage"': _is("alertname", "HighCPUUsage"),
    "a = b": _is("a", "b"),
    ' a = "b" ': _is("a", "b"),
    'a!="b"': _is("a", "b", "!="),
    'a=~"b|c"': _is("a", "b|c", "=~"),
    "a=~b|c": _is("a", "b|c", "=~"),
    "a!~b.+": _is("a", "b.+", "!~"),
    "a=x y": _is("a", "x y"),
    "a=b,c": _is("a", "b,c"),
    "a=b,c=d": _is("a", "b,c=d"),
    "a==b": _is("a", "=b"),
    "a='b'": _is("a", "'b'"),
    'a="x,y"': _is("a", "x,y"),
    r'a="x\"y"': _is("a", 'x"y'),
    r'a="x\\y"': _is("a", r"x\y"),
    r'a="x\ny"': _is("a", "x\ny"),
    r'a="x\ty"': _is("a", r"x\ty"),
    r'a="\q"': _is("a", r"\q"),
    r"a=x\y": _is("a", r"x\y"),
    'a="😀"': _is("a", "😀"),
    "größe=1": _is("größe", "1"),
    "foo.bar=x": _is("foo.bar", "x"),
    "a-b=c": _is("a-b", "c"),
    "1a=b": _is("1a", "b"),
    '"foo bar"="x"': _is("foo bar", "x"),
    r'"a\"b"=~"x\ty"': _is('a"b', "x\ty", "=~"),
    r'größe="\u00e4\U0001f600\x41"': _is("größe", "ä😀A"),
}
"""Text → what it means."""
