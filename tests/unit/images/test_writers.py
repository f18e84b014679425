"""What wrote a volume, and what opens it next."""

from __future__ import annotations

import pytest

from stackctl.images import sets, writers
from stackctl.images.writers import Step, Writer, writer
from stackctl.project.state import open_state
from stackctl.services.catalog import SERVICES, Data
from stackctl.services.releases import PLAN, current


@pytest.mark.parametrize(
    ("reference", "version"),
    [
        ("prom/prometheus:v2.48.0", "2.48.0"),
        ("redis:7.2-alpine", "7.2"),
        ("mirror.example:5000/library/redis:7.2-alpine@sha256:0", "7.2"),
        ("mirror.example:5000/prom/prometheus", None),
        ("grafana/loki:latest", None),
        ("rabbitmq:3.12-management", "3.12"),
    ],
)
def test_the_version_is_that_of_the_tag(reference: str, version: str | None) -> None:
    assert writer(reference) == Writer(reference, version)


def test_every_image_with_data_says_what_it_writes_with() -> None:
    for releases in (PLAN, current()):
        for image in sets.catalogue(releases):
            if any(SERVICES[service].data for service in image.services):
                assert writer(image.upstream).version, image.upstream
                local = writer(image.local)
                assert local.standin != bool(local.version), image.local


def data_of(service: str) -> Data:
    data = SERVICES[service].data
    assert data is not None
    return data


@pytest.mark.parametrize(
    ("service", "before", "after", "wanted"),
    [
        ("prometheus", "prom/prometheus:v2.48.0", "prom/prometheus:v3.14.0", "forward"),
        ("prometheus", "prom/prometheus:v3.14.0", "prom/prometheus:v2.48.0", "back"),
        ("prometheus", "prom/prometheus:v2.48.0", "prom/prometheus:v2.48.0", "none"),
        ("prometheus", "prom/prometheus:v2.48.0", "mirror:5/prom/prometheus:v2.48.0", "none"),
        ("prometheus", "prom/prometheus:latest", "prom/prometheus:v2.48.0", "unknown"),
        # Both are real programs of one major release.
        ("prometheus", "stackctl/prometheus:local", "prom/prometheus:v2.48.0", "none"),
        ("prometheus", "stackctl/prometheus:local", "stackctl/prometheus:local-current", "forward"),
        ("prometheus", "stackctl/prometheus:local-current", "prom/prometheus:v2.48.0", "back"),
        ("grafana", "grafana/grafana:10.2.2", "grafana/grafana:13.1.2", "forward"),
        ("grafana", "grafana/grafana:13.1.2", "grafana/grafana:10.2.2", "back"),
        ("grafana", "stackctl/grafana:local", "grafana/grafana:10.2.2", "across"),
        ("grafana", "grafana/grafana:10.2.2", "stackctl/grafana:local", "across"),
        ("loki", "grafana/loki:2.9.3", "grafana/loki:3.7.6", "forward"),
        ("loki", "grafana/loki:3.7.6", "grafana/loki:2.9.3", "back"),
        ("loki", "stackctl/loki:local", "stackctl/loki:local", "none"),
        ("alertmanager", "prom/alertmanager:v0.26.0", "prom/alertmanager:v0.34.0", "forward"),
        ("alertmanager", "prom/alertmanager:v0.34.0", "prom/alertmanager:v0.26.0", "back"),
        ("redis", "stackctl/redis:local", "redis:7.2-alpine", "back"),
        ("redis", "redis:7.2-alpine", "redis:8.0-alpine", "forward"),
        ("rabbitmq", "rabbitmq:3.12", "rabbitmq:4.1", "across"),
        ("rabbitmq", "stackctl/rabbitmq:local", "rabbitmq:3.12", "back"),
        ("mongodb", "stackctl/mongodb:local", "mongo:7.0", "across"),
        ("mongodb", "mongo:7.0", "mongo:8.0", "across"),
    ],
)
def test_each_step(service: str, before: str, after: str, wanted: Step) -> None:
    assert writers.step(data_of(service), writer(before), writer(after)) == wanted


def test_a_standin_of_another_stackctl_is_the_same_standin() -> None:
    before = Writer("stackctl/loki:local", None, standin=True)
    assert writers.step(data_of("loki"), before, Writer("stackctl/loki:new", None, True)) == "none"


@pytest.mark.parametrize("version", ["abc", "3.", 3, ["3"], "3.5-rc"])
def test_a_damaged_record_of_a_volume_counts_as_none(own_folders: None, version: object) -> None:
    state = open_state("bot-core")
    damaged = {"image": "prom/prometheus:v3.14.0", "version": version}
    state.write_json("volumes.json", {"prometheus_data": damaged})
    assert writers.recorded(state) == {}


def test_the_record_keeps_what_is_not_written_again(own_folders: None) -> None:
    state = open_state("bot-core")
    assert writers.recorded(state) == {}
    first = {"loki_data": writer("grafana/loki:2.9.3"), "redis_data": writer("redis:7.2-alpine")}
    writers.record(state, first)
    later = {"redis_data": writer("redis:8.0-alpine")}
    writers.record(state, later)
    assert writers.recorded(state) == {**first, **later}
