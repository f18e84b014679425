"""The doctor: each thing that can be wrong, with its remedy."""

from __future__ import annotations

import errno
import os
import socket
from dataclasses import replace
from pathlib import Path

import pytest

from stackctl.config.load import load as load_settings
from stackctl.docker.engine import EngineInfo
from stackctl.errors import EngineError
from stackctl.lifecycle import preflight
from stackctl.lifecycle.attach import Missing, Survey
from stackctl.lifecycle.preflight import Finding
from stackctl.project.monitored import monitored_services
from stackctl.services import catalog
from tests.support.engine import MemoryEngine, container
from tests.support.ports import free_port_settings, free_ports

GOOD = EngineInfo("26.1.5+dfsg1", "2.26.1-4", "Debian", 8 * 1024**3, 2, Path("/"))


def examine(
    info: EngineInfo | EngineError = GOOD, engine: MemoryEngine | None = None, **environ: str
) -> list[Finding]:
    engine = engine or MemoryEngine()
    engine.engine_info = info
    found = load_settings(environ={**free_port_settings(), **environ})
    return preflight.examine(engine, found, catalog.select())


def of(findings: list[Finding], subject: str) -> Finding:
    """Give the worst finding about a subject."""
    return max(
        (one for one in findings if one.subject == subject),
        key=lambda one: ("ok", "warning", "failure").index(one.level),
    )


def test_a_good_machine_has_no_failure_and_every_other_finding_has_a_remedy() -> None:
    findings = examine()
    assert not [one for one in findings if one.level == "failure"]
    assert all(one.remedy for one in findings if one.level != "ok")


def test_containers_of_another_compose_file_under_our_name_are_refused() -> None:
    engine = MemoryEngine()
    engine.others = ["bot-core-redis-1"]
    finding = of(examine(engine=engine), "project")
    assert finding.level == "failure"
    assert "bot-core-redis-1" in finding.message
    assert "-p" in (finding.remedy or "")


def test_no_engine_is_the_one_finding() -> None:
    (finding,) = examine(EngineError("the Docker daemon is not running", remedy="start Docker"))
    assert (finding.level, finding.message, finding.remedy) == (
        "failure",
        "the Docker daemon is not running",
        "start Docker",
    )


@pytest.mark.parametrize(
    ("subject", "info"),
    [("docker", replace(GOOD, version="24.0.7")), ("compose", replace(GOOD, compose="2.19.1"))],
)
def test_an_old_version_is_a_failure_with_the_one_that_is_needed(
    subject: str, info: EngineInfo
) -> None:
    finding = of(examine(info), subject)
    assert finding.level == "failure"
    assert "is needed" in finding.message
    assert finding.remedy


@pytest.mark.parametrize("version", ["25.0", "25.0.0-rc1", "27.3.1", "28"])
def test_a_new_enough_version_is_fine(version: str) -> None:
    assert of(examine(replace(GOOD, version=version)), "docker").level == "ok"


def test_little_memory_is_a_warning() -> None:
    assert of(examine(replace(GOOD, memory_bytes=2 * 1024**3)), "memory").level == "warning"


def test_a_taken_port_names_the_process() -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        finding = of(examine(LOKI_PORT=str(port)), "ports")
    assert finding.level == "failure"
    assert f"port {port} of loki is taken by" in finding.message
    assert f"(pid {os.getpid()})" in finding.message
    assert "LOKI_PORT" in (finding.remedy or "")


def test_a_port_that_this_project_holds_is_fine() -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        engine = MemoryEngine(container("loki"))
        engine.published_ports = {port: "loki"}
        findings = examine(engine=engine, LOKI_PORT=str(port))
    assert of(findings, "ports").level == "ok"


def test_a_taken_port_that_a_running_service_is_to_move_to_is_a_failure() -> None:
    engine = MemoryEngine(container("loki"))
    (port, free) = free_ports(2)
    engine.published_ports = {free: "loki", port: "somebody"}
    finding = of(examine(engine=engine, LOKI_PORT=str(port)), "ports")
    assert finding.message == f"port {port} of loki is taken by the container somebody"


def test_bot_cores_own_container_holds_its_port_against_the_monitoring() -> None:
    engine = MemoryEngine(container("rust-core-engine", attached=True))
    (port,) = free_ports(1)
    engine.published_ports = {port: "rust-core-engine"}
    assert of(examine(engine=engine, LOKI_PORT=str(port)), "ports").level == "failure"


def test_an_address_that_this_machine_has_not_is_one_failure() -> None:
    (finding,) = [
        one for one in examine(STACKCTL_BIND_ADDRESS="192.0.2.7") if one.subject == "ports"
    ]
    assert finding.level == "failure"
    assert finding.message.startswith("nothing can be published on 192.0.2.7: ")
    assert "STACKCTL_BIND_ADDRESS" in (finding.remedy or "")


@pytest.mark.parametrize(("rootless", "level"), [(True, "failure"), (False, "ok")])
def test_a_port_that_only_root_may_open_is_told_where_the_engine_is_not_root(
    rootless: bool, level: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refusal(_: str, port: int) -> int | None:
        return errno.EACCES if port == 80 else None

    monkeypatch.setattr(preflight, "_refusal", refusal)
    finding = of(examine(replace(GOOD, rootless=rootless), LOKI_PORT="80"), "ports")
    assert finding.level == level
    assert ("rootless engine" in finding.message) is rootless


def test_what_was_not_asked_is_not_fine() -> None:
    there = monitored_services(
        load_settings(environ={"MONGODB_EXPORTER_URI": "mongodb://db"}), demo=False, joined=True
    )
    seen = Survey((Missing("kong", "no kong", "start it"),), frozenset({"redis"}), "ask it")
    levels = {one.subject: (one.level, one.remedy) for one in preflight.joined(seen, there)}
    assert levels["kong"] == ("warning", "start it")
    assert levels["redis"] == ("ok", None)
    assert levels["rust-core-engine"] == levels["mongodb"] == ("skipped", "ask it")


def test_one_port_for_two_services_is_a_failure() -> None:
    (port,) = map(str, free_ports(1))
    finding = of(examine(LOKI_PORT=port, GRAFANA_PORT=port), "ports")
    assert finding.level == "failure"
    assert finding.message == f"port {port} of loki is set for grafana too"


def test_a_channel_without_settings_is_a_warning_with_their_names() -> None:
    finding = of(examine(), "notifications")
    assert finding.level == "warning"
    assert "ALERTMANAGER_" in (finding.remedy or "")
