"""A stack from a shell that has all in it that could be in the way: what stackctl decides is what runs."""

from __future__ import annotations

import json
import os
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from stackctl.services.catalog import PUBLISHED_PORTS
from tests.e2e.conftest import docker, free_offset
from tests.support.cli import stackctl

pytestmark = pytest.mark.docker

PROJECT = "stackctl-e2e-shell"
METHODS = ("GET ", "HEAD ", "POST ", "PUT ", "CONNECT ")
IN_THE_WAY = {
    "LOKI_PORT": "",
    "GRAFANA_IMAGE": "",
    "REDIS_ADDRESS": "redis.corp.example:6379",
    "PROMETHEUS_FINGERPRINT": "other",
    "STACKCTL_CONFIG": "/nonexistent",
    "COMPOSE_FILE": "/nonexistent.yml",
    "COMPOSE_PROFILES": "none",
    "COMPOSE_IGNORE_ORPHANS": "1",
    "DOCKER_CONTENT_TRUST": "1",
    "DOCKER_DEFAULT_PLATFORM": "linux/s390x",
    "PYTHON_ON_WHALES_DEBUG": "1",
}


def loopback() -> str:
    """Return the IPv6 loopback in brackets, where this machine has one."""
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return "127.0.0.1"
    return "[::1]"


PROXY = "stackctl-e2e-shell-proxy"
REFUSING = """
import http.server
class Refusing(http.server.BaseHTTPRequestHandler):
    def refuse(self):
        print(self.command, self.path, flush=True)
        self.send_error(403)
    do_GET = do_HEAD = do_POST = do_PUT = do_CONNECT = refuse
http.server.ThreadingHTTPServer(("", 3128), Refusing).serve_forever()
"""


def refusing_proxy() -> str:
    """Start a proxy that writes down each request and refuses it, and return its address for containers."""
    docker(
        *("run", "--detach", "--name", PROXY, "--publish", "3128", "--entrypoint", "python3"),
        *("stackctl/demo:local", "-c", REFUSING),
    )
    (gateway,) = json.loads(docker("network", "inspect", "bridge"))[0]["IPAM"]["Config"]
    port = docker("port", PROXY, "3128/tcp").splitlines()[0].rpartition(":")[2]
    return f"http://{gateway['Gateway']}:{port}"


def asked_of_the_proxy() -> list[str]:
    """Return the requests that reached the proxy."""
    return [line for line in docker("logs", PROXY).splitlines() if line.startswith(METHODS)]


def write_docker_config(folder: Path, proxy: str) -> None:
    """Write a configuration of the docker command with a proxy for every container."""
    folder.mkdir()
    proxies = {"default": {"httpProxy": proxy, "httpsProxy": proxy, "allProxy": proxy}}
    (folder / "config.json").write_text(json.dumps({"proxies": proxies}))
    plugins = Path.home() / ".docker" / "cli-plugins"
    if plugins.is_dir():
        # Compose may be installed there.
        (folder / "cli-plugins").symlink_to(plugins)


class Shell:
    """Runs stackctl for a project of its own, with a umask and a state folder that not everybody has."""

    def __init__(self, folder: Path) -> None:
        self.docker_config = folder / "docker"
        write_docker_config(self.docker_config, refusing_proxy())
        self.env_file = folder / "shell.env"
        self.state = folder / "state: with a colon"
        self.address = loopback()
        self.offset = free_offset()
        ports = [f"{one.setting}={one.default + self.offset}" for one in PUBLISHED_PORTS.values()]
        bind = f"STACKCTL_BIND_ADDRESS={self.address}"
        self.env_file.write_text("\n".join([*ports, bind]) + "\n")

    def run(self, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
        before = os.umask(0o077)
        try:
            return stackctl(
                *("-p", PROJECT, "--env-file", str(self.env_file), *arguments),
                env={
                    **IN_THE_WAY,
                    "STACKCTL_STATE_DIR": str(self.state),
                    "DOCKER_CONFIG": str(self.docker_config),
                    **env,
                },
                timeout=600,
            )
        finally:
            os.umask(before)


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    made = Shell(tmp_path_factory.mktemp("shell"))
    try:
        done = made.run("up", "--images", "local")
        assert done.returncode == 0, done.stdout + done.stderr
        yield made
    finally:
        ended = made.run("down", "--volumes", "--yes")
        docker("rm", "--force", "--volumes", PROXY)
        assert ended.returncode == 0, ended.stdout + ended.stderr


def test_every_service_is_where_the_settings_say(shell: Shell) -> None:
    urls = shell.run("urls").stdout
    port = PUBLISHED_PORTS["grafana"].default + shell.offset
    assert f"http://{shell.address}:{port}" in urls
    published = docker("port", f"{PROJECT}-loki")
    assert f"{shell.address}:{PUBLISHED_PORTS['loki'].default + shell.offset}" in published


def test_the_data_sources_and_targets_answer(shell: Shell) -> None:
    done = shell.run("verify", "prometheus", "grafana", "loki")
    assert done.returncode == 0, done.stdout


def test_redis_is_the_stacks_own(shell: Shell) -> None:
    environment = docker("inspect", "--format", "{{json .Config.Env}}", f"{PROJECT}-redis-exporter")
    assert "redis://redis:6379" in environment


def test_a_second_up_changes_nothing_and_mends_the_folders(shell: Shell) -> None:
    config = shell.state / PROJECT / "config"
    folders = [path for path in config.rglob("*") if path.is_dir()]
    for path in folders:
        path.chmod(0o700)
    done = shell.run("up")
    assert done.returncode == 0, done.stderr
    assert "nothing to change" in done.stdout
    assert {path.stat().st_mode & 0o777 for path in folders} == {0o755}


def test_nothing_inside_goes_through_the_proxy_that_every_other_container_gets(
    shell: Shell,
) -> None:
    for arguments in (("verify",), ("reload",), ("render", "--check")):
        done = shell.run(*arguments)
        assert done.returncode == 0, done.stdout + done.stderr
    assert asked_of_the_proxy() == []
    # The proxy is in reach, and a container that does not say otherwise asks it.
    environ = {**os.environ, "DOCKER_CONFIG": str(shell.docker_config)}
    command = [
        "docker",
        "run",
        "--rm",
        "--network",
        f"{PROJECT}_bot-network",
        "stackctl/base:local",
    ]
    asking = ["wget", "-q", "-T", "10", "-O", "-", "http://prometheus:9090/-/ready"]
    subprocess.run([*command, *asking], env=environ, capture_output=True, check=False)
    assert asked_of_the_proxy() == ["GET http://prometheus:9090/-/ready"]


def test_grafanas_password_is_changed_or_refused_before_anything_is_done(shell: Shell) -> None:
    refused = shell.run("up", GRAFANA_PASSWORD="abc")
    assert refused.returncode == 2
    assert "invalid GRAFANA_PASSWORD (environment)" in refused.stderr
    changed = {"GRAFANA_PASSWORD": "abcde ü"}
    done = shell.run("up", **changed)
    assert done.returncode == 0, done.stderr
    assert shell.run("verify", "grafana", **changed).returncode == 0
    assert shell.run("verify", "grafana").returncode == 1
