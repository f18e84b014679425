"""Notification channels for tests: a value for every setting of a row, so that a new row needs none of its own."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable

from stackctl.services.channels import CHANNELS, Channel
from stackctl.values import parsers
from stackctl.values.setting import Setting

_EXAMPLES: dict[Callable[[str], str], str] = {
    parsers.url: "https://hooks.example.org/{}",
    parsers.text: "{}",
    parsers.sender: "{}@example.org",
    parsers.recipients: "{}@example.org",
    parsers.host_or_address: "{}.example.org",
    parsers.port: "2525",
    parsers.smtp_tls: "starttls",
}

SUBSETS: list[tuple[Channel, ...]] = [
    found for size in range(len(CHANNELS) + 1) for found in itertools.combinations(CHANNELS, size)
]
"""Every choice of channels, of none to all."""


def names(channels: Iterable[Channel]) -> str:
    """Return the id of a test that is for these channels."""
    return "+".join(channel.key for channel in channels) or "none"


def example(setting: Setting) -> str:
    """Return a value for a setting, with the setting's name in it where it may be text."""
    return _EXAMPLES[setting.parse].format(setting.name.lower().replace("_", "-"))


def environment(channels: Iterable[Channel]) -> dict[str, str]:
    """Return every setting of these channels."""
    return {setting.name: example(setting) for channel in channels for setting in channel.settings}
