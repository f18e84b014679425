"""Whether cAdvisor can see an engine's containers, by what the engine says of itself."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import get_args

import pytest

from stackctl.config.load import load
from stackctl.docker.endpoint import DEFAULT, Endpoint
from stackctl.docker.engine import EngineInfo
from stackctl.project import container_metrics
from stackctl.project.container_metrics import ContainerMetrics, Obstacle
from stackctl.services.catalog import SetName
from stackctl.services.releases import Release

USUAL = EngineInfo("28.5.2", "2.40.3", "Debian", 2**34, 2, Path("/var/lib/docker"))
ON_CONTAINERD = replace(USUAL, containerd_store=True)
FAR = Endpoint("ssh", host="server.example")


def decided(
    info: EngineInfo,
    *,
    endpoint: Endpoint = DEFAULT,
    release: Release = "current",
    images: SetName = "upstream",
    **environ: str,
) -> ContainerMetrics:
    return container_metrics.decide(
        endpoint, info, load(environ=environ), release=release, images=images
    )


@pytest.fixture
def containerd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A socket on this machine, which is a Linux one."""
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setattr(container_metrics, "_USUAL_SOCKETS", (str(tmp_path / "none"),))
    path = tmp_path / "c.sock"
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        yield str(path)


@pytest.mark.parametrize("release", ["plan", "current"])
def test_the_engines_own_store_needs_nothing_whatever_the_release(release: Release) -> None:
    # From 27 on the engine names the socket in any case.
    info = replace(USUAL, containerd_socket="/run/containerd/containerd.sock")
    assert decided(info, release=release) == ContainerMetrics()


def test_the_socket_is_the_settings_else_the_engines_else_a_usual_one(
    containerd: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    named = replace(ON_CONTAINERD, containerd_socket=containerd)
    other = str(tmp_path / "other.sock")
    assert decided(named) == ContainerMetrics(containerd)
    assert decided(
        replace(ON_CONTAINERD, containerd_socket=other), STACKCTL_CONTAINERD_SOCKET=containerd
    ) == ContainerMetrics(containerd)
    assert decided(ON_CONTAINERD) == ContainerMetrics(obstacle="socket")
    monkeypatch.setattr(container_metrics, "_USUAL_SOCKETS", (other, containerd))
    assert decided(ON_CONTAINERD) == ContainerMetrics(containerd)


def test_a_path_that_is_no_socket_is_none(tmp_path: Path) -> None:
    found = decided(ON_CONTAINERD, STACKCTL_CONTAINERD_SOCKET=str(tmp_path))
    assert found == ContainerMetrics(obstacle="socket")


def test_only_the_machine_of_the_engine_can_tell_where_its_socket_is(
    containerd: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = replace(ON_CONTAINERD, containerd_socket="/there/containerd.sock")
    expected = ContainerMetrics("/there/containerd.sock")
    assert decided(elsewhere, endpoint=FAR) == expected
    assert decided(replace(elsewhere, operating_system="Docker Desktop")) == expected
    monkeypatch.setattr("sys.platform", "darwin")
    assert decided(elsewhere) == expected


@pytest.mark.parametrize(
    ("info", "release", "obstacle"),
    [
        (ON_CONTAINERD, "plan", "release"),
        (replace(USUAL, rootless=True), "current", "rootless"),
        (replace(ON_CONTAINERD, rootless=True), "plan", "rootless"),
        (replace(USUAL, podman=True), "plan", "podman"),
        (replace(USUAL, podman=True, rootless=True), "current", "podman"),
    ],
)
def test_what_keeps_the_containers_from_being_seen(
    info: EngineInfo, release: Release, obstacle: Obstacle
) -> None:
    assert decided(info, release=release) == ContainerMetrics(obstacle=obstacle)


@pytest.mark.parametrize(
    "info",
    [ON_CONTAINERD, replace(USUAL, rootless=True), replace(USUAL, podman=True)],
    ids=["containerd", "rootless", "podman"],
)
def test_the_stand_in_sees_what_the_engine_has_figures_of(info: EngineInfo) -> None:
    assert decided(info, release="plan", images="local") == ContainerMetrics()
    without_cgroups = replace(info, limits_cpu=False)
    assert decided(without_cgroups, images="local") == ContainerMetrics(obstacle="rootless")


def test_an_image_of_the_users_is_no_stand_in_and_of_no_known_release(containerd: str) -> None:
    info = replace(ON_CONTAINERD, containerd_socket=containerd)
    found = decided(info, release="plan", images="local", CADVISOR_IMAGE="mine/cadvisor:1")
    assert found == ContainerMetrics(containerd)


def test_every_obstacle_has_a_reason_and_a_remedy_and_is_read_back() -> None:
    for one in get_args(Obstacle):
        why, remedy = container_metrics.reason(one)
        assert why
        assert container_metrics.remedy(ContainerMetrics(obstacle=one)) == remedy
        assert container_metrics.recorded(one) == one
    assert container_metrics.recorded("anything") is None
    assert container_metrics.recorded(None) is None


def test_the_remedy_is_for_how_cadvisor_was_started() -> None:
    assert "docker-socket-proxy" in container_metrics.remedy(ContainerMetrics())
    by_socket = container_metrics.remedy(ContainerMetrics("/x/containerd.sock"))
    assert "/x/containerd.sock" in by_socket
    assert "STACKCTL_CONTAINERD_SOCKET" in by_socket
