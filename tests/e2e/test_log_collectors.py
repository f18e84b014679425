"""Logs lose nothing that can be kept: Loki away, a collector restarted, Alloy for Promtail. A stack of its own."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import httpx
import pytest

from tests.e2e.conftest import docker, free_offset
from tests.support.http import wait_until
from tests.support.side_stack import SideStack

pytestmark = pytest.mark.docker

PROJECT = "stackctl-e2e-logs"
COUNTING = "n=0; while true; do n=$$((n+1)); echo number $$n; sleep 0.2; done"
_AWAY_SECONDS = 15
"""Longer than the longest pause between two attempts to send."""
_HELD = 100
"""Lines that a log collector holds in memory: its queue and the batch that it sends."""


@dataclass(frozen=True)
class Logged(SideStack):
    """A stack with a container that logs numbers, beside it."""

    PROJECT = PROJECT

    def stored(self) -> Counter[int]:
        """Return the numbers that Loki has, and how often."""
        answer = httpx.get(
            f"{self.settings.url('loki')}/loki/api/v1/query_range",
            params={
                "query": '{service="counter"} |= "number"',
                "start": str(time.time_ns() - 3600 * 10**9),
                "end": str(time.time_ns()),
                "limit": "5000",
            },
            timeout=10,
        )
        streams = answer.json()["data"]["result"] if answer.is_success else []
        return Counter(
            int(line.split()[1]) for stream in streams for _, line, *_ in stream["values"]
        )

    def newest(self) -> int:
        """Return the newest number that Loki has; 0 where it does not answer."""
        try:
            return max(self.stored(), default=0)
        except httpx.HTTPError:
            return 0

    def logged(self) -> int:
        """Return the newest number that the container has logged."""
        return int(docker("logs", "--tail", "1", f"{PROJECT}-counter").split()[-1])

    def caught_up(self) -> bool:
        """Return whether Loki gets what is logged from now on, within two minutes."""
        now = self.logged()
        return wait_until(lambda: self.newest() > now, 120)


@pytest.fixture(scope="module")
def logged(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Logged]:
    """Bring a stack of the plan's releases up, and take it down with its data at the end."""
    folder = tmp_path_factory.mktemp("logs")
    override = folder / "stackctl.override.yml"
    override.write_text(
        json.dumps(
            {
                "services": {
                    "counter": {
                        "image": "stackctl/node-exporter:local",
                        "container_name": f"{PROJECT}-counter",
                        "entrypoint": ["busybox", "sh", "-c", COUNTING],
                        "user": "0:0",
                        "init": True,
                    }
                }
            }
        )
    )
    stack = Logged(folder, free_offset())
    try:
        stack.up("plan")
        assert stack.caught_up()
        yield stack
    finally:
        stack.remove()


def missing(stored: Counter[int], first: int, last: int) -> list[int]:
    return [number for number in range(first, last + 1) if number not in stored]


def loki_is_away(stack: Logged, meanwhile: str | None = None) -> tuple[int, int]:
    """Stop Loki for a while, and start it again; return the numbers logged before and at the end."""
    first = stack.newest()
    docker("stop", f"{PROJECT}-loki")
    begun = stack.logged()
    assert wait_until(lambda: stack.logged() > begun + 5 * _AWAY_SECONDS / 2, 4 * _AWAY_SECONDS)
    if meanwhile is not None:
        docker("restart", f"{PROJECT}-{meanwhile}")
    last = stack.logged()
    docker("start", f"{PROJECT}-loki")
    assert stack.caught_up()
    return first, last


def held_at_most(stack: Logged, collector: str) -> None:
    """Loki is away: nothing is lost; with the collector restarted meanwhile, only what it held."""
    first, last = loki_is_away(stack)
    # What waited while Loki was away may come after what was logged since.
    assert wait_until(lambda: not missing(stack.stored(), first, last), 60)
    first, last = loki_is_away(stack, meanwhile=collector)
    assert len(missing(stack.stored(), first, last)) <= _HELD
    assert set(stack.stored().values()) == {1}


def test_promtail_keeps_what_is_logged_while_loki_is_away(logged: Logged) -> None:
    held_at_most(logged, "promtail")


def test_alloy_goes_on_where_promtail_stopped(logged: Logged) -> None:
    before = logged.stored()
    first, last = min(before), logged.logged()
    done = logged.up("current")
    assert "where promtail stopped" in done.stderr
    names = docker("ps", "-a", "--format", "{{.Names}}").split()
    assert f"{PROJECT}-alloy" in names
    assert f"{PROJECT}-promtail" not in names
    assert logged.caught_up()
    stored = logged.stored()
    assert set(missing(stored, first, last)) <= set(missing(before, first, last))
    assert set(stored.values()) == {1}
    exposed = httpx.get(f"{logged.settings.url('loki')}/metrics", timeout=10).text
    (again,) = (
        float(line.split()[1])
        for line in exposed.splitlines()
        if line.startswith("loki_standin_duplicate_lines_total")
    )
    assert again < last / 2, "Alloy has read the whole log again"


def test_alloy_keeps_what_is_logged_while_loki_is_away(logged: Logged) -> None:
    held_at_most(logged, "alloy")


def test_a_collector_that_docker_refuses_is_said_to_read_nothing(logged: Logged) -> None:
    docker("stop", f"{PROJECT}-docker-socket-proxy")
    docker("restart", f"{PROJECT}-alloy")

    def said() -> bool:
        shown = logged.run("status")
        return "has read no container's log yet" in shown.stdout + shown.stderr

    # Until it listens after its restart, it is said to refuse connections.
    found = wait_until(said, 60)
    docker("start", f"{PROJECT}-docker-socket-proxy")
    assert found
