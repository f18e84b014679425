"""The releases that stackctl needs of the engine and of Compose, and how a version that they print is compared.

The images' own versions are in compose/images.yml.
"""

from __future__ import annotations

import re

from packaging.version import Version

MINIMUM_ENGINE = Version("25.0")
MINIMUM_COMPOSE = Version("2.20")
MINIMUM_PODMAN = Version("4.3")
ADAPTING_COMPOSE = Version("2.24.4")
"""The first with a reliable `!reset`, by which a generated file takes settings out of ours."""
START_INTERVAL_API = Version("1.44")
"""Compose refuses `start_interval` of an engine with an older API."""


def release(version: str) -> Version:
    """Return the release that a printed version begins with, such as 26.1.5 of 26.1.5+dfsg1; 0 where there is none.

    Packagers' suffixes need not follow PEP 440, so they are left out rather than parsed.
    """
    found = re.match(r"[0-9]+(\.[0-9]+)*", version)
    return Version(found[0] if found else "0")
