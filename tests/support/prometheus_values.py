"""Values of Prometheus' flags, accepted and refused: the parsers and the real program must agree on each."""

from __future__ import annotations

from collections.abc import Mapping

_DAY = 86400.0

DURATIONS: Mapping[str, float | None] = {
    "0": 0.0,
    "0s": 0.0,
    "1ms": 0.001,
    "90s": 90.0,
    "007m": 420.0,
    "1h30m": 5400.0,
    "12h": 43200.0,
    "15d": 15 * _DAY,
    "2w": 14 * _DAY,
    "1y": 365 * _DAY,
    "1y1w1d1h1m1s1ms": 373 * _DAY + 3661.001,
    "90d": 90 * _DAY,
    "292y": 292 * 365 * _DAY,
    "106751d": 106751 * _DAY,
    "9223372036854ms": 9223372036.854,
    "9223372036855ms": None,
    "106752d": None,
    "291y99w99d": None,
    "293y": None,
    "9999y": None,
    "99999999999999999999999h": None,
    "12h15d": None,
    "15d15d": None,
    "5ms1s": None,
    "1.5h": None,
    "-1h": None,
    "+1h": None,
    "1": None,
    "h": None,
    "1h ": None,
    "1 h": None,
    "1H": None,
    "1M": None,
    "1us": None,
    "1h30": None,
    "soon": None,
    "\u0661h": None,
}
"""Text → seconds, None where it is refused."""

_MIB, _GIB = 2**20, 2**30

SIZES: Mapping[str, int | None] = {
    "0": 0,
    "+0": 0,
    "0B": 0,
    "5B": 5,
    "5KB": 5 * 1024,
    "5KiB": 5 * 1024,
    "512MB": 512 * _MIB,
    "50GB": 50 * _GIB,
    "50GiB": 50 * _GIB,
    "+5GB": 5 * _GIB,
    "1.5TB": 3 * 2**39,
    ".5GB": _GIB // 2,
    "1.GB": _GIB,
    "1GB512MB": _GIB + 512 * _MIB,
    "512MB1GB": _GIB + 512 * _MIB,
    "1GB1GB": 2 * _GIB,
    "1PB": 2**50,
    "7EB": 7 * 2**60,
    "9EB": None,
    "99999999EB": None,
    "9223372036854775807B": None,
    "99999999999999999999999999B": None,
    "1.99999999999999999999GB": None,
    "1GiB1MB": None,
    "5kB": None,
    "5kiB": None,
    "5gb": None,
    "5K": None,
    "5G": None,
    "5": None,
    "00": None,
    "+": None,
    "GB": None,
    ".GB": None,
    "1.": None,
    "1..5GB": None,
    "5 GB": None,
    "5GB ": None,
    "--5GB": None,
    "much": None,
    "\u0665GB": None,
}
"""Text → bytes, None where it is refused."""

WITHOUT_EFFECT = ("-5GB", "-1B", "8EB")
"""What Prometheus starts with, and then keeps data without this limit: a negative size, and one that overflows."""
