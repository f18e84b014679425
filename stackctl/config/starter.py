"""The files that `stackctl init` begins with: a .env of every setting, and an override of the compose files.

In both, lines with ## are ours; lines with one # are what can be switched on by taking it away.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from stackctl.config.env_file import ENV_FILE, parse_env
from stackctl.config.registry import GROUPS, SETTINGS
from stackctl.errors import StackctlError

_HEAD = """\
## The settings of stackctl, each with what it is for and its default. Take the # away and change the value. What is in
## the environment wins over this file; `stackctl config` shows what is in force, and where it comes from.
## There may be secrets in here: keep this file out of version control.
## `stackctl init --force` writes the lines with ## and the defaults anew, and keeps all others.
"""
_OTHERS = "## ---- Not stackctl's"
_COMMENTED = re.compile(r"#([A-Z0-9_]+)=")


def env_text(kept: str = "", origin: str = ENV_FILE) -> str:
    """Give the text of a .env with every setting commented out, except for what `kept`, an older one, has set.

    What is in `kept` stays: values word for word, names that are no settings, comments. `origin` is its name. Raises
    UsageError where it has a broken line, and StackctlError where a value refers to another in a way that the new order
    would break.
    """
    before = parse_env(kept, origin)
    own, rows, rest = _sorted(kept)
    parts = [_HEAD]
    if own:
        parts.append(f"\n{_OTHERS}\n{''.join(own)}")
    for heading, settings in GROUPS.items():
        parts.append(f"\n## ---- {heading}\n")
        for row in settings:
            lines = "".join(rows.get(row.name, ()))
            is_set = row.name in parse_env(lines, "") if lines else False
            parts.append(f"\n## {row.help}\n{lines}{'' if is_set else _default(row.name)}")
    if rest:
        parts.append("\n" + "".join(rest))
    text = "".join(parts)
    after = parse_env(text, "")
    for name, (value, line) in before.items():
        if after[name][0] != value:
            raise StackctlError(
                f"{name} ({line}) refers to a value that would come after it",
                remedy="write its value without ${…}, or merge by hand: stackctl init --stdout",
            )
    return text


def override_text() -> str:
    """Give the text of an override that changes nothing, with examples."""
    return Path(__file__).with_name("override.yml").read_text(encoding="utf-8")


def _default(name: str) -> str:
    return f"#{name}={SETTINGS[name].default or ''}\n"


def _sorted(text: str) -> tuple[list[str], dict[str, list[str]], list[str]]:
    """Sort an older file's lines, without ours: names that are no settings, settings by name, comments after all.

    A comment goes with the line after it.
    """
    own: list[str] = []
    rows: dict[str, list[str]] = {}
    comments: list[str] = []
    for name, line in _pieces(text):
        if name is None:
            comments += [] if line.startswith("##") else [line]
            continue
        is_default = line == _default(name) if name in SETTINGS else False
        place = rows.setdefault(name, []) if name in SETTINGS else own
        place += [*comments, *([] if is_default else [line])]
        comments = []
    return own, rows, comments


def _pieces(text: str) -> Iterator[tuple[str | None, str]]:
    """Give each line of a .env, or the lines of a value over several, with the setting that it is about, if any."""
    import io

    from dotenv.parser import parse_stream

    for binding in parse_stream(io.StringIO(text)):
        line = binding.original.string.strip("\n") + "\n"
        # The parser gives lines of blanks with the comment after them.
        comment = line.lstrip()
        commented = _COMMENTED.match(comment)
        if binding.key is not None:
            yield binding.key, line
        elif commented and commented[1] in SETTINGS:
            yield commented[1], comment
        elif comment:
            yield None, comment
