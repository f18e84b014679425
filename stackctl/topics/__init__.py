"""The texts of `stackctl help TOPIC`: one Markdown file per topic in this folder."""

from __future__ import annotations

from pathlib import Path

from stackctl.errors import UsageError

_FOLDER = Path(__file__).parent


def names() -> list[str]:
    """Return the names of the topics."""
    return sorted(path.stem for path in _FOLDER.glob("*.md"))


def title(name: str) -> str:
    """Return a topic's title: its heading after the colon."""
    return text(name).partition("\n")[0].partition(": ")[2]


def text(name: str) -> str:
    """Return a topic as Markdown; the topic settings ends with a table of all settings.

    Raises UsageError, with the closest known name, if the topic is unknown.
    """
    if name not in names():
        from stackctl.util.suggest import nearest

        raise UsageError(f"unknown topic {name!r}", remedy=nearest(name, names()))
    found = (_FOLDER / f"{name}.md").read_text(encoding="utf-8")
    return found + _settings() if name == "settings" else found


def _settings() -> str:
    from stackctl.config.registry import GROUPS

    parts = []
    for heading, rows in GROUPS.items():
        parts.append(f"\n## {heading}\n\n| setting | default | description |\n|---|---|---|\n")
        parts += [f"| `{row.name}` | {row.default or ''} | {row.help} |\n" for row in rows]
    return "".join(parts)
