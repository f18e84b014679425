"""Every fault on a real engine: what it does can be seen from outside, and nothing of it is left."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import httpx
import pytest

from stackctl.images.build import BASE_IMAGE
from tests.e2e.conftest import PROJECT, RUNNING, Stack, containers, docker
from tests.support.http import wait_until

pytestmark = pytest.mark.docker

FILE = "/data/.stackctl-fill"
DRY = {
    "stop": "docker stop",
    "kill": "docker kill",
    "pause": "docker pause",
    "restart": "docker restart",
    "disconnect": "docker network disconnect",
    "slow": "netem delay 300ms loss 5%",
    "fill memory": "of its limit of 128 MiB",
    "fill disk": "write 200MiB to /data/.stackctl-fill",
}


@contextlib.contextmanager
def held(stack: Stack, *words: str) -> Iterator[subprocess.Popen[str]]:
    """A fault that a process of its own holds; whatever the test does, it is healed afterwards."""
    process = subprocess.Popen(
        [sys.executable, "-m", "stackctl", *stack.command("chaos", *words, "--for", "10m")],
        env={**os.environ, **stack.environment},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    try:
        said = process.stderr.readline()
        assert "Ctrl-C to recover" in said, said + process.stderr.read()
        yield process
    finally:
        process.terminate()
        process.communicate(timeout=60)
        stack.run("chaos", "heal")


def memory_share(stack: Stack, service: str) -> float:
    """Return how much of its memory limit a container uses, in percent."""
    stats = docker(
        "stats", "--no-stream", "--format", "{{.MemPerc}}", stack.container(service)
    ).strip()
    return float(stats.removesuffix("%"))


def file_size(stack: Stack) -> int:
    """Return the size of the file in Redis's volume, 0 where there is none."""
    script = f"if [ -e {FILE} ]; then wc -c <{FILE}; else echo 0; fi"
    return int(docker("exec", stack.container("redis"), "sh", "-c", script))


def started(stack: Stack, service: str) -> str:
    return docker(
        "inspect", "--format", "{{.State.StartedAt}} {{.State.Status}}", stack.container(service)
    ).strip()


def is_ready(stack: Stack, service: str) -> bool:
    try:
        url = f"{stack.settings.url(service)}/metrics"
        return httpx.get(url, timeout=2).status_code == 200
    except httpx.HTTPError:
        return False


@pytest.mark.parametrize("kind", DRY)
def test_a_dry_run_says_what_would_be_done_and_does_nothing(stack: Stack, kind: str) -> None:
    before = started(stack, "redis")
    done = stack.run("chaos", *kind.split(), "redis", "--dry-run")
    assert done.returncode == 0, done.stderr
    assert DRY[kind] in done.stdout
    assert "heal: " in done.stdout
    assert "Dry run: nothing was changed" in done.stdout
    assert started(stack, "redis") == before
    assert file_size(stack) == 0
    assert "No open fault" in stack.run("chaos", "list").stdout


def test_restart_restarts_and_the_service_is_up_again(stack: Stack) -> None:
    before = started(stack, "kong")
    done = stack.run("chaos", "restart", "kong")
    assert done.returncode == 0, done.stderr
    assert started(stack, "kong") != before
    assert wait_until(lambda: is_ready(stack, "kong"), 30)


def test_memory_goes_to_the_share_of_the_limit_and_back(stack: Stack) -> None:
    assert memory_share(stack, "kong") < 60
    with held(stack, "fill", "memory", "kong", "--share", "90%") as process:
        assert 85 < memory_share(stack, "kong") < 96
        assert is_ready(stack, "kong")
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130
        assert memory_share(stack, "kong") < 60
    assert "No open fault" in stack.run("chaos", "list").stdout


def test_the_file_has_its_size_and_is_gone_after_sigterm(stack: Stack) -> None:
    with held(stack, "fill", "disk", "redis", "--size", "32MiB") as process:
        assert file_size(stack) == 32 << 20
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 130
        assert file_size(stack) == 0


def test_slow_delays_answers_or_says_that_the_kernel_cannot(stack: Stack) -> None:
    first = stack.run("chaos", "slow", "kong", "--delay", "400ms", "--for", "1s")
    # The kernel is asked by this test itself.
    ask = ["run", "--rm", "--network", "none", "--cap-add", "NET_ADMIN", BASE_IMAGE, "tc", "qdisc"]
    netem = subprocess.run(
        ["docker", *ask, "add", "dev", "lo", "root", "netem", "delay", "1ms"],
        capture_output=True,
        check=False,
    )
    assert "No open fault" in stack.run("chaos", "list").stdout
    if netem.returncode != 0:
        assert first.returncode == 1
        assert "lacks netem" in first.stderr
        assert "sch_netem" in first.stderr
        return
    assert first.returncode == 0, first.stderr
    assert "netem" not in queues(stack)
    with held(stack, "slow", "kong", "--delay", "400ms", "--loss", "0%"):
        assert "netem" in queues(stack)
        assert "delay 400ms" in queues(stack)
        began = time.monotonic()
        httpx.get(f"{stack.settings.url('kong')}/metrics", timeout=30)
        # However busy the machine is, it is not quicker than that.
        assert time.monotonic() - began >= 0.4
    assert "netem" not in queues(stack)


