"""Lists the rule groups of the ruler's local folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

_TENANT = "fake"


def groups(folder: Path | None) -> dict[str, list[Any]]:
    """Return the rule groups by file, of the only tenant without authentication.

    Raises ValueError for a file that is not a rule file.
    """
    if folder is None or not (folder / _TENANT).is_dir():
        return {}
    found = {}
    for path in sorted((folder / _TENANT).iterdir()):
        if path.suffix not in {".yml", ".yaml"}:
            continue
        try:
            document = yaml.safe_load(path.read_text(encoding="utf-8"))
        except yaml.YAMLError as error:
            raise ValueError(f"{path}: {error}") from None
        if not isinstance(document, dict) or not isinstance(document.get("groups"), list):
            raise ValueError(f"{path}: no list of groups")
        found[path.name] = document["groups"]
    return found
