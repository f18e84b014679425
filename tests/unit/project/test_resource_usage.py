"""Whose figures of CPU and memory are shown: Prometheus' where it has them, else the engine's."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from stackctl.clients.prometheus_values import PrometheusValues
from stackctl.docker.models import Usage
from stackctl.errors import ServiceError
from stackctl.project.resource_usage import measure
from tests.support.engine import MemoryEngine

OWN = Usage(9.0, 90, 900, 3600.0)


class ReadingEngine(MemoryEngine):
    """Says the same of every container, and keeps whom it was asked for."""

    def usage(self, containers: Sequence[str]) -> dict[str, Usage]:
        self.done += [("usage", name) for name in containers]
        return dict.fromkeys(containers, OWN)


def answered(monkeypatch: pytest.MonkeyPatch, *answers: dict[str, float]) -> None:
    """Let Prometheus answer the queries, in their order, with these values by container name."""
    waiting = iter(answers)

    async def by_label(*_: object) -> dict[str, float]:
        return next(waiting)

    monkeypatch.setattr(PrometheusValues, "by_label", by_label)


def test_what_prometheus_has_is_taken_and_the_engine_asked_for_the_rest(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # b has no limit in Prometheus yet.
    answered(monkeypatch, {"a": 1.5, "b": 2}, {"a": 10, "b": 20, "other": 1}, {"a": 100})
    engine = ReadingEngine()
    found = asyncio.run(measure(engine, "http://127.0.0.1:9", ["a", "b"]))
    assert found == {"a": Usage(1.5, 10, 100, 60), "b": OWN}
    assert engine.done == [("usage", "b")]


def test_without_prometheus_the_engine_is_asked_for_all(monkeypatch: pytest.MonkeyPatch) -> None:
    async def by_label(*_: object) -> dict[str, float]:
        raise ServiceError("it does not answer", service="prometheus", url="http://127.0.0.1:9")

    monkeypatch.setattr(PrometheusValues, "by_label", by_label)
    for url in (None, "http://127.0.0.1:9"):
        assert asyncio.run(measure(ReadingEngine(), url, ["a"])) == {"a": OWN}


def test_a_container_without_a_limit_has_the_engines_figures(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    answered(monkeypatch, {"a": 1.0}, {"a": 10}, {"a": 0})
    assert asyncio.run(measure(ReadingEngine(), "http://127.0.0.1:9", ["a"])) == {"a": OWN}
