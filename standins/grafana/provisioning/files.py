"""The YAML files of a provisioning folder, with environment variables expanded as in Grafana."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from standins.shared.process import ConfigError

_VARIABLE = re.compile(r"\$(?:(\$)|\{(\w+)\}|(\w+))")


def entries(
    folder: Path, key: str, environment: Mapping[str, str] = os.environ
) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Yield each entry of the list `key` with its file, files in the order of their names.

    A missing folder has no entries. Raises ConfigError for an invalid file.
    """
    try:
        files = sorted(path for path in folder.iterdir() if path.suffix in {".yml", ".yaml"})
    except FileNotFoundError:
        return
    except OSError as error:
        raise ConfigError(f"cannot read {folder}: {error}") from None
    for path in files:
        try:
            content = yaml.safe_load(path.read_text()) or {}
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            raise ConfigError(f"cannot read {path}: {error}") from None
        found = content.get(key) if isinstance(content, dict) else None
        for entry in found if isinstance(found, list) else []:
            if not isinstance(entry, dict):
                raise ConfigError(f"{path}: an entry of {key} is not a mapping")
            yield path, expand(entry, environment)


def expand(value: Any, environment: Mapping[str, str]) -> Any:
    """Replace $NAME and ${NAME} in every text; `$$` stands for a dollar sign."""
    if isinstance(value, dict):
        return {key: expand(member, environment) for key, member in value.items()}
    if isinstance(value, list):
        return [expand(member, environment) for member in value]
    if not isinstance(value, str):
        return value

    def replace(match: re.Match[str]) -> str:
        return "$" if match[1] else environment.get(match[2] or match[3], "")

    return _VARIABLE.sub(replace, value)
