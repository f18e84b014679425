"""Writes a Compose file that is merged over the stack's and can remove settings from it."""

from __future__ import annotations

from typing import Any

import yaml


class _Reset:
    """Marks a value for Compose to remove from the files below."""


RESET = _Reset()


class _Dumper(yaml.SafeDumper):
    """A YAML dumper that knows Compose's tag."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


_Dumper.add_representer(_Reset, lambda dumper, _: dumper.represent_scalar("!reset", ""))


def text(content: dict[str, Any]) -> str:
    """Return the text of a file with this content."""
    return yaml.dump(content, Dumper=_Dumper, sort_keys=False)
