"""Compares Alertmanager's counters with the expected deliveries: for a real channel they are the only evidence."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from stackctl.clients.alertmanager import AlertmanagerClient


@dataclass
class DeliveryCounter:
    """The deliveries that a run's test alerts must add to the counters, from the first alert on.

    The counters do not distinguish alerts, so a missing notification is reported for every test alert of its channel,
    and other alerts at the same time can hide it.
    """

    due: Counter[str] = field(default_factory=Counter)
    """Channel → number of expected deliveries."""
    _before: asyncio.Task[Counter[str]] | None = None

    async def begin(self, alertmanager: AlertmanagerClient) -> None:
        """Read the counters unless that was done. Raises ServiceError if they cannot be read."""
        if self._before is None or (self._before.done() and self._before.exception()):
            self._before = asyncio.create_task(alertmanager.delivered())
        await asyncio.shield(self._before)

    def expect(self, channels: Iterable[str]) -> None:
        """Expect one more notification to each of these channels."""
        self.due.update(channels)

    async def missing(
        self, alertmanager: AlertmanagerClient, channels: Iterable[str]
    ) -> dict[str, tuple[int, int]]:
        """Return the channels with fewer deliveries than expected: channel → delivered and expected number.

        `begin` must be called first. Raises ServiceError if the counters cannot be read.
        """
        assert self._before is not None  # noqa: S101 - as documented
        before, now = self._before.result(), await alertmanager.delivered()
        taken = {channel: now[channel] - before[channel] for channel in sorted(set(channels))}
        return {
            channel: (number, self.due[channel])
            for channel, number in taken.items()
            if number < self.due[channel]
        }
