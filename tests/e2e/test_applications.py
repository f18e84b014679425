"""Each mistake that an application can make with its metrics, switched on in the demo and found by `verify`."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.e2e.conftest import Stack

pytestmark = pytest.mark.docker

SWITCHES: dict[str, dict[str, object]] = {
    "python-ai-service": {
        "largest_bucket": 1,
        "endpoints_by_id": 300,
        "counters_as_gauges": True,
        "content_type": False,
    },
    "rust-core-engine": {"missing_metrics": True},
    # Prometheus has newer samples at first, and takes these when they are newer.
    "nextjs-ui-dashboard": {"clock_offset_seconds": -20},
}

FOUND = {
    "applications.metrics": ("rust-core-engine does not expose trade_execution_duration_seconds",),
    "applications.types": (
        "python-ai-service exposes as a gauge what must be a counter: http_requests_total, ai_analysis_total,",
        "python-ai-service's gauge orders_open_total has the name of a counter",
    ),
    "applications.buckets": (
        "ai_analysis_duration_seconds of python-ai-service ends at 1 s,"
        " so that AIServiceCriticalSlow (above 10 s) can never fire",
    ),
    "applications.labels": ("http_requests_total of python-ai-service has 30",),
    "applications.content-type": (
        "python-ai-service at http://python-ai-service:8000/metrics responds without a Content-Type",
    ),
    "applications.clocks": (
        "samples of http_request_duration_seconds and 1 more of nextjs-ui-dashboard are stamped 20 s"
        " differ from the scrape by ",
    ),
}


@pytest.fixture
def mistaken(stack: Stack) -> Iterator[Stack]:
    try:
        for service, switches in SWITCHES.items():
            url = f"{stack.settings.url(service)}/demo/control"
            assert httpx.put(url, json=switches).status_code == 200
        yield stack
    finally:
        for service in SWITCHES:
            httpx.delete(f"{stack.settings.url(service)}/demo/control").raise_for_status()


def verified(stack: Stack) -> dict[str, dict[str, Any]]:
    done = stack.run("verify", "applications", "--format", "json", "--timeout", "0")
    assert done.returncode == 0, done.stdout + done.stderr
    return {check["id"]: check for check in json.loads(done.stdout)["checks"]}


def test_verify_finds_each_mistake_and_says_what_to_change(mistaken: Stack) -> None:
    def missing(checks: dict[str, dict[str, Any]]) -> list[str]:
        return [
            text
            for id_, texts in FOUND.items()
            for text in texts
            if text not in checks[id_]["seen"]
        ]

    deadline = time.monotonic() + 120
    while missing(checks := verified(mistaken)) and time.monotonic() < deadline:
        time.sleep(5)
    assert missing(checks) == []
    gateway = checks.pop("applications.gateway")
    assert gateway["state"] == "passed"
    assert checks.keys() == FOUND.keys()
    assert all(check["state"] == "warning" and check["next_step"] for check in checks.values())


def test_without_the_mistakes_nothing_is_found(stack: Stack) -> None:
    def disturbed(checks: dict[str, dict[str, Any]]) -> list[str]:
        return [id_ for id_, one in checks.items() if one["state"] != "passed"]

    deadline = time.monotonic() + 120
    while disturbed(checks := verified(stack)) and time.monotonic() < deadline:
        time.sleep(5)
    assert disturbed(checks) == []
