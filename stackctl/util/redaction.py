"""Removes secrets from the output of other programs, such as an engine's error, before it is shown.

stackctl itself never prints secrets, but programs may repeat their input.
"""

from __future__ import annotations

import re

_SHOWN = "****"
_MINIMUM = 4
"""A shorter secret would also hide text that matches by chance."""
_PASSWORD = re.compile(r"//[^/@:]*:(?P<password>.+)@")

_known: set[str] = set()


def remember(secret: str) -> None:
    """Register a secret for redaction and, if it is an address, its password too."""
    found = _PASSWORD.search(secret)
    _known.update(
        one for one in (secret, found["password"] if found else "") if len(one) >= _MINIMUM
    )


def redacted(text: str) -> str:
    """Return a text with every registered secret replaced."""
    # The longest first, because one may be part of another.
    for secret in sorted(_known, key=len, reverse=True):
        text = text.replace(secret, _SHOWN)
    return text
