"""A bot-core with other names, ports and paths: watched where it runs, or brought up with the stack."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from stackctl.services.catalog import PUBLISHED_PORTS
from tests.e2e.conftest import PROJECT, docker, free_offset
from tests.support.cli import stackctl
from tests.support.http import wait_until

pytestmark = pytest.mark.docker

MONITORING = f"{PROJECT}-watch"
APPLICATION = f"{PROJECT}-app"
NETWORK = f"{APPLICATION}_backend"
MAPPED = """
RUST_CORE_ENGINE_TARGET=trading-engine:9000/prom
RUST_CORE_ENGINE_HEALTH=/healthz
PYTHON_AI_SERVICE_TARGET=the-analyst:9001
PYTHON_AI_SERVICE_HEALTH=/live
NEXTJS_UI_DASHBOARD_TARGET=none
REDIS_TARGET=cache:6380
KONG_TARGET=none
RABBITMQ_TARGET=none
"""


class Call:
    """stackctl for one project with its own settings and state."""

    def __init__(self, folder: Path, project: str, ports: str) -> None:
        self.folder, self.project, self.ports = folder, project, ports

    @property
    def env_file(self) -> Path:
        """Its settings, as the last call wrote them."""
        return self.folder / "att.env"

    @property
    def environment(self) -> dict[str, str]:
        """What is added to the environment of every call."""
        return {"STACKCTL_STATE_DIR": str(self.folder / "state")}

    def __call__(
        self, *arguments: str, mapped: bool = True, **changes: str
    ) -> subprocess.CompletedProcess[str]:
        self.env_file.write_text(self.ports + (MAPPED if mapped else ""))
        options = ("-p", self.project, "--env-file", str(self.env_file))
        return stackctl(*options, *arguments, env={**self.environment, **changes}, timeout=300)

    def command(self, *arguments: str) -> list[str]:
        """Return the arguments of a call, for a test that starts the process itself."""
        options = ["-p", self.project, "--env-file", str(self.env_file)]
        return [sys.executable, "-m", "stackctl", *options, *arguments]


@pytest.fixture(scope="module")
def compose_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("somebody") / "bot"
    shutil.copytree(Path(__file__).parent / "botcore", folder)
    # Other programs' images come from Debian here; the application's container reads this file as a user of its own.
    for path in (folder, folder.parent, folder / "app.py"):
        path.chmod(0o755)
    return folder / "docker-compose.yml"


@pytest.fixture(scope="module")
def call(tmp_path_factory: pytest.TempPathFactory) -> Call:
    offset = free_offset()
    ports = "".join(
        f"{port.setting}={port.default + offset}\n" for port in PUBLISHED_PORTS.values()
    )
    return Call(tmp_path_factory.mktemp("watch"), MONITORING, ports)


@pytest.fixture(scope="module")
def running(compose_file: Path) -> Iterator[str]:
    """bot-core, started by its own people. Gives its containers' IDs."""
    compose = ("compose", "-p", APPLICATION, "-f", str(compose_file))
    docker(*compose, "up", "--detach", "--quiet-pull")
    yield docker(*compose, "ps", "--quiet")
    docker(*compose, "down", "--volumes", "--timeout", "1")


def warnings(done: subprocess.CompletedProcess[str]) -> dict[str, str]:
    """Return what `doctor --format json` warns of."""
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(done.stdout)
    return {one["subject"]: one["message"] for one in found if one["level"] == "warning"}


def ids(*, stopped: bool = True) -> str:
    return docker(
        "ps",
        "-q",
        *(["-a"] if stopped else []),
        "--no-trunc",
        "--filter",
        f"label=com.docker.compose.project={APPLICATION}",
    )


def aliases(container: str) -> list[str]:
    """Return the names that a container has on bot-core's network."""
    networks = docker("inspect", "--format", "{{json .NetworkSettings.Networks}}", container)
    found: list[str] = json.loads(networks)[NETWORK]["Aliases"]
    return found


def mounted_volumes() -> set[str]:
    """Return the volumes of the stack's containers, also those without a name of their own."""
    own = ("--filter", f"label=com.docker.compose.project={MONITORING}")
    found = json.loads(docker("inspect", *docker("ps", "-aq", *own).split()))
    return {mount["Name"] for one in found for mount in one["Mounts"] if mount["Type"] == "volume"}


