"""Whether this machine's CPU supports the instructions that the stack's programs need."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

CPUINFO = Path("/proc/cpuinfo")

MONGODB_NEEDS: Mapping[str, str] = {"x86_64": "AVX", "aarch64": "ARMv8.2-A"}
"""Architecture, as the kernel names it → the instructions that MongoDB 5 and newer require.

https://www.mongodb.com/docs/manual/administration/production-notes, "Platform Support".
"""
OLDER_MONGODB = "mongo:4.4"
"""The last release that does not require them."""

# proc_cpuinfo(5): a flag that each CPU with these instructions lists.
_FLAGS: Mapping[str, str] = {"x86_64": "avx", "aarch64": "atomics"}


def machine() -> str:
    """Return this machine's architecture as the kernel names it, such as x86_64."""
    return os.uname().machine


def runs_mongodb(image: str) -> bool:
    """Return whether this CPU runs this image, if it is MongoDB's official one; other images are assumed to run."""
    found = re.fullmatch(r"(?:.*/)?mongo(?::(\d+)[^@]*)?(?:@.*)?", image)
    flag = _FLAGS.get(machine())
    if found is None or flag is None or (found[1] and int(found[1]) < 5):
        return True
    flags = _flags()
    return not flags or flag in flags


def _flags() -> frozenset[str]:
    """Return the CPU's flags; empty if the kernel does not list them."""
    try:
        text = CPUINFO.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return frozenset()
    listed = re.search(r"^(?:flags|Features)\s*:(.*)$", text, re.MULTILINE)
    return frozenset(listed[1].split()) if listed else frozenset()
