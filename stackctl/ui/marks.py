"""The signs of reports and tables, in letters where the stream cannot carry them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Marks:
    """What stands for passed, failed, not asked, a warning, not judged yet, and before a remedy."""

    good: str
    bad: str
    skipped: str
    warning: str
    waiting: str
    remedy: str


_SIGNS = Marks("✔", "✘", "-", "!", "…", "→")
_LETTERS = Marks("ok  ", "FAIL", "skip", "warn", "wait", "->")


def marks(encoding: str) -> Marks:
    """Return the marks that a stream with this encoding can represent."""
    try:
        "".join((_SIGNS.good, _SIGNS.bad, _SIGNS.waiting, _SIGNS.remedy)).encode(encoding)
    except (LookupError, UnicodeEncodeError):
        return _LETTERS
    return _SIGNS
