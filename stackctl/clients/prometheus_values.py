"""Prometheus' results of instant queries as plain numbers. The rest of its HTTP API takes longer to import."""

from __future__ import annotations

from functools import partial
from typing import Any

from stackctl.clients.base import HttpClient


class PrometheusValues(HttpClient):
    """A client for Prometheus that reads the values of a few series."""

    service = "prometheus"

    async def by_label(self, expression: str, label: str) -> dict[str, float]:
        """Evaluate an expression now, and return its values by this label. Series without the label are under "".

        Raises ServiceError if Prometheus does not respond as documented.
        """
        form = {"query": expression}
        return await self._read(partial(_values, label), "POST", "/api/v1/query", form=form)


def _values(label: str, answer: Any) -> dict[str, float]:
    # In JSON the value is a string, because JSON has neither NaN nor infinities.
    return {
        series["metric"].get(label, ""): float(series["value"][1])
        for series in answer["data"]["result"]
    }
