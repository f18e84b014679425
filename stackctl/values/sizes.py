"""Sizes in the notation of Prometheus' flags: 50GB, 512MiB, 1.5TB.

The grammar is that of `ParseBase2Bytes` in alecthomas/units, which Prometheus' command line uses: KB and KiB are both
1024 bytes, the parts of a value add up, and all of them have the same one of the two spellings.
"""

from __future__ import annotations

import re


def _units(suffix: str) -> dict[str, int]:
    powers = {f"{letter}{suffix}": 1024**power for power, letter in enumerate("KMGTPE", start=1)}
    return {"B": 1, **powers}


_SPELLINGS = (_units("iB"), _units("B"))
_PART = re.compile(r"([0-9]+\.?[0-9]*|\.[0-9]+)([^0-9.]*)")
_MOST_DIGITS = (2**63 - 10) // 10 * 10
"""The limit for the digits before and after the decimal point."""
_LIMIT = 2**63


def parse_size(text: str) -> int:
    """Return the bytes of a size such as 50GB. Raises ValueError with the reason.

    A negative size, and 8EB in releases that round it up to a 64-bit overflow, are refused although Prometheus starts
    with them: it would then keep data without a limit.
    """
    digits = text.removeprefix("+")
    if digits == "0":
        return 0
    parts = _PART.findall(digits)
    units = next((one for one in _SPELLINGS if all(unit in one for _, unit in parts)), None)
    if not parts or units is None or "".join(map("".join, parts)) != digits:
        raise ValueError("expected a size such as 50GB or 512MiB")
    total = sum(float(number) * units[unit] for number, unit in parts)
    if total >= _LIMIT or not all(_representable(number) for number, _ in parts):
        raise ValueError("expected a size below 8EB")
    return int(total)


def _representable(number: str) -> bool:
    halves = [half.lstrip("0") or "0" for half in number.split(".")]
    return all(len(half) <= 19 and int(half) < _MOST_DIGITS for half in halves)
