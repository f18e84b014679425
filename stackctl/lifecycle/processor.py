"""What this machine's processor can do, as far as the stack's programs need it."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

CPUINFO = Path("/proc/cpuinfo")

MONGODB_NEEDS: Mapping[str, str] = {"x86_64": "AVX", "aarch64": "ARMv8.2-A"}
"""Kernel's name of a processor → what MongoDB needs of it from release 5 on.

https://www.mongodb.com/docs/manual/administration/production-notes, "Platform Support".
"""
OLDER_MONGODB = "mongo:4.4"
"""The last that does without."""

# proc_cpuinfo(5): the instructions that come with these, on the line of flags of each processor.
_FLAGS: Mapping[str, str] = {"x86_64": "avx", "aarch64": "atomics"}


def machine() -> str:
    """Return the kernel's name of this machine's processor, such as x86_64."""
    return os.uname().machine


def runs_mongodb(image: str) -> bool:
    """Return whether this processor runs MongoDB's own image by this reference; other images are taken to run."""
    found = re.fullmatch(r"(?:.*/)?mongo(?::(\d+)[^@]*)?(?:@.*)?", image)
    flag = _FLAGS.get(machine())
    if found is None or flag is None or (found[1] and int(found[1]) < 5):
        return True
    flags = _flags()
    return not flags or flag in flags


def _flags() -> frozenset[str]:
    """Return the processor's flags; none where the kernel does not list them."""
    try:
        text = CPUINFO.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return frozenset()
    listed = re.search(r"^(?:flags|Features)\s*:(.*)$", text, re.MULTILINE)
    return frozenset(listed[1].split()) if listed else frozenset()
