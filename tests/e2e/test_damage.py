"""A damaged stack or machine: one clear line or a way to go on, and nothing else is touched."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from stackctl.services.catalog import PUBLISHED_PORTS
from stackctl.util import paths
from tests.e2e.conftest import PROJECT, Stack, containers, docker, free_offset
from tests.support.cli import stackctl
from tests.support.forward import forwarded
from tests.support.http import wait_until

pytestmark = pytest.mark.docker

NEIGHBOUR = f"{PROJECT}-b"


def one_line(done: subprocess.CompletedProcess[str], code: int) -> str:
    assert done.returncode == code, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("stackctl: ")]
    return line


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a small file system")
def test_a_full_disk_is_one_line_with_the_remedy(tmp_path: Path) -> None:
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(tmp_path)], check=True)
    try:
        done = stackctl("render", env={"STACKCTL_STATE_DIR": str(tmp_path)})
        line = one_line(done, 1)
        assert "No space left on device" in line
        assert not list(tmp_path.rglob(".*.*")), "a temporary file was left"
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a small file system")
def test_a_backup_for_which_there_is_no_room_is_one_line_and_stops_nothing(
    stack: Stack, tmp_path: Path
) -> None:
    running = containers()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(tmp_path)], check=True)
    try:
        line = one_line(stack.run("backup", str(tmp_path / "b.tar.gz")), 1)
        assert "b.tar.gz: No space left on device" in line
        assert not list(tmp_path.iterdir())
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)
    assert containers() == running
    states = docker("ps", "--filter", f"label=com.docker.compose.project={PROJECT}", "-q")
    assert len(states.split()) == len(running)
    assert "No open faults." in stack.run("chaos", "heal").stdout


def test_a_container_that_dies_in_a_loop_is_told_with_its_last_lines(stack: Stack) -> None:
    old = stack.env_file.read_text()
    try:
        # Prometheus cannot read what the blackbox exporter is configured with.
        image = "BLACKBOX_EXPORTER_IMAGE=stackctl/prometheus:local"
        stack.env_file.write_text(f"{old}{image}\n")
        done = stack.run("up", "--timeout", "100", timeout=150)
        line = one_line(done, 1)
        assert "blackbox-exporter" in line
        assert "blackbox-exporter: it is in a crash loop" in done.stderr, done.stderr
        assert "gave up after" not in done.stderr
        # Its last words are those of Prometheus.
        assert "/etc/blackbox/blackbox.yml" in done.stderr
    finally:
        stack.env_file.write_text(old)
        assert stack.run("up", timeout=180).returncode == 0


def test_a_rule_that_prometheus_refuses_leaves_what_is_loaded(stack: Stack, tmp_path: Path) -> None:
    checkout = tmp_path / "checkout"
    for name in ("stackctl", "compose", "docs", "infrastructure"):
        shutil.copytree(paths.root() / name, checkout / name)
    rules = checkout / "infrastructure/monitoring/prometheus/alerts/infrastructure.yml"
    text = rules.read_text()
    # The first that is on one line.
    first = re.search(r"expr: (?!\|)", text).start()  # type: ignore[union-attr]
    rules.write_text(f"{text[:first]}expr: up ==\n        # {text[first:]}")
    number = text[:first].count("\n") + 1

    def loaded() -> object:
        answer = httpx.get(f"{stack.settings.url('prometheus')}/api/v1/rules")
        return [
            (group["name"], [rule["query"] for rule in group["rules"]])
            for group in answer.json()["data"]["groups"]
        ]

    before = loaded()
    done = subprocess.run(
        [sys.executable, "-m", "stackctl", *stack.command("reload")],
        env={**os.environ, **stack.environment, "PYTHONPATH": str(checkout)},
        cwd=checkout,
        capture_output=True,
        text=True,
        check=False,
    )
    line = one_line(done, 1)
    assert "nothing was changed" in line
    assert f"infrastructure.yml: {number}:" in done.stdout, done.stdout
    assert loaded() == before
    verified = stack.run("reload")
    assert verified.returncode == 0, verified.stderr
    assert "nothing has changed" in verified.stdout


def test_a_corrupt_write_ahead_log_is_repaired_and_told(stack: Stack) -> None:
    prometheus = stack.container("prometheus")
    docker("stop", prometheus)
    script = (
        "segment=$(ls /data/wal/0* | tail -1); size=$(stat -c %s $segment);"
        " printf 'no record at all' | dd of=$segment bs=1 seek=$((size / 2)) conv=notrunc 2>/dev/null"
    )
    volume = f"{PROJECT}_prometheus_data"
    docker(
        "run",
        "--rm",
        "--network",
        "none",
        "-v",
        f"{volume}:/data",
        "stackctl/base:local",
        "sh",
        "-c",
        script,
    )
    try:
        assert stack.run("up").returncode == 0
        # What Prometheus knew of itself before it was stopped counts until it has scraped itself again.
        said: list[str] = []

        def told() -> bool:
            done = stack.run("verify", "prometheus.storage", "--timeout", "0")
            said.append(done.stdout)
            return done.returncode == 1 and "wal_corruptions_total is 1" in done.stdout

        assert wait_until(told, 60), said[-1]
        assert "backup" in said[-1]
    finally:
        docker("restart", prometheus)
    verified = stack.run("verify", "prometheus", "--timeout", "60")
    assert verified.returncode == 0, verified.stdout


@contextlib.contextmanager
def spoiled(stack: Stack, name: str, old: str, new: str) -> Iterator[None]:
    """A rendered file with other content while the body runs; the caller reloads the programs."""
    path = stack.folder / "state" / PROJECT / "config" / name
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    try:
        yield
    finally:
        path.write_text(text)


def reload_prometheus(stack: Stack) -> None:
    assert httpx.post(f"{stack.settings.url('prometheus')}/-/reload").status_code == 200


def restart_grafana(stack: Stack) -> None:
    docker("restart", stack.container("grafana"))
    url = f"{stack.settings.url('grafana')}/api/health"

    def answers() -> bool:
        try:
            return httpx.get(url).status_code == 200
        except httpx.HTTPError:
            return False

    assert wait_until(answers, 60)


SPOILED = {
    "a target that was removed": (
        "prometheus/prometheus.yml",
        "job_name: redis\n",
        "job_name: valkey\n",
        reload_prometheus,
        "prometheus.targets",
        "redis: no target",
    ),
    "an alertmanager at a wrong address": (
        "prometheus/prometheus.yml",
        "alertmanagers:\n  - static_configs:\n    - targets:\n      - alertmanager:9093",
        "alertmanagers:\n  - static_configs:\n    - targets:\n      - alertmanger:9093",
        reload_prometheus,
        "prometheus.alertmanager",
        "it sends to alertmanger:9093",
    ),
    "a data source at a wrong address": (
        "grafana/provisioning/datasources/datasources.yml",
        "http://loki:3100",
        "http://lokki:3100",
        restart_grafana,
        "grafana.datasource-health",
        "Loki at http://lokki:3100",
    ),
}


@pytest.mark.parametrize(
    ("name", "old", "new", "told", "check", "says"), SPOILED.values(), ids=SPOILED
)
def test_what_is_configured_wrongly_fails_its_check(
    stack: Stack,
    name: str,
    old: str,
    new: str,
    told: Callable[[Stack], None],
    check: str,
    says: str,
) -> None:
    assert stack.run("verify", check).returncode == 0
    try:
        with spoiled(stack, name, old, new):
            told(stack)
            said: list[str] = []

            # For a moment there is what was found before the change, and then nothing at all.
            def fails() -> bool:
                done = stack.run("verify", check, "--timeout", "0")
                said.append(" ".join(done.stdout.split()))
                return done.returncode == 1 and says in said[-1]

            assert wait_until(fails, 30), said[-1]
    finally:
        told(stack)
    verified = stack.run("verify", check, "--timeout", "60")
    assert verified.returncode == 0, verified.stdout


def test_an_engine_that_goes_away_during_up_is_one_line(stack: Stack, tmp_path: Path) -> None:
    address = tmp_path / "docker.sock"
    with forwarded(address) as (docker_host, cut):
        process = subprocess.Popen(
            [sys.executable, "-m", "stackctl", *stack.command("up")],
            env={**os.environ, **stack.environment, "DOCKER_HOST": docker_host},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert process.stderr is not None
        seen = []
        for line in process.stderr:
            seen.append(line)
            if "starting the containers" in line:
                cut.set()
                address.unlink()
                break
        _, rest = process.communicate(timeout=120)
    said = "".join(seen) + rest
    assert process.returncode == 1, said
    assert "Traceback" not in said
    assert any(line.startswith("stackctl: ") for line in said.splitlines()), said
    assert stack.run("up").returncode == 0


def test_two_projects_side_by_side_and_one_of_them_taken_down(stack: Stack, tmp_path: Path) -> None:
    before = containers()
    volumes = set(docker("volume", "ls", "-q", "--filter", f"name={PROJECT}_").split())
    offset = free_offset()
    env_file = tmp_path / "b.env"
    env_file.write_text(
        "".join(f"{port.setting}={port.default + offset}\n" for port in PUBLISHED_PORTS.values())
    )
    options = ("-p", NEIGHBOUR, "--env-file", str(env_file))
    env = {"STACKCTL_STATE_DIR": str(tmp_path / "state")}
    try:
        up = stackctl(*options, "up", "--images", "local", "--no-demo", env=env, timeout=300)
        assert up.returncode == 0, up.stdout + up.stderr
        verified = stackctl(*options, "verify", env=env)
        assert verified.returncode == 0, verified.stdout
        label = f"label=com.docker.compose.project={NEIGHBOUR}"
        added = docker("ps", "--filter", label, "--format", "{{.Names}}").split()
        assert f"{NEIGHBOUR}-prometheus" in added
        assert all(name.startswith(f"{NEIGHBOUR}-") for name in added)
        # From a folder without its settings: its own stack answers, not the one at the default ports.
        elsewhere = stackctl("-p", NEIGHBOUR, "verify", "prometheus", "alertmanager", env=env)
        assert elsewhere.returncode == 0, elsewhere.stdout
        port = PUBLISHED_PORTS["prometheus"]
        assert f"{port.setting}={port.default + offset}, not " in elsewhere.stderr
        status = json.loads(stackctl("-p", NEIGHBOUR, "status", "--format", "json", env=env).stdout)
        urls = {row["service"]: row["url"] for row in status}
        assert urls["prometheus"] == f"http://127.0.0.1:{port.default + offset}"
        beside = stack.run("verify", "prometheus")
        assert beside.returncode == 0, beside.stdout
    finally:
        down = stackctl(*options, "down", "--volumes", "--yes", env=env, timeout=180)
    assert down.returncode == 0, down.stderr
    assert containers() == before
    assert volumes
    assert set(docker("volume", "ls", "-q", "--filter", f"name={PROJECT}_").split()) == volumes
    assert not [name for name in docker("volume", "ls", "-q").split() if NEIGHBOUR in name]
