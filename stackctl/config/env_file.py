"""The syntax of a .env file: reading its text, and its names with their values and lines."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING

from stackctl.errors import UsageError

if TYPE_CHECKING:
    from dotenv.parser import Binding

ENV_FILE = ".env"


def read_env(path: Path) -> str:
    """Give the text of a .env file, without the mark that Windows' editors put before it.

    Raises FileNotFoundError, and UsageError for a file that cannot be read or is no text.
    """
    try:
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise UsageError(
            f"{path} cannot be read: {reason}", remedy="make it a readable UTF-8 text file"
        ) from None


def parse_env(text: str, origin: str) -> dict[str, tuple[str, str]]:
    """Give name → (value, ORIGIN:LINE) of a .env file's text. Raises UsageError with the first broken line."""
    from dotenv.main import resolve_variables
    from dotenv.parser import parse_stream

    bindings = list(parse_stream(io.StringIO(text)))
    lines: dict[str, int] = {}
    for binding in bindings:
        # The parser gives a name without "=" as a key without a value. Compose refuses such a line.
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
    """Give the number of the line that the binding's text begins on: blank lines before it belong to it too."""
    text = binding.original.string
    return binding.original.line + len(text) - len(text.lstrip("\n"))
