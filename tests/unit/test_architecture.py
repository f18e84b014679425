"""The two pictures of docs/ARCHITECTURE.md agree with the configuration and with the layers' contract."""

from __future__ import annotations

import re
import tomllib
from itertools import pairwise
from typing import Any
from urllib.parse import urlsplit

import yaml

from stackctl.services import catalog
from tests.support.docs import ROOT, blocks

MONITORING = ROOT / "infrastructure" / "monitoring"
DATA, LAYERS = blocks((ROOT / "docs" / "ARCHITECTURE.md").read_text(encoding="utf-8"), "mermaid")
NODE = re.compile(r'([\w-]+)(?:[(\[]+"?([^")\]]*)"?[)\]]+)?')

Edges = set[tuple[str, str]]


def load(path: str) -> Any:
    return yaml.safe_load((MONITORING / path).read_text(encoding="utf-8"))


def drawn(picture: str) -> Edges:
    """Return the edges of a picture, those of a group as one for each of its members."""
    groups: dict[str, list[str]] = {}
    open_group: list[str] | None = None
    edges: Edges = set()
    for line in map(str.strip, picture.splitlines()):
        if line.startswith("subgraph "):
            open_group = groups.setdefault(line.split()[1], [])
        elif line == "end":
            open_group = None
        elif open_group is not None:
            open_group.append(line)
        elif " --> " in line:
            start, end = line.split(" --> ")
            edges |= {(one, end) for one in groups.get(start, [start])}
    return edges


def host(address: str) -> str:
    return urlsplit(address if "//" in address else f"//{address}").hostname or ""


def scrape_configs() -> list[dict[str, Any]]:
    jobs: list[dict[str, Any]] = load("prometheus/prometheus.yml")["scrape_configs"]
    return jobs


def targets(job: dict[str, Any]) -> set[str]:
    return {
        host(target) for static in job.get("static_configs", ()) for target in static["targets"]
    }


def test_the_picture_of_data_has_what_prometheus_scrapes_and_probes() -> None:
    scraped, probed = set[str](), set[str]()
    for job in scrape_configs():
        (probed if job.get("metrics_path") == "/probe" else scraped).update(targets(job))
    scraped -= {"localhost"}
    edges = drawn(DATA)
    assert {start for start, end in edges if end == "prometheus"} == scraped
    assert {start for start, end in edges if end == "blackbox-exporter"} == probed


def test_the_picture_of_data_has_who_sends_alerts_and_what_grafana_reads() -> None:
    alerting = load("prometheus/prometheus.yml")["alerting"]["alertmanagers"]
    assert {target for one in alerting for target in targets(one)} == {"alertmanager"}
    assert host(load("loki/loki-config.yml")["ruler"]["alertmanager_url"]) == "alertmanager"
    edges = drawn(DATA)
    senders = {start for start, end in edges if end == "alertmanager"}
    assert senders == {"prometheus", "loki"}
    sources = load("grafana/provisioning/datasources/datasources.yml")["datasources"]
    read = {start for start, end in edges if end == "grafana"}
    assert read == {host(source["url"]) for source in sources}


def test_the_picture_of_data_has_who_reads_from_the_engine() -> None:
    compose = yaml.safe_load((ROOT / "compose" / "docker-compose.yml").read_text(encoding="utf-8"))
    readers = {
        name
        for name, service in compose["services"].items()
        if "docker-api" in service.get("networks", ()) and name != "docker-socket-proxy"
    }
    edges = drawn(DATA)
    assert {end for start, end in edges if start == "docker-socket-proxy"} == readers
    assert {end for start, end in edges if start == "engine"} == {"docker-socket-proxy"}


def test_every_service_is_in_the_picture() -> None:
    inside = {node for edge in drawn(DATA) for node in edge}
    # It receives what the picture's channels do.
    assert inside >= set(catalog.SERVICES) - {"notification-sink"}


def test_the_picture_of_layers_is_the_contract() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    (contract,) = (
        one
        for one in project["tool"]["importlinter"]["contracts"]
        if one.get("containers") == ["stackctl"]
    )
    names: dict[str, str] = {}
    edges = []
    for start, end in re.findall(r"^ *(\S+) --> (.+)$", LAYERS, flags=re.MULTILINE):
        node = NODE.fullmatch(end)
        assert node is not None, end
        names[node[1]] = node[2] or node[1]
        edges.append((start, node[1]))
    assert all(before[1] == after[0] for before, after in pairwise(edges))
    order = [edges[0][0], *(names[end] for _, end in edges)]
    assert order == contract["layers"]
