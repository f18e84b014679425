"""What the stack exposes, and what its containers may do."""

from __future__ import annotations

import contextlib
import gzip
import json
import subprocess
import threading
import uuid
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from stackctl.config.registry import SETTINGS
from stackctl.services.catalog import PUBLISHED_PORTS
from tests.e2e.conftest import MARK, PROJECT, RUNNING, Stack, containers, docker, free_offset
from tests.support.cli import stackctl
from tests.support.http import wait_until

pytestmark = pytest.mark.docker

ROOT = {
    "docker-socket-proxy": "the socket belongs to root",
    "promtail": "its volume of positions belongs to root",
    "cadvisor": "it reads every cgroup",
}
"""Services that run as root, and why."""
WRITABLE = {
    "rabbitmq": "the broker writes beside its configuration",
    "mongodb": "mongod writes its lock and socket in /tmp",
}
PRIVILEGED = {"cadvisor": "it reads /dev/kmsg and the cgroups of all containers"}


def inspected(stack: Stack) -> dict[str, dict[str, Any]]:
    names = [stack.container(service) for service in sorted(RUNNING)]
    return {
        one["Config"]["Labels"]["com.docker.compose.service"]: one
        for one in json.loads(docker("inspect", *names))
    }


@pytest.mark.core
def test_containers_may_do_no_more_than_they_must(stack: Stack) -> None:
    found = inspected(stack)
    assert set(found) == RUNNING
    for service, container in found.items():
        host = container["HostConfig"]
        user = docker("exec", container["Id"], "id", "-u").strip()
        assert user != "0" or service in ROOT, service
        assert host["ReadonlyRootfs"] or service in WRITABLE, service
        assert not host["Privileged"] or service in PRIVILEGED, service
        assert host["Privileged"] or host["CapDrop"] == ["ALL"], service
        assert not host["CapAdd"], service
        assert "no-new-privileges:true" in host["SecurityOpt"], service
        assert host["Memory"] > 0, service
        assert host["NanoCpus"] > 0, service


@pytest.mark.core
def test_only_the_proxy_has_the_docker_socket(stack: Stack) -> None:
    holders = {
        service
        for service, container in inspected(stack).items()
        for mount in container["Mounts"]
        if mount["Destination"].rstrip("/") in {"/var/run", "/run"}
        or mount["Destination"].endswith("docker.sock")
    }
    assert holders == {"docker-socket-proxy"}


@pytest.mark.core
def test_who_has_the_hosts_files_cannot_call_the_docker_socket(stack: Stack) -> None:
    # A read-only mount would not keep anybody from it.
    script = (
        "import pathlib, socket, sys\n"
        "for path in pathlib.Path(sys.argv[1]).rglob('docker.sock'):\n"
        "    try:\n"
        "        socket.socket(socket.AF_UNIX).connect(str(path))\n"
        "        print('reached', path)\n"
        "    except PermissionError:\n"
        "        print('refused', path)\n"
        "print('looked')\n"
    )
    for service, folder in (("cadvisor", "/rootfs/run"), ("node-exporter", "/host/run")):
        said = docker("exec", stack.container(service), "python3", "-c", script, folder)
        assert "looked" in said, said
        assert "reached" not in said, said


