"""The symbols in reports and tables, and letters for streams that cannot represent them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Marks:
    """The marks for passed, failed, skipped, warning and not judged yet, and the one before a remedy."""

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
