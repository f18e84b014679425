"""The mistakes that an application can be switched to, in the page that it exposes."""

from __future__ import annotations

import time
from typing import Any

import pytest
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from demo.tests.helpers import APPLICATIONS, ENGINE, Client, make_role, turn, visit


def page(name: str, **switches: Any) -> dict[str, Metric]:
    role = make_role(name)
    turn(role, **switches)
    text = role.exposition().decode()
    return {family.name: family for family in text_string_to_metric_families(text)}


def test_histograms_end_at_their_largest_bucket() -> None:
    durations = page(ENGINE, largest_bucket=1)["http_request_duration_seconds"]
    bounds = {float(one.labels["le"]) for one in durations.samples if "le" in one.labels}
    assert sorted(bounds)[-2:] == [1, float("inf")]


@pytest.mark.parametrize("name", APPLICATIONS)
def test_endpoints_with_ids_are_series_of_their_own(name: str) -> None:
    usual, many = (page(name, endpoints_by_id=count)["http_requests"] for count in (0, 250))
    added = {one.labels["endpoint"] for one in many.samples} - {
        one.labels["endpoint"] for one in usual.samples
    }
    assert len(added) == 250
    assert "/api/orders/17" in added


def test_counters_have_the_type_of_a_gauge() -> None:
    families = page(ENGINE, counters_as_gauges=True)
    assert families["trades_total"].type == families["orders_open_total"].type == "gauge"
    assert families["trading_enabled"].type == "gauge"
    assert families["http_request_duration_seconds"].type == "histogram"


def test_histograms_and_metrics_without_labels_go_missing() -> None:
    usual, fewer = page(ENGINE), page(ENGINE, missing_metrics=True)
    gone = usual.keys() - fewer.keys()
    assert {"sharpe_ratio", "db_query_duration_seconds", "user_logins"} <= gone
    assert {"trades", "db_pool_connections", "process_start_time_seconds"} <= fewer.keys()


@pytest.mark.parametrize("offset", [-60, 90])
def test_samples_are_stamped_by_a_clock_that_is_off(offset: float) -> None:
    right, off = page(ENGINE), page(ENGINE, clock_offset_seconds=offset)
    for family in off.values():
        for sample in family.samples:
            assert sample.timestamp is not None
            assert float(sample.timestamp) == pytest.approx(time.time() + offset, abs=5)
    assert all(one.timestamp is None for family in right.values() for one in family.samples)


@pytest.mark.parametrize("name", APPLICATIONS)
def test_a_page_without_a_content_type(name: str) -> None:
    role = make_role(name)
    turn(role, content_type=False)

    async def scenario(client: Client) -> None:
        answer = await client.get(role.metrics_path)
        assert (answer.status, "Content-Type" in answer.headers) == (200, False)
        other = await client.get(role.health_paths[0])
        assert other.headers["Content-Type"].startswith("application/json")

    visit(role, scenario)
