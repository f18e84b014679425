"""What is made of the compose files for other engines, as the real `docker compose config` reads it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from stackctl.config.load import load as load_settings
from stackctl.docker.endpoint import Endpoint
from stackctl.docker.engine import Engine, EngineInfo
from stackctl.project import config_volumes, engine_overrides
from stackctl.project.container_metrics import ContainerMetrics
from stackctl.project.state import StateFolder
from stackctl.util import paths
from tests.support.rendering import rendered_state

pytestmark = pytest.mark.docker

USUAL = EngineInfo("26.1", "2.26.1", "Debian", 2**34, 2, Path("/var/lib/docker"), api="1.45")
LOCAL = Endpoint("unix", socket=Path("/run/user/1000/docker.sock"))


def adapted(
    info: EngineInfo,
    endpoint: Endpoint,
    monkeypatch: pytest.MonkeyPatch,
    metrics: ContainerMetrics = ContainerMetrics(),  # noqa: B008 - it cannot be changed
) -> tuple[dict[str, Any], StateFolder]:
    """Return what Compose makes of the files for an engine, with the demo, and the state folder."""
    found = load_settings(environ={})
    state = rendered_state()
    engine = Engine(found.project, [state.compose_env])
    engine.endpoint = endpoint
    monkeypatch.setattr(config_volumes, "refresh", lambda *_: [])
    engine_overrides.adapt(engine, info, found, state, metrics)
    return engine.configuration(), state


@pytest.fixture(autouse=True)
def _own_state(state_dir: Path, clean_environment: pytest.MonkeyPatch) -> None:
    """Every test has a state folder of its own."""


def binds(service: dict[str, Any]) -> dict[str, str]:
    return {
        one["target"]: one["source"] for one in service.get("volumes", ()) if one["type"] == "bind"
    }


def test_the_usual_engine_needs_no_second_file_and_its_paths_are_followed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found, state = adapted(replace(USUAL, root=Path("/data/docker")), LOCAL, monkeypatch)
    assert not (state.folder / "engine.yml").exists()
    proxy, cadvisor = (binds(found["services"][one]) for one in ("docker-socket-proxy", "cadvisor"))
    assert proxy["/var/run/docker.sock"] == "/run/user/1000/docker.sock"
    assert cadvisor["/data/docker"] == "/data/docker"
    assert binds(found["services"]["prometheus"])["/etc/prometheus"].startswith(str(state.folder))
    assert found["services"]["prometheus"]["healthcheck"]["start_interval"] == "1s"


def test_what_an_engine_refuses_is_taken_out_and_the_rest_stays(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    usual, _ = adapted(USUAL, LOCAL, monkeypatch)
    found, _ = adapted(replace(USUAL, api="1.41", limits_cpu=False), LOCAL, monkeypatch)
    assert set(found["services"]) == set(usual["services"])
    for name, service in found["services"].items():
        assert not service.get("deploy", {}).get("resources"), name
        before = usual["services"][name]
        assert before["deploy"]["resources"]["limits"]
        if "healthcheck" in before:
            expected = {k: v for k, v in before["healthcheck"].items() if k != "start_interval"}
            assert service["healthcheck"] == expected
        assert service.get("secrets") == before.get("secrets")


def test_a_service_waits_for_anothers_health_only_where_it_shows_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    conditions = []
    for info in (USUAL, replace(USUAL, api="1.41")):
        found, _ = adapted(info, LOCAL, monkeypatch)
        waits = found["services"]["cadvisor"]["depends_on"]
        conditions.append({name: one["condition"] for name, one in waits.items()})
    assert conditions == [
        {"docker-socket-proxy": "service_healthy"},
        {"docker-socket-proxy": "service_started"},
    ]


def test_containerds_socket_is_the_proxys_alone_and_cadvisor_has_what_that_passes_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    usual, _ = adapted(USUAL, LOCAL, monkeypatch)
    path = "/run/k3s/containerd/containerd.sock"
    found, _ = adapted(USUAL, LOCAL, monkeypatch, ContainerMetrics(path))
    have = {name for name, one in found["services"].items() if path in binds(one).values()}
    assert have == {"docker-socket-proxy"}
    proxy, cadvisor = (found["services"][one] for one in ("docker-socket-proxy", "cadvisor"))
    assert binds(proxy)["/run/containerd/containerd.sock"] == path
    shared = {
        name: [one for one in service["volumes"] if one.get("source") == "containerd_api"]
        for name, service in (("proxy", proxy), ("cadvisor", cadvisor))
    }
    assert [one["target"] for one in shared["proxy"]] == ["/run/containerd-api"]
    assert [(one["target"], one["read_only"]) for one in shared["cadvisor"]] == [
        ("/run/containerd", True)
    ]
    before = usual["services"]["docker-socket-proxy"]["command"]
    assert proxy["command"][: len(before)] == before
    assert cadvisor["command"] == usual["services"]["cadvisor"]["command"]
    assert "containerd_api" not in usual["volumes"]
    assert set(found["volumes"]) - set(usual["volumes"]) == {"containerd_api"} <= paths.volumes()


def test_where_no_container_can_be_seen_cadvisor_does_not_end_itself(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    usual, _ = adapted(USUAL, LOCAL, monkeypatch)
    found, _ = adapted(USUAL, LOCAL, monkeypatch, ContainerMetrics(obstacle="rootless"))
    checks = [one["services"]["cadvisor"]["healthcheck"] for one in (usual, found)]
    assert ["kill" in str(one["test"]) for one in checks] == [True, False]
    assert checks[1] == {**checks[0], "test": checks[1]["test"]}


def test_a_remote_engine_is_given_no_path_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    far = Endpoint("ssh", host="server.example")
    found, state = adapted(USUAL, far, monkeypatch)
    own = {"/", "/sys", "/dev/disk/", "/var/lib/docker", "/var/run/docker.sock"}
    for name, service in found["services"].items():
        assert set(binds(service).values()) <= own, name
        assert not service.get("secrets"), name
    assert str(state.folder) not in str(found["services"])
    volumes = {one["target"]: one["source"] for one in found["services"]["grafana"]["volumes"]}
    assert volumes["/var/lib/grafana"] == "grafana_data"
    assert volumes["/run/secrets"] == "secrets_grafana"
    assert found["volumes"]["secrets_grafana"]["labels"] == {"stackctl.copy": "true"}
    # Back on the usual engine the folders are mounted again.
    again, _ = adapted(USUAL, LOCAL, monkeypatch)
    assert again["services"]["grafana"]["secrets"]
    assert config_volumes.kept(state) == []


def test_where_selinux_confines_no_folder_of_this_machine_is_mounted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found, state = adapted(replace(USUAL, selinux=True), LOCAL, monkeypatch)
    services = found["services"]
    without_label = {
        name for name, one in services.items() if "label=disable" in one["security_opt"]
    }
    # A privileged container has no label.
    assert services["cadvisor"]["privileged"]
    assert without_label == {"node-exporter", "docker-socket-proxy"}
    for name, service in services.items():
        assert not [one for one in binds(service).values() if one.startswith(str(state.folder))]
        assert not service.get("secrets"), name
        assert bool(binds(service)) == (name in {*without_label, "cadvisor"}), name
        assert "no-new-privileges:true" in service["security_opt"], name
