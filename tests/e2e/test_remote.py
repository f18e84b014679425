"""An engine at another address: nothing of this machine's is mounted, and everything works all the same."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from stackctl.services.catalog import PUBLISHED_PORTS
from tests.e2e.conftest import MARK, docker, free_offset
from tests.support.cli import stackctl
from tests.support.forward import forwarded

pytestmark = pytest.mark.docker

PROJECT = "stackctl-e2e-far"


@dataclass
class Far:
    """A project of its own on the engine by TCP, which makes it another machine's for stackctl."""

    folder: Path
    address: str
    lines: list[str] = field(default_factory=list)

    @property
    def state(self) -> Path:
        return self.folder / "state"

    def run(self, *arguments: str, timeout: float = 300) -> subprocess.CompletedProcess[str]:
        env_file = self.folder / "far.env"
        env_file.write_text("".join(f"{line}\n" for line in self.lines))
        env = {"STACKCTL_STATE_DIR": str(self.state), "DOCKER_HOST": self.address}
        return stackctl(
            "-p", PROJECT, "--env-file", str(env_file), *arguments, env=env, timeout=timeout
        )


def labelled(kind: str, *options: str) -> list[str]:
    return docker(
        kind, "ls", "-q", *options, "--filter", f"label=com.docker.compose.project={PROJECT}"
    ).split()


def mounts() -> list[tuple[str, str, str]]:
    """Return (type, source or volume, path in the container) of every mount of the project's containers."""
    found = json.loads(docker("inspect", *labelled("container", "-a")))
    return [
        (mount["Type"], mount.get("Name") or mount["Source"], mount["Destination"])
        for container in found
        for mount in container["Mounts"]
    ]


def in_prometheus(path: str) -> str:
    return docker("exec", f"{PROJECT}-prometheus", "cat", f"/etc/prometheus/{path}")


@pytest.fixture(scope="module")
def far(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Far]:
    for name in list(os.environ):
        if name.startswith(("STACKCTL_", "COMPOSE_", "DOCKER_")):
            del os.environ[name]
    offset = free_offset()
    with forwarded() as (address, _):
        one = Far(tmp_path_factory.mktemp("far"), address)
        one.lines = [f"{port.setting}={port.default + offset}" for port in PUBLISHED_PORTS.values()]
        one.lines.append(f"GRAFANA_PASSWORD={MARK}-far")
        up = one.run("up", "--images", "local", "--no-demo", timeout=900)
        try:
            assert up.returncode == 0, up.stdout + up.stderr
            yield one
        finally:
            down = one.run("down", "--volumes", "--yes")
            assert down.returncode == 0, down.stderr
    assert labelled("volume") == []


def test_no_container_has_a_folder_of_this_machines_state_mounted(far: Far) -> None:
    binds = {source for kind, source, _ in mounts() if kind == "bind"}
    assert not [source for source in binds if Path(source).is_relative_to(far.folder)]
    # What is the engine's machine's own stays.
    assert {"/", "/sys", "/var/run/docker.sock"} <= binds
    volumes = {target: source for kind, source, target in mounts() if kind == "volume"}
    assert volumes["/etc/prometheus"] == f"{PROJECT}_config_prometheus"


def test_a_second_up_changes_nothing(far: Far) -> None:
    before = set(labelled("container", "--no-trunc"))
    up = far.run("up", "--no-demo")
    assert up.returncode == 0, up.stderr
    assert "nothing to change" in up.stdout
    assert set(labelled("container", "--no-trunc")) == before


def test_verify_and_chaos_work(far: Far) -> None:
    verified = far.run("verify", "--timeout", "60")
    assert verified.returncode == 0, verified.stdout
    broken = far.run("chaos", "pause", "blackbox-exporter", "--for", "2s")
    assert broken.returncode == 0, broken.stderr
    assert "recovered from pause of blackbox-exporter" in broken.stdout


def test_a_secret_is_a_read_only_file_of_roots_and_in_no_image_or_argument(far: Far) -> None:
    listed = docker(
        "exec", f"{PROJECT}-grafana", "stat", "-c", "%a %u", "/run/secrets/grafana_password"
    )
    assert listed.split() == ["444", "0"]
    read = docker("exec", f"{PROJECT}-grafana", "cat", "/run/secrets/grafana_password")
    assert read == f"{MARK}-far"
    assert f"{MARK}-far" not in docker("inspect", *labelled("container", "-a"))
    assert "volume-copy" not in docker("image", "ls", "--format", "{{.Repository}}:{{.Tag}}")
    written = [far.state / PROJECT / name for name in ("engine.yml", "engine.env", "copies.json")]
    assert not [path for path in written if MARK in path.read_text()]


def test_reload_takes_a_changed_setting_there_and_back(far: Far) -> None:
    far.lines += ["BINANCE_API_URL=https://api.example/far", "STACKCTL_KUBERNETES=true"]
    done = far.run("reload")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "prometheus reloaded" in done.stdout
    assert "https://api.example/far" in in_prometheus("targets/binance.yml")
    assert "kubernetes" in in_prometheus("scrape-configs/kubernetes.yml")
    del far.lines[-2:]
    back = far.run("reload")
    assert back.returncode == 0, back.stdout + back.stderr
    left = docker("exec", f"{PROJECT}-prometheus", "ls", "/etc/prometheus/scrape-configs")
    assert left == ""
    again = far.run("reload")
    assert "nothing has changed" in again.stdout


def test_a_changed_secret_arrives_with_the_next_up(far: Far) -> None:
    far.lines.append("ALERTMANAGER_PAGERDUTY_KEY=" + f"{MARK}-key")
    up = far.run("up", "--no-demo")
    assert up.returncode == 0, up.stderr
    key = docker("exec", f"{PROJECT}-alertmanager", "cat", "/run/secrets/pagerduty_key")
    assert key == f"{MARK}-key"


def test_down_leaves_data_and_no_copies(far: Far) -> None:
    data = {name for name in labelled("volume") if not {"config", "secrets"} & set(name.split("_"))}
    down = far.run("down")
    assert down.returncode == 0, down.stderr
    assert set(labelled("volume")) == data
    assert f"{PROJECT}_prometheus_data" in data
