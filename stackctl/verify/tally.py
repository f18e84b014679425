"""What Alertmanager's counters must come to: of a real channel they are all that can be seen."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from stackctl.clients.alertmanager import AlertmanagerClient


@dataclass
class DeliveryCounter:
    """What all test alerts of a run must add to the counters since the first of them.

    The counters do not tell whose notification it was, so one that is missing shows at every alert of its channel;
    other alerts of that time can hide it.
    """

    due: Counter[str] = field(default_factory=Counter)
    """Channel → how many deliveries."""
    _before: asyncio.Task[Counter[str]] | None = None

    async def begin(self, alertmanager: AlertmanagerClient) -> None:
        """Read the counters, if nobody has. Raises ServiceError where they cannot be read."""
        if self._before is None or (self._before.done() and self._before.exception()):
            self._before = asyncio.create_task(alertmanager.delivered())
        await asyncio.shield(self._before)

    def expect(self, channels: Iterable[str]) -> None:
        """Note what an alert is about to cause: a notification to each of these channels."""
        self.due.update(channels)

    async def missing(
        self, alertmanager: AlertmanagerClient, channels: Iterable[str]
    ) -> dict[str, tuple[int, int]]:
        """Give the channels that took fewer notifications than are due: how many they took, how many are due.

        `begin` comes first. Raises ServiceError where the counters cannot be read.
        """
        assert self._before is not None  # noqa: S101 - as documented
        before, now = self._before.result(), await alertmanager.delivered()
        taken = {channel: now[channel] - before[channel] for channel in sorted(set(channels))}
        return {
            channel: (number, self.due[channel])
            for channel, number in taken.items()
            if number < self.due[channel]
        }
