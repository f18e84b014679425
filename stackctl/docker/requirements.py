"""The versions of the engine and Compose that stackctl requires, and how their versions are parsed.

The versions of the images are in compose/images.yml.
"""

from __future__ import annotations

import re

from packaging.version import Version

MINIMUM_ENGINE = Version("25.0")
MINIMUM_COMPOSE = Version("2.20")
MINIMUM_PODMAN = Version("4.3")
ADAPTING_COMPOSE = Version("2.24.4")
"""The first version with a reliable `!reset`, with which a generated file removes settings from the stack's files."""
START_INTERVAL_API = Version("1.44")
"""Compose rejects `start_interval` for engines with an older API."""


def release(version: str) -> Version:
    """Return the release at the start of a version, such as 26.1.5 for 26.1.5+dfsg1; 0 if there is none.

    Suffixes of packagers may not follow PEP 440, so they are ignored.
    """
    found = re.match(r"[0-9]+(\.[0-9]+)*", version)
    return Version(found[0] if found else "0")
