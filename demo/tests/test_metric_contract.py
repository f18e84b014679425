"""Every metric of the contract is exposed with its type and labels, and no other is."""

from __future__ import annotations

import re

import pytest

from demo.tests.helpers import APPLICATIONS, Client, make_role, visit
from stackctl.services import contract

CONTRACT: dict[str, dict[str, tuple[str, set[str]]]] = {
    service: {one.name: (one.kind, set(one.labels)) for one in metrics}
    for service, metrics in contract.CONTRACT.items()
} | {
    "kong": {
        "kong_http_requests_total": (
            "counter",
            {"service", "route", "code", "source", "workspace", "consumer"},
        ),
        "kong_bandwidth_bytes": (
            "counter",
            {"service", "route", "direction", "workspace", "consumer"},
        ),
        "kong_kong_latency_ms": ("histogram", {"service", "route", "workspace"}),
        "kong_upstream_latency_ms": ("histogram", {"service", "route", "workspace"}),
        "kong_request_latency_ms": ("histogram", {"service", "route", "workspace"}),
        "kong_nginx_connections_total": ("gauge", {"node_id", "subsystem", "state"}),
        "kong_nginx_requests_total": ("gauge", {"node_id", "subsystem"}),
        "kong_nginx_timers": ("gauge", {"state"}),
        "kong_nginx_metric_errors_total": ("counter", set()),
        "kong_datastore_reachable": ("gauge", set()),
        "kong_node_info": ("gauge", {"node_id", "version"}),
        "kong_memory_lua_shared_dict_bytes": (
            "gauge",
            {"node_id", "shared_dict", "kong_subsystem"},
        ),
        "kong_memory_lua_shared_dict_total_bytes": (
            "gauge",
            {"node_id", "shared_dict", "kong_subsystem"},
        ),
        "kong_memory_workers_lua_vms_bytes": ("gauge", {"node_id", "pid", "kong_subsystem"}),
    },
}

LABEL_VALUES = {
    ("rust-core-engine", "db_pool_connections", "state"): {"used", "idle", "max"},
    ("python-ai-service", "ai_predictions_total", "signal"): {"LONG", "SHORT", "NEUTRAL"},
    ("kong", "kong_nginx_connections_total", "state"): {
        *("accepted", "active", "handled", "reading", "total", "waiting", "writing")
    },
}

PROCESS = {
    "process_cpu_seconds_total",
    "process_resident_memory_bytes",
    *(metric.name for metric in contract.PROCESS),
}


def exposition(name: str) -> str:
    """Fetch a role's metrics as Prometheus would at its first scrape."""
    role = make_role(name)
    role.advance(0.0)
    pages: list[str] = []

    async def scenario(client: Client) -> None:
        answer = await client.get(role.metrics_path)
        assert answer.status == 200
        assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
        pages.append(await answer.text())

    visit(role, scenario)
    return pages[0]


def families(page: str) -> tuple[dict[str, str], dict[str, set[frozenset[str]]]]:
    """Return each family's type and label sets, under the name that its TYPE line has."""
    types: dict[str, str] = {}
    labels: dict[str, set[frozenset[str]]] = {}
    family = ""
    for line in page.splitlines():
        if line.startswith("# TYPE "):
            _, _, family, kind = line.split()
            types[family] = kind
            labels[family] = set()
        elif not line.startswith("#"):
            suffixes = "(_bucket|_count|_sum)" if types[family] == "histogram" else ""
            sample = re.fullmatch(rf"{family}{suffixes}({{.*}})? \S+", line)
            assert sample, f"{line!r} is not of {family}"
            names = re.findall(r'(\w+)="(?:[^"\\]|\\.)*"', line)
            labels[family].add(frozenset(names) - {"le"})
    return types, labels


@pytest.mark.parametrize("name", CONTRACT)
def test_exactly_the_metrics_of_the_contract_from_the_first_scrape_on(name: str) -> None:
    types, labels = families(exposition(name))
    own = {metric for metric in types if not metric.startswith("process_")}
    assert own == set(CONTRACT[name])
    for metric, (kind, expected) in CONTRACT[name].items():
        assert (metric, types[metric]) == (metric, kind)
        assert (metric, labels[metric]) == (metric, {frozenset(expected)})


@pytest.mark.parametrize("name", APPLICATIONS)
def test_the_applications_tell_of_their_process(name: str) -> None:
    types, _ = families(exposition(name))
    assert set(types) >= PROCESS


@pytest.mark.parametrize(("name", "metric", "label"), LABEL_VALUES)
def test_label_values_of_the_contract(name: str, metric: str, label: str) -> None:
    values = set(re.findall(rf'^{metric}\{{.*?\b{label}="([^"]*)"', exposition(name), re.MULTILINE))
    assert values == LABEL_VALUES[name, metric, label]


@pytest.mark.parametrize("name", CONTRACT)
def test_no_series_of_when_a_counter_was_created(name: str) -> None:
    assert "_created" not in exposition(name)
