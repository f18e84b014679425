"""Reads YAML. libyaml does it some ten times as fast as Python, and is in every wheel of PyYAML."""

from __future__ import annotations

from typing import Any

import yaml

# A PyYAML that was built without libyaml has no such loader.
_LOADER: type[yaml.SafeLoader] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def load(text: str | bytes) -> Any:
    """Give the one document of a text as plain values; tags make no objects. Raises yaml.YAMLError for a broken one."""
    try:
        return yaml.load(text, Loader=_LOADER)  # noqa: S506 - both loaders are safe
    except (ValueError, RecursionError) as error:
        # A date that no calendar has, or a text nested a thousand deep.
        raise yaml.YAMLError(str(error)) from error
