"""The documents, and the fenced blocks in them."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

RUNBOOKS = {
    path.name: path.read_text(encoding="utf-8")
    for path in sorted((ROOT / "docs" / "runbooks").glob("*_RUNBOOK.md"))
}
"""The runbooks' texts by file name."""

RUNBOOKS_README = (ROOT / "docs" / "runbooks" / "README.md").read_text(encoding="utf-8")
"""What holds for all runbooks."""

GUIDE = (ROOT / "docs" / "MONITORING_GUIDE.md").read_text(encoding="utf-8")

DOCUMENTS = RUNBOOKS | {"MONITORING_GUIDE.md": GUIDE}

PAGES = {
    str(path.relative_to(ROOT)): path.read_text(encoding="utf-8")
    for folder in (".", "demo", "docs", "docs/runbooks", "standins")
    for path in sorted((ROOT / folder).glob("*.md"))
}
"""Every Markdown file that the repository shows to a reader, by path."""


def blocks(text: str, language: str) -> list[str]:
    """Return the fenced code blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL)
