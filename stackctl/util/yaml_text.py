"""Reads and writes YAML. libyaml does it some ten times as fast as Python, and is in every wheel of PyYAML."""

from __future__ import annotations

from typing import Any

import yaml

# A PyYAML that was built without libyaml has neither.
_LOADER: type[yaml.SafeLoader] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_DUMPER: type[yaml.SafeDumper] = getattr(yaml, "CSafeDumper", yaml.SafeDumper)


def load(text: str | bytes) -> Any:
    """Return the single document of a YAML text as plain values. Raises yaml.YAMLError if it is invalid."""
    try:
        return yaml.load(text, Loader=_LOADER)  # noqa: S506 - both loaders are safe
    except (ValueError, RecursionError) as error:
        # A date that no calendar has, or a text nested a thousand deep.
        raise yaml.YAMLError(str(error)) from error


def dump(value: Any) -> str:
    """Return plain values as readable YAML: in their order, with non-ASCII letters unescaped."""
    text: str = yaml.dump(value, Dumper=_DUMPER, sort_keys=False, allow_unicode=True, width=120)
    return text