def queues(stack: Stack) -> str:
    """Return the queueing disciplines in the container's network name space."""
    return docker(
        "run",
        "--rm",
        "--network",
        f"container:{stack.container('kong')}",
        BASE_IMAGE,
        "tc",
        "qdisc",
        "show",
    )


def test_after_kill_minus_nine_pressure_is_told_of_and_healed_by_another_process(
    stack: Stack,
) -> None:
    with held(stack, "fill", "memory", "kong") as process:
        process.kill()
        process.wait()
        assert memory_share(stack, "kong") > 85
        assert "an abandoned fault is open: fill memory of kong" in stack.run("urls").stderr
        refused = stack.run("chaos", "kill", "kong")
        assert refused.returncode == 1
        assert "kong already has an open fault" in refused.stderr
        assert "recovered: fill memory of kong" in stack.run("chaos", "heal").stdout
        assert memory_share(stack, "kong") < 60
        assert "No open fault" in stack.run("chaos", "heal").stdout


def test_a_file_is_removed_from_the_volume_of_a_container_that_was_made_anew(stack: Stack) -> None:
    with held(stack, "fill", "disk", "redis", "--size", "32MiB") as process:
        process.kill()
        process.wait()
        docker("rm", "--force", stack.container("redis"))
        done = stack.run("up", timeout=180)
        assert done.returncode == 0, done.stderr
        assert file_size(stack) == 32 << 20
        assert "recovered: fill disk of redis" in stack.run("chaos", "heal").stdout
        assert file_size(stack) == 0


def test_down_heals_what_a_killed_process_left_and_the_data_comes_back_clean(stack: Stack) -> None:
    with held(stack, "fill", "disk", "redis", "--size", "32MiB") as process:
        process.kill()
        process.wait()
        done = stack.run("down")
        assert done.returncode == 0, done.stderr
        assert "recovered: fill disk of redis" in done.stderr
        assert stack.run("up", timeout=180).returncode == 0
        assert file_size(stack) == 0


def test_a_stop_that_was_killed_half_way_is_healed_for_good(stack: Stack) -> None:
    # RabbitMQ takes seconds to stop: Docker goes on stopping it though nobody waits any more.
    command = stack.command("chaos", "stop", "rabbitmq", "--for", "10m")
    process = subprocess.Popen(
        [sys.executable, "-m", "stackctl", *command],
        env={**os.environ, **stack.environment},
        stderr=subprocess.DEVNULL,
    )
    assert wait_until(lambda: "open: stop" in stack.run("chaos", "list").stdout, 30)
    process.kill()
    process.wait()
    assert "recovered: stop of rabbitmq" in stack.run("chaos", "heal").stdout
    before = started(stack, "rabbitmq")
    assert before.endswith("running")
    assert wait_until(lambda: is_ready(stack, "rabbitmq"), 60)
    assert started(stack, "rabbitmq") == before


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("fill", "disk", "kong"), "kong has no writable volume"),
        (("fill", "disk", "redis", "--size", "900000GiB"), "free at /data"),
        (("disconnect", "docker-socket-proxy"), f"is not on network {PROJECT}_bot-network"),
    ],
)
def test_what_cannot_be_done_is_refused_in_one_line(
    stack: Stack, words: tuple[str, ...], says: str
) -> None:
    before = containers()
    done = stack.run("chaos", *words)
    assert done.returncode == 1
    assert says in done.stderr
    assert done.stderr.count("\n") == 1
    assert containers() == before


def test_a_service_that_is_not_ready_is_refused_unless_forced(stack: Stack) -> None:
    network, name = f"{PROJECT}_bot-network", stack.container("kong")
    docker("network", "disconnect", network, name)
    try:
        refused = stack.run("chaos", "pause", "kong", "--for", "1s")
        assert refused.returncode == 1
        assert "kong is not ready before the fault" in refused.stderr
        assert stack.run("chaos", "pause", "kong", "--for", "1s", "--force").returncode == 0
    finally:
        docker("network", "connect", "--alias", "kong", network, name)
    docker("stop", name)
    try:
        stopped = stack.run("chaos", "pause", "kong", "--for", "1s")
        assert stopped.returncode == 1
        assert "cannot pause kong: it is not running" in stopped.stderr
    finally:
        docker("start", name)
    assert wait_until(lambda: is_ready(stack, "kong"), 30)


def test_the_stack_is_whole_after_all_of_it(stack: Stack) -> None:
    assert wait_until(lambda: stack.run("status").returncode == 0, 60)
    assert len(containers()) == len(RUNNING)
    assert "No open fault" in stack.run("chaos", "list").stdout