@pytest.mark.core
@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/_ping", 200),
        ("GET", "/v1.44/containers/json", 200),
        ("GET", "/networks", 200),
        ("GET", "/containers/none/json", 404),
        ("GET", "/containers/none/archive?path=/", 403),
        ("GET", "/containers/none/export", 403),
        ("GET", "/secrets", 403),
        ("GET", "/containers/none/../../volumes", 403),
        ("POST", "/containers/create", 403),
        ("POST", "/containers/json", 403),
        ("DELETE", "/containers/none", 403),
        ("PUT", "/containers/none/archive?path=/", 403),
        # Of any API version, which is taken out before the path is judged.
        ("GET", "/v1.24/_ping", 200),
        ("GET", "/v1.41/containers/none/json", 404),
        ("GET", "/v1.41/containers/none/archive?path=/", 403),
        ("GET", "/v1.41/secrets", 403),
        ("GET", "/v1.41/v1.44/containers/json", 403),
        ("GET", "/v1.41/v1.44/secrets", 403),
        ("GET", "http://docker-socket-proxy:2375/v1.41/secrets", 403),
        ("POST", "/v1.41/containers/create", 403),
        ("POST", "/v1.41/containers/none/exec", 403),
        # The engine would take these for other paths than they seem.
        ("GET", "//secrets", 403),
        ("GET", "/v1.41//containers/json", 403),
        ("GET", "/v1.41%2Fsecrets", 403),
        ("GET", "/v1.41/containers/none%2Farchive/json", 403),
        ("GET", "/v1.41/containers/none/../../secrets", 403),
        ("GET", "/images/../secrets/none/json", 403),
        ("GET", "/images/./none/json", 403),
        ("GET", "/images/%2e%2e/secrets/json", 403),
    ],
)
def test_the_proxy_passes_on_reading_calls_only(
    stack: Stack, method: str, path: str, status: int
) -> None:
    script = (
        "import http.client, sys\n"
        "connection = http.client.HTTPConnection('docker-socket-proxy', 2375, timeout=10)\n"
        "connection.request(sys.argv[1], sys.argv[2])\n"
        "print(connection.getresponse().status)\n"
    )
    promtail = stack.container("promtail")
    assert docker("exec", promtail, "python3", "-c", script, method, path).strip() == str(status)


@pytest.mark.core
@pytest.mark.parametrize("version", ["1.24", "1.41", "1.42"])
def test_the_proxy_serves_clients_that_insist_on_a_version_whatever_the_engines_least_one_is(
    stack: Stack, version: str
) -> None:
    script = (
        "import http.client, json, sys, time\n"
        "version, name = sys.argv[1:]\n"
        "def get(path):\n"
        "    connection = http.client.HTTPConnection('docker-socket-proxy', 2375, timeout=10)\n"
        "    connection.request('GET', f'/v{version}{path}')\n"
        "    answer = connection.getresponse()\n"
        "    content = answer.read()\n"
        "    assert answer.status == 200, (path, answer.status, content)\n"
        "    return content\n"
        "(id,) = [one['Id'] for one in json.loads(get('/containers/json')) if f'/{name}' in one['Names']]\n"
        "assert json.loads(get(f'/containers/{id}/json'))['Name'] == f'/{name}'\n"
        "assert b'GET /' in get(f'/containers/{id}/logs?stdout=1&stderr=1&tail=5')\n"
        "events = get(f'/events?since=1&until={time.time():.0f}').splitlines()\n"
        # The engine remembers the last 256 of all containers.
        "assert all(json.loads(one)['Actor']['ID'] for one in events) and events\n"
        "print(id)\n"
    )
    service = stack.container("rust-core-engine")
    said = docker("exec", stack.container("promtail"), "python3", "-c", script, version, service)
    assert said.strip() == containers()[service]


@pytest.mark.core
def test_log_lines_arrive_from_a_collector_that_started_before_the_proxy(stack: Stack) -> None:
    proxy, promtail = map(stack.container, ("docker-socket-proxy", "promtail"))
    docker("stop", proxy)
    try:
        docker("restart", promtail)
    finally:
        docker("start", proxy)
    run = uuid.uuid4().hex
    url = f"{stack.settings.url('rust-core-engine')}/api/health"
    assert httpx.get(url, params={"run": run}).status_code == 200

    def arrived() -> bool:
        done = stack.run("logs", "--from", "loki", "--filter", f'|= "{run}"', "rust-core-engine")
        return run in done.stdout

    assert wait_until(arrived, 60)


