"""The files that `stackctl init` writes: a .env with every setting, and an override of the compose files.

In both, lines with ## are stackctl's comments; lines with one # can be enabled by removing it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from stackctl.config.env_file import ENV_FILE, parse_env
from stackctl.config.registry import GROUPS, SETTINGS
from stackctl.errors import StackctlError

_HEAD = """\
## The settings of stackctl with their purposes and defaults. To change one, remove the # and edit the value.
## Environment variables override this file; `stackctl config` shows the effective values and their origins.
## This file may contain secrets: keep it out of version control.
## `stackctl init --force` updates the lines with ## and the defaults, and keeps all others.
"""
_OTHERS = "## ---- Other variables"
_COMMENTED = re.compile(r"#([A-Z0-9_]+)=")


def env_text(kept: str = "", origin: str = ENV_FILE) -> str:
    """Return the text of a .env with every setting commented out, except for those set in `kept`, an older .env.

    Values, other names and comments in `kept` stay as they are. `origin` is its name. Raises UsageError if it has an
    invalid line, StackctlError if the new order would break a reference from one value to another.
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
                f"{name} ({line}) refers to a variable that would be defined after it",
                remedy="write the value without ${…}, or merge the files yourself with `stackctl init --stdout`",
            )
    return text


def override_text() -> str:
    """Return the text of an override with examples that changes nothing."""
    return Path(__file__).with_name("override.yml").read_text(encoding="utf-8")


def _default(name: str) -> str:
    return f"#{name}={SETTINGS[name].default or ''}\n"


def _sorted(text: str) -> tuple[list[str], dict[str, list[str]], list[str]]:
    """Sort an older file's lines, without stackctl's comments: other names, settings by name, trailing comments.

    A comment belongs to the line after it.
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
    """Yield each line of a .env, or all lines of a multi-line value, with the name of its setting, if any."""
    import io

    from dotenv.parser import parse_stream

    for binding in parse_stream(io.StringIO(text)):
        line = binding.original.string.strip("\n") + "\n"
        # The parser returns blank lines together with the comment after them.
        comment = line.lstrip()
        commented = _COMMENTED.match(comment)
        if binding.key is not None:
            yield binding.key, line
        elif commented and commented[1] in SETTINGS:
            yield commented[1], comment
        elif comment:
            yield None, comment
