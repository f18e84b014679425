"""Suggestions for unknown names."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def nearest(name: str, known: Iterable[str]) -> str:
    """Return a remedy for an unknown name: the closest known name, ignoring case, or all known names."""
    names = sorted(known)
    spelt = {one.lower(): one for one in names}
    close = difflib.get_close_matches(name.lower(), spelt, n=1, cutoff=0.5)
    return f"did you mean {spelt[close[0]]}?" if close else f"known: {', '.join(names)}"