def test_nothing_listens_beyond_loopback(stack: Stack) -> None:
    ports = {
        int(stack.settings[port.setting] or 0)
        for service, port in PUBLISHED_PORTS.items()
        if service in RUNNING
    }
    listening = {
        (one.laddr.ip, one.laddr.port)
        for one in psutil.net_connections("inet")
        if one.status == psutil.CONN_LISTEN and one.laddr.port in ports
    }
    assert {port for _, port in listening} == ports
    assert {address for address, _ in listening} == {"127.0.0.1"}


def test_no_secret_is_in_a_command_line_or_a_report(stack: Stack) -> None:
    for process in psutil.process_iter(["cmdline"]):
        assert MARK not in " ".join(process.info["cmdline"] or ()), process
    for form in ("table", "json", "junit"):
        done = stack.run("verify", "--format", form)
        assert MARK not in done.stdout + done.stderr


MARKED = "stackctl-e2e-marked"
SECRETS = {
    "GRAFANA_PASSWORD": f"{MARK}-grafana",
    "REDIS_EXPORTER_PASSWORD": f"{MARK}-redis",
    "RABBITMQ_PASSWORD": f"{MARK}-rabbitmq",
    "MONGODB_PASSWORD": f"{MARK}-mongodb",
    "MONGODB_EXPORTER_URI": f"mongodb://reader:{MARK}-uri@127.0.0.1:1/?authSource=$external",
    "ALERTMANAGER_SLACK_WEBHOOK_URL": f"http://127.0.0.1:1/{MARK}-slack",
    "ALERTMANAGER_PAGERDUTY_KEY": f"{MARK}-pagerduty",
    "ALERTMANAGER_SMTP_PASSWORD": f"{MARK}-smtp",
    "ALERTMANAGER_DEAD_MANS_SWITCH_URL": f"http://127.0.0.1:1/{MARK}-switch",
}
"""Every secret there is. None of the channels leads anywhere."""


