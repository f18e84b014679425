"""What is made of the compose files for other engines, as the real `docker compose config` reads it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from stackctl.config.load import load as load_settings
from stackctl.docker.endpoint import Endpoint
from stackctl.docker.engine import Engine, EngineInfo
from stackctl.images import sets
from stackctl.project import config_volumes, engine_overrides
from stackctl.project.monitored import monitored_services
from stackctl.project.secrets import Secrets
from stackctl.project.state import StateFolder, open_state
from stackctl.render.configuration import render
from stackctl.services.releases import PLAN

pytestmark = pytest.mark.docker

USUAL = EngineInfo("26.1", "2.26.1", "Debian", 2**34, 2, Path("/var/lib/docker"), api="1.45")
LOCAL = Endpoint("unix", socket=Path("/run/user/1000/docker.sock"))


def adapted(
    info: EngineInfo, endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> tuple[dict[str, Any], StateFolder]:
    """Give what Compose makes of the files for an engine, with the demo, and the state folder."""
    found = load_settings(environ={})
    state = open_state(found.project)
    render(
        found,
        Secrets(found, state),
        state,
        images=sets.variables(found, None, PLAN, demo=True),
        releases=PLAN,
        present=monitored_services(found, demo=True),
    )
    engine = Engine(found.project, [state.compose_env])
    engine.endpoint = endpoint
    monkeypatch.setattr(config_volumes, "refresh", lambda *_: [])
    engine_overrides.adapt(engine, info, found, state)
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