def breaks_what_is_not_its_own_only_when_told(call: Call) -> None:
    """See that faults and drills leave an attached bot-core alone, and leave a fault open on it at the end."""
    analyst = docker("ps", "-q", "--filter", "label=com.docker.compose.service=analyst").strip()
    started = docker("inspect", "--format", "{{.State.StartedAt}}", *ids().split())
    names = aliases(analyst)
    assert "analyst" in names
    for words in (("stop", "rust-core-engine"), ("disconnect", "python-ai-service", "--dry-run")):
        refused = call("chaos", *words)
        assert (refused.returncode, refused.stdout) == (2, "")
        (line,) = refused.stderr.splitlines()
        assert f"belongs to the Compose project {APPLICATION}; allow it with --attached" in line
    listed = call("chaos", "list").stdout
    assert "do not belong to this stack: rust-core-engine, python-ai-service, redis." in listed
    drilled = call("verify", "alertmanager.drill", "end-to-end.drill")
    assert drilled.returncode == 0, drilled.stdout
    assert " ".join(drilled.stdout.split()).count("skipped: ") == 2
    assert docker("inspect", "--format", "{{.State.StartedAt}}", *ids().split()) == started

    done = call("chaos", "disconnect", "python-ai-service", "--attached", "--for", "1s")
    assert done.returncode == 0, done.stderr
    assert aliases(analyst) == names
    process = subprocess.Popen(
        call.command("chaos", "kill", "rust-core-engine", "--attached", "--for", "10m"),
        env={**os.environ, **call.environment},
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    assert "Ctrl-C to recover" in process.stderr.readline()
    process.kill()
    process.communicate()
    assert len(ids(stopped=False).split()) == len(ids().split()) - 1


def test_doctor_says_what_is_missing_on_the_network(call: Call, running: str) -> None:
    assert call("images", "list").returncode == 0
    doctor = ("doctor", "--format", "json", "--attach", NETWORK)
    plain = warnings(call(*doctor, mapped=False))
    assert plain["rust-core-engine"] == (
        f"no running container rust-core-engine on network {NETWORK}"
    )
    assert {"kong", "rabbitmq", "redis", "python-ai-service"} <= set(plain)
    assert set(warnings(call(*doctor))) == {
        "notifications",
        "nextjs-ui-dashboard",
        "kong",
        "rabbitmq",
        "mongodb",
    }
    # The ports and paths are asked from the network itself, before anything of the stack runs.
    wrong = warnings(
        call(*doctor, RUST_CORE_ENGINE_TARGET="trading-engine:9000", REDIS_TARGET="cache:6399")
    )
    assert "/metrics: server returned error: HTTP/1.1 404" in wrong["rust-core-engine"]
    assert "cache:6399: can't connect" in wrong["redis"]
    missing = call("doctor", "--format", "json", "--attach", "no-such-network")
    assert (missing.returncode, missing.stderr) == (1, "")
    failures = [one for one in json.loads(missing.stdout) if one["level"] == "failure"]
    assert [one["message"] for one in failures] == ["network 'no-such-network' does not exist"]


def test_a_running_bot_core_is_watched_by_its_own_names(call: Call, running: str) -> None:
    before = ids()
    try:
        up = call("up", "--images", "local", "--no-demo", "--attach", NETWORK)
        assert up.returncode == 0, up.stdout + up.stderr
        assert "nextjs-ui-dashboard, kong, rabbitmq, mongodb" in " ".join(up.stderr.split())
        wrong = warnings(
            call(
                "doctor",
                "--format",
                "json",
                RUST_CORE_ENGINE_TARGET="trading-engine:9000",
                PYTHON_AI_SERVICE_HEALTH="/nowhere",
                REDIS_TARGET="cache:6399",
            )
        )
        assert "/metrics: server returned error: HTTP/1.1 404" in wrong["rust-core-engine"]
        assert "/nowhere: server returned error: HTTP/1.1 404" in wrong["python-ai-service"]
        assert "cache:6399: can't connect" in wrong["redis"]

        verified = call("verify", "--timeout", "60")
        assert verified.returncode == 0, verified.stdout
        said = " ".join(verified.stdout.split())
        assert "not monitored (not found): nextjs-ui-dashboard, kong, rabbitmq, mongodb" in said
        assert "3 probes succeed" in said
        # What it exposes is little, and without a Content-Type: that is a warning, and no failure.
        assert "rust-core-engine does not expose" in said
        assert "responds without a Content-Type of Prometheus" in said
        assert " with a warning" in said
        loaded = call("verify", "end-to-end", "--timeout", "60")
        assert loaded.returncode == 0, loaded.stdout
        assert "1000 times 200" in loaded.stdout

        lines = call("logs", "--from", "loki", "rust-core-engine", "-n", "3")
        assert "GET /healthz" in lines.stdout, lines.stderr
        rules = call("alerts", "rules", "--format", "json")
        assert rules.returncode == 0, rules.stderr
        assert "GatewayHighErrorRate" not in docker(
            "exec", f"{MONITORING}-prometheus", "sh", "-c", "cat /etc/prometheus/alerts/*.yml"
        )

        status = json.loads(call("status", "--format", "json").stdout)
        states = {row["service"]: row["state"] for row in status}
        assert states["rust-core-engine"] == states["python-ai-service"] == "running"
        assert "nextjs-ui-dashboard" not in states
        kept = call("up", "--images", "local")
        assert "nothing to change" in kept.stdout, kept.stdout + kept.stderr
        own = f"label=com.docker.compose.project={MONITORING}"
        assert "rust-core-engine" not in docker("ps", "--filter", own, "--format", "{{.Names}}")
        breaks_what_is_not_its_own_only_when_told(call)
    finally:
        down = call("down", "--volumes", "--yes")
    assert down.returncode == 0, down.stderr
    assert "recovered: kill of rust-core-engine" in down.stderr
    assert ids() == before, "bot-core is as it was"
    assert len(ids(stopped=False).split()) == len(before.split()), "and runs"
    assert wait_until(
        lambda: not docker("network", "ls", "-q", "--filter", f"name={MONITORING}"), 10
    )


def test_the_name_of_somebody_elses_project_is_refused(call: Call, running: str) -> None:
    other = Call(call.folder, APPLICATION, call.ports)
    before = ids()
    for command in (("up", "--images", "local", "--no-demo"), ("down", "--volumes", "--yes")):
        done = other(*command)
        assert done.returncode == 1, done.stdout
        assert "contains containers that stackctl did not create" in done.stderr
        assert "-p" in done.stderr
    assert ids() == before


def test_one_up_starts_bot_core_from_its_own_file(call: Call, compose_file: Path) -> None:
    # Its own .env counts: the container of the test before still has the other name.
    history = f"{MONITORING}-of-somebody"
    own_env = compose_file.parent / ".env"
    own_env.write_text(f"ANALYST_NAME=own-analyst\nHISTORY={history}\nRUST_CORE_ENGINE_PORT=1\n")
    docker("volume", "create", f"--label=com.docker.compose.project={APPLICATION}", history)
    own = {"PYTHON_AI_SERVICE_TARGET": "analyst:9001", "STACKCTL_APP_FILES": str(compose_file)}
    gap = call("doctor", "--format", "json", STACKCTL_APP_FILES=str(compose_file))
    assert "no service the-analyst in" in warnings(gap)["python-ai-service"]
    try:
        up = call("up", "--images", "local", "--app-file", str(compose_file), **own)
        assert up.returncode == 0, up.stdout + up.stderr
        names = docker(
            "ps",
            "--filter",
            f"label=com.docker.compose.project={MONITORING}",
            "--format",
            "{{.Names}}",
        ).split()
        assert {"own-analyst", f"{MONITORING}-trading-engine-1", f"{MONITORING}-prometheus"} <= set(
            names
        )
        verified = call("verify", "prometheus", "loki", "--timeout", "60", **own)
        assert verified.returncode == 0, verified.stdout
        # What runs is asked from Prometheus.
        wrong = warnings(call("doctor", "--format", "json", **own, REDIS_TARGET="cache:6399"))
        assert "cache:6399: can't connect" in wrong["redis"]
        assert "rust-core-engine" not in wrong
        again = call("up", "--images", "local", PYTHON_AI_SERVICE_TARGET="analyst:9001")
        assert "nothing to change" in again.stdout, again.stdout + again.stderr
        held = call("chaos", "pause", "rust-core-engine", "--for", "1s", **own)
        assert held.returncode == 0, held.stderr
        asked = call("down", "--volumes")
        assert f"{MONITORING}_cache" in asked.stderr
        assert f"an unnamed volume of {MONITORING}-cache-1" in asked.stderr
        assert history not in asked.stderr
        volumes = mounted_volumes()
        assert history in volumes
    finally:
        # Somebody may have moved the file, and the stack must go all the same.
        moved = compose_file.rename(compose_file.with_suffix(".moved"))
        down = call("down", "--volumes", "--yes")
        moved.rename(compose_file)
        # Or the end of the first bot-core would look for its volumes by these names.
        own_env.unlink()
    assert down.returncode == 0, down.stderr
    for kind in (("ps", "-a"), ("network", "ls"), ("volume", "ls")):
        mine = ("--filter", f"label=com.docker.compose.project={MONITORING}")
        assert not docker(*kind, "-q", *mine), kind
    assert volumes & set(docker("volume", "ls", "-q").split()) == {history}
    docker("volume", "rm", history)


def test_what_does_not_go_together_is_one_line(
    call: Call, tmp_path: Path, compose_file: Path
) -> None:
    both = tmp_path / "docker-compose.yml"
    both.write_text("services:\n  prometheus:\n    image: stackctl/prometheus:local\n")
    hidden = tmp_path / "hidden.yml"
    hidden.write_text(both.read_text() + "    profiles: [theirs]\n")
    broken = tmp_path / "broken.yml"
    broken.write_text("services: [\n")
    for arguments, code, says in (
        (("up", "--app-file", str(both)), 2, "prometheus exists both in"),
        (("up", "--app-file", str(hidden)), 2, "prometheus exists both in"),
        (("up", "--app-file", str(broken)), 1, "docker compose config failed"),
        (("up", "--app-file", str(tmp_path / "none.yml")), 2, "does not exist"),
        (("up", "--demo", "--attach", "x"), 2, "replace bot-core"),
        (("up", "--attach", "no network"), 1, "network 'no network'"),
    ):
        done = call(*arguments, STACKCTL_APP_FILES="")
        assert (done.returncode, done.stdout) == (code, "")
        (line,) = done.stderr.splitlines()
        assert line.startswith("stackctl: ")
        assert says in line
