"""Reads and parses .env files."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING

from stackctl.errors import UsageError

if TYPE_CHECKING:
    from dotenv.parser import Binding

ENV_FILE = ".env"


def read_env(path: Path) -> str:
    """Return the text of a .env file, without the byte order mark that Windows editors add.

    Raises FileNotFoundError, and UsageError if the file cannot be read or is not text.
    """
    try:
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise UsageError(
            f"cannot read {path}: {reason}", remedy="make it a readable UTF-8 text file"
        ) from None


def parse_env(text: str, origin: str) -> dict[str, tuple[str, str]]:
    """Return name → (value, ORIGIN:LINE) for the text of a .env file. Raises UsageError with the first invalid line."""
    from dotenv.main import resolve_variables
    from dotenv.parser import parse_stream

    bindings = list(parse_stream(io.StringIO(text)))
    lines: dict[str, int] = {}
    for binding in bindings:
        # The parser returns a name without "=" as a key without a value. Compose rejects such a line.
        if binding.error or (binding.key is not None and binding.value is None):
            raise UsageError(
                f"{origin}:{_first_line(binding)} is not NAME=value",
                remedy="correct that line, or put # before it",
            )
        if binding.key is not None:
            lines[binding.key] = _first_line(binding)
    pairs = [(binding.key, binding.value) for binding in bindings if binding.key is not None]
    resolved = resolve_variables(pairs, override=False)
    return {name: (value or "", f"{origin}:{lines[name]}") for name, value in resolved.items()}


def _first_line(binding: Binding) -> int:
    """Return the line number of a binding, whose text includes the blank lines before it."""
    text = binding.original.string
    return binding.original.line + len(text) - len(text.lstrip("\n"))