class Watch(threading.Thread):
    """Reads the command lines of all processes on the machine, again and again, until stopped."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.ended = threading.Event()
        self.looks = 0
        self.found: set[str] = set()

    def run(self) -> None:
        while not self.ended.is_set():
            for process in psutil.process_iter():
                with contextlib.suppress(psutil.Error):
                    words = " ".join(process.cmdline())
                    if MARK in words:
                        self.found.add(words)
            self.looks += 1


def test_every_secret_is_in_its_files_and_nowhere_else(stack: Stack, tmp_path: Path) -> None:
    assert set(SECRETS) == {name for name, row in SETTINGS.items() if row.secret}
    offset = free_offset()
    lines = [f"{port.setting}={port.default + offset}" for port in PUBLISHED_PORTS.values()]
    lines += [f"{name}='{value}'" for name, value in SECRETS.items()]
    mail = {"SMTP_HOST": "127.0.0.1", "EMAIL_FROM": "a@b.example", "EMAIL_TO": "c@d.example"}
    lines += [f"ALERTMANAGER_{name}={value}" for name, value in mail.items()]
    lines.append("ALERTMANAGER_SMTP_USERNAME=u")
    env_file = tmp_path / "marked.env"
    env_file.write_text("\n".join(lines) + "\n")
    state, out = tmp_path / "state", tmp_path / "out"
    out.mkdir()
    env = {"STACKCTL_STATE_DIR": str(state), "STACKCTL_DEBUG": "1"}

    def run(*arguments: str) -> str:
        options = ("-p", MARKED, "--env-file", str(env_file))
        done = stackctl(*options, *arguments, env=env, cwd=out, timeout=240)
        assert MARK not in done.stdout + done.stderr, arguments
        return done.stdout + done.stderr

    watch = Watch()
    watch.start()
    try:
        run("up", "--images", "local", "--no-demo")
        names = docker(
            "ps",
            "-a",
            "--filter",
            f"label=com.docker.compose.project={MARKED}",
            "--format",
            "{{.Names}}",
        ).split()
        assert f"{MARKED}-mongodb-exporter" in names
        for name in names:
            shown = docker("inspect", name)
            # It takes its address from its environment and from nowhere else.
            allowed = 1 if name == f"{MARKED}-mongodb-exporter" else 0
            assert shown.count(MARK) == allowed, name
            assert MARK not in docker("logs", name), name
        said = docker("exec", f"{MARKED}-mongodb-exporter", "cat", "/proc/1/environ")
        assert f"MONGODB_URI={SECRETS['MONGODB_EXPORTER_URI']}\0" in said
        run("verify", "--send", "--report", "report.html")
        run("config", "--format", "json")
        run("doctor")
        run("snapshot", "-o", "snapshot.html", "system-overview")
        run("backup", "backup.tar.gz")
        run("reload")
        run("logs", "alertmanager")
    finally:
        run("down", "--volumes", "--yes")
        watch.ended.set()
        watch.join()
    assert watch.looks > 10
    assert watch.found == set()
    assert {path.name for path in out.iterdir()} == {
        "report.html",
        "snapshot.html",
        "backup.tar.gz",
    }
    for path in out.iterdir():
        content = path.read_bytes()
        assert MARK.encode() not in (gzip.decompress(content) if path.suffix == ".gz" else content)
    holders = {
        path.relative_to(state / MARKED).as_posix()
        for path in state.rglob("*")
        if path.is_file() and MARK.encode() in path.read_bytes()
    }
    assert holders
    assert all(name.startswith("secrets/") for name in holders), holders
    assert (state / MARKED / "secrets").stat().st_mode & 0o777 == 0o700


def test_changed_passwords_are_taken_over_by_every_program(stack: Stack) -> None:
    old = stack.env_file.read_text()
    # With what a configuration file could take for its own; dotenv reads \\' as a quote.
    changed = {
        "RABBITMQ_PASSWORD": f'{MARK}-it\'s "new" $x #1',
        "MONGODB_PASSWORD": f"{MARK}-it's/new@ $x #1",
        "REDIS_EXPORTER_PASSWORD": f'{MARK}-it\'s "new" #1',
    }
    lines = [line for line in old.splitlines() if line.partition("=")[0] not in changed]
    quoted = [name + "='" + text.replace("'", "\\'") + "'" for name, text in changed.items()]
    try:
        stack.env_file.write_text("\n".join([*lines, *quoted]) + "\n")
        done = stack.run("up", timeout=180)
        assert done.returncode == 0, done.stderr
        assert "demo MongoDB password changed" in done.stderr
        assert authenticates(stack, changed["RABBITMQ_PASSWORD"])
        assert not authenticates(stack, f"{MARK}-rabbitmq_password")
        again = stack.run("up")
        assert "nothing to change" in again.stdout, again.stdout
        verified = stack.run("verify", "--timeout", "60")
        assert verified.returncode == 0, verified.stdout
    finally:
        stack.env_file.write_text(old)
        assert stack.run("up", timeout=180).returncode == 0
    assert authenticates(stack, f"{MARK}-rabbitmq_password")


def authenticates(stack: Stack, password: str) -> bool:
    """Return whether RabbitMQ takes this password."""
    # Without its prompt, which --quiet takes away, it never reads its stdin.
    command = ["docker", "exec", "-i", stack.container("rabbitmq"), "rabbitmqctl"]
    done = subprocess.run(
        [*command, "authenticate_user", "stackctl"],
        input=password,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode in {0, 65}, "65 is what it ends with where it refuses"
    return done.returncode == 0


def test_networks_are_the_projects_own(stack: Stack) -> None:
    networks = json.loads(docker("network", "inspect", f"{PROJECT}_docker-api"))
    assert networks[0]["Internal"]
    members = {one["Name"] for one in networks[0]["Containers"].values()}
    assert members == {
        stack.container(service) for service in ("docker-socket-proxy", "promtail", "cadvisor")
    }
