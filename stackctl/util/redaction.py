"""Secrets are taken out of what others say, such as an engine's error, before it is shown.

stackctl itself puts none there. This is for what a program repeats of what it was given.
"""

from __future__ import annotations

import re

_SHOWN = "****"
_MINIMUM = 4
"""Of a shorter one, all that fits by chance would be hidden too."""
_PASSWORD = re.compile(r"//[^/@:]*:(?P<password>.+)@")

_known: set[str] = set()


def remember(secret: str) -> None:
    """Register a secret for redaction; for an address, its password by itself too."""
    found = _PASSWORD.search(secret)
    _known.update(
        one for one in (secret, found["password"] if found else "") if len(one) >= _MINIMUM
    )


def redacted(text: str) -> str:
    """Return a text with every known secret replaced."""
    # The longest first, as one may be a part of another.
    for secret in sorted(_known, key=len, reverse=True):
        text = text.replace(secret, _SHOWN)
    return text
