"""What the engine says of a container, read."""

from __future__ import annotations

from typing import Any

import pytest

from stackctl.docker.models import FailedCheck, state_of


def inspected(health: dict[str, Any] | None) -> dict[str, Any]:
    state = {"Status": "running", "ExitCode": 0, "StartedAt": "2026-11-24T01:12:02.835259176Z"}
    return {
        "Id": "id",
        "Name": "/redis",
        "RestartCount": 0,
        "Config": {"Labels": None, "Image": "redis"},
        "State": {**state, **({} if health is None else {"Health": health})},
    }


def checked(*log: tuple[int, str]) -> FailedCheck | None:
    entries = [{"ExitCode": code, "Output": output} for code, output in log]
    return state_of(inspected({"Status": "unhealthy", "Log": entries})).failed_check


@pytest.mark.parametrize(
    "health", [None, {"Status": "starting"}, {"Status": "starting", "Log": None}]
)
def test_without_a_result_no_check_has_failed(health: dict[str, Any] | None) -> None:
    assert state_of(inspected(health)).failed_check is None


def test_the_last_result_counts() -> None:
    assert checked((1, "down"), (0, "up")) is None
    assert checked((0, "up"), (1, "down")) == FailedCheck(1, "down")


@pytest.mark.parametrize(
    ("code", "output", "said"),
    [
        (
            1,
            "wget: can't connect to remote host: Connection refused\n",
            "health check failed, exit code 1: wget: can't connect to remote host: Connection refused",
        ),
        (1, "a\n\n  b \nc\r\n", "health check failed, exit code 1: b; c"),
        (3, " \n", "health check failed, exit code 3: no output"),
        (
            -1,
            "Health check exceeded timeout (5s)",
            "health check failed, timed out: Health check exceeded timeout (5s)",
        ),
        (1, "\x1b[31mred\x07", "health check failed, exit code 1: [31mred"),
    ],
)
def test_its_output_is_one_printable_line(code: int, output: str, said: str) -> None:
    assert str(checked((code, output))) == said


def test_a_long_output_is_cut_at_its_beginning() -> None:
    found = checked((1, "x" * 4000 + " the reason"))
    assert found is not None
    assert found.output.endswith("x the reason")
    assert len(found.output) == 300
