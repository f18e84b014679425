"""The types of data sources that can be queried, and how. Alertmanager is only accessed through the proxy."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from standins.grafana.provisioning.datasources import DataSource
from standins.grafana.query import loki, prometheus
from standins.grafana.query.frames import Frame
from standins.grafana.query.times import TimeRange
from standins.grafana.query.upstream import Upstream


@dataclass(frozen=True)
class Kind:
    """The operations of a type. `failure` returns the message of a failed health check."""

    run: Callable[[Upstream, DataSource, Mapping[str, Any], TimeRange], Awaitable[list[Frame]]]
    health: Callable[[Upstream, DataSource], Awaitable[str]]
    failure: Callable[[Exception], str]


KINDS: Mapping[str, Kind] = {
    "prometheus": Kind(prometheus.run, prometheus.health, str),
    "loki": Kind(loki.run, loki.health, loki.unable),
}
