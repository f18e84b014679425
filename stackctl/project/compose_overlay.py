"""A Compose file that is merged over ours, and may take settings out of them."""

from __future__ import annotations

from typing import Any

import yaml


class _Reset:
    """A value that Compose takes out of what the file is merged over."""


RESET = _Reset()


class _Dumper(yaml.SafeDumper):
    """Writes Compose's own tag too."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


_Dumper.add_representer(_Reset, lambda dumper, _: dumper.represent_scalar("!reset", ""))


def text(content: dict[str, Any]) -> str:
    """Return the file with this content."""
    return yaml.dump(content, Dumper=_Dumper, sort_keys=False)
