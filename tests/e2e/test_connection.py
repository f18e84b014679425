"""A container off its network and back: with a real engine, it is on it as it was before."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from stackctl.chaos.faults import FAULTS, injected
from stackctl.chaos.journal import Journal
from stackctl.docker.engine import Engine
from stackctl.errors import EngineError
from stackctl.project.state import open_state
from tests.e2e.conftest import PROJECT, docker
from tests.support.cli import stackctl

pytestmark = pytest.mark.docker

NAME = f"{PROJECT}-connection"
NETWORK = f"{NAME}_bot-network"
SERVICE = f"{NAME}-redis"
IMAGE = "stackctl/redis:local"
IPV4, IPV6 = "198.18.93.77", "fd5c:7ac1:93::77"


@pytest.fixture
def network() -> Iterator[str]:
    """A network whose addresses are ours to choose; with it goes whatever the test put on it."""
    subnets = ("--ipv6", "--subnet", "198.18.93.0/24", "--subnet", "fd5c:7ac1:93::/64")
    docker("network", "create", *subnets, NETWORK)
    yield NETWORK
    for name in (SERVICE, f"{NAME}-other"):
        subprocess.run(["docker", "rm", "--force", name], capture_output=True, check=False)
    docker("network", "rm", NETWORK)


def start(name: str, *options: str) -> None:
    docker("run", "--detach", "--name", name, *options, IMAGE, "redis-server")


def start_service(*options: str) -> None:
    labels = {"com.docker.compose.project": NAME, "com.docker.compose.service": "redis"}
    marked = [f"--label={name}={value}" for name, value in labels.items()]
    start(SERVICE, *marked, "--network", NETWORK, *options)


def place() -> dict[str, Any]:
    """Return what the service's container is on the network, without what is new at every connection."""
    found: dict[str, Any] = json.loads(
        docker("inspect", "--format", "{{json .NetworkSettings.Networks}}", SERVICE)
    )[NETWORK]
    wanted = ("IPAMConfig", "Aliases", "DNSNames", "IPAddress", "GlobalIPv6Address")
    return {name: found[name] for name in wanted}


def call(*words: str) -> subprocess.CompletedProcess[str]:
    return stackctl("-p", NAME, "chaos", *words, timeout=120)


OWN = ("--ip", IPV4, "--ip6", IPV6, "--network-alias", "redis", "--network-alias", "cache")


def test_aliases_and_fixed_addresses_are_the_same_after_as_before(
    network: str, state_dir: Path
) -> None:
    start_service(*OWN)
    before = place()
    assert before["Aliases"] == ["redis", "cache"]
    assert before["IPAMConfig"] == {"IPv4Address": IPV4, "IPv6Address": IPV6}
    dry = call("disconnect", "redis", "--dry-run")
    assert (
        f"docker network connect --alias redis --alias cache --ip {IPV4} --ip6 {IPV6} {NETWORK} {SERVICE}"
        in dry.stdout
    )
    done = call("disconnect", "redis", "--for", "0s", "--force")
    assert done.returncode == 0, done.stderr
    assert place() == before


def test_one_without_either_gets_none(network: str, state_dir: Path) -> None:
    start_service()
    before = place()
    assert not before["Aliases"]
    done = call("disconnect", "redis", "--for", "0s", "--force")
    assert done.returncode == 0, done.stderr
    after = place()
    assert (after["Aliases"] or [], after["IPAMConfig"] or {}) == ([], {})
    assert after["DNSNames"] == before["DNSNames"]


def test_an_address_that_was_taken_meanwhile_is_told_and_had_again_by_heal(
    network: str, state_dir: Path
) -> None:
    start_service(*OWN)
    before = place()
    journal = Journal(open_state(NAME))
    with (
        pytest.raises(EngineError, match="taken by another container on the network") as caught,
        injected(Engine(NAME), journal, FAULTS["disconnect"], "redis"),
    ):
        start(f"{NAME}-other", "--network", NETWORK, "--ip", IPV4)
    assert "docker network inspect" in (caught.value.remedy or "")
    refused = call("heal")
    assert refused.returncode == 1
    assert refused.stderr.count("taken by another container") == 1
    assert [one.kind for one in journal.open_faults()] == ["disconnect"]
    docker("rm", "--force", f"{NAME}-other")
    assert "recovered: disconnect of redis" in call("heal").stdout
    assert place() == before
    assert "No open faults." in call("heal").stdout
