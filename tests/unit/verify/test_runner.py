"""How a list of checks is selected and run."""

from __future__ import annotations

import datetime as dt
import itertools
from types import SimpleNamespace

import pytest

from stackctl.clients.grafana_login import REFUSED
from stackctl.docker.models import ContainerState, FailedCheck
from stackctl.errors import EngineError, UsageError
from stackctl.verify import runner
from stackctl.verify.model import Check, Context, Finding, skipped
from tests.support.engine import container
from tests.support.http import Reply, as_json
from tests.support.right_stack import CHECKS, RIGHT, Stack, targets, verify


@pytest.fixture
def own_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """The runner's clock moves by 0.1 s each time that it is read, however busy the machine is."""
    ticks = itertools.count()
    monkeypatch.setattr(runner, "time", SimpleNamespace(monotonic=lambda: next(ticks) / 10))
    monkeypatch.setattr(runner, "_PAUSE", 0.01)


def asked(stack: Stack, path: str) -> int:
    """Return how many requests there were to a path."""
    return sum(request.path == path for request in stack.server.requests)


def test_a_check_is_asked_again_until_it_holds(stack: Stack, own_clock: None) -> None:
    answers = iter([targets("redis", "unknown", ""), RIGHT["/api/v1/targets"]])
    stack.server.routes["/api/v1/targets"] = lambda _: as_json(next(answers))
    report = verify(stack, "prometheus.targets", timeout=5)
    assert report.ok
    assert next(answers, None) is None


def test_a_check_that_others_notice_is_asked_once(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    async def failing(_: Context) -> Finding:
        asked.append(1)
        return Finding(False, "x", "y", "z")

    check = Check("loki.once", "Once", "beyond the plan", "loki", failing, once=True)
    monkeypatch.setattr(runner, "CHECKS", (check,))
    assert not verify(stack, timeout=5).ok
    assert asked == [1]
    assert all(one.once for one in CHECKS if one.drill or one.id.startswith("notifications.c"))


@pytest.mark.parametrize("enough", [2, 99])
def test_a_check_with_too_little_data_is_asked_again_and_does_not_fail(
    stack: Stack, own_clock: None, monkeypatch: pytest.MonkeyPatch, enough: int
) -> None:
    asked = []

    async def young(_: Context) -> Finding:
        asked.append(1)
        if len(asked) < enough:
            return skipped("a scrape", "too young", early=True)
        return Finding(True, "a scrape", "one", "change it", warning=True)

    check = Check("loki.young", "Young", "beyond the plan", "loki", young)
    monkeypatch.setattr(runner, "CHECKS", (check,))
    report = verify(stack, timeout=0.5)
    assert report.ok
    # A warning is not asked again: nothing changes it but a change of the application.
    assert (len(asked) == 2, len(report.warned), len(report.skipped)) == (
        (True, 1, 0) if enough == 2 else (False, 0, 1)
    )
    assert len(asked) > 1


def test_a_bug_in_a_check_is_a_failed_result_and_hides_no_other(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(_: Context) -> Finding:
        raise KeyError("oops")

    checks = (Check("loki.broken", "Broken", "beyond the plan", "loki", broken), runner.CHECKS[0])
    monkeypatch.setattr(runner, "CHECKS", checks)
    report = verify(stack)
    assert [result.finding.ok for result in report.results] == [False, True]
    assert "KeyError" in report.results[0].finding.observed


def test_sections_and_checks_are_selected_by_name() -> None:
    assert {check.section for check in runner.select(["loki"])} == {"loki"}
    assert [check.id for check in runner.select(["prometheus.targets"])] == ["prometheus.targets"]
    with pytest.raises(UsageError) as caught:
        runner.select(["prometeus"])
    assert caught.value.remedy == "did you mean prometheus?"


@pytest.mark.parametrize("status", [400, 401, 403, 404])
def test_what_is_refused_for_good_is_asked_once(stack: Stack, own_clock: None, status: int) -> None:
    stack.set("/api/datasources", Reply(b"{}", status))
    (result,) = verify(stack, "grafana.datasources", timeout=5).results
    assert asked(stack, "/api/datasources") == 1
    assert result.finding.state == "failed"
    assert f"HTTP {status}" in result.finding.observed
    refused = status == 401
    assert result.finding.next_step == (REFUSED if refused else "stackctl logs grafana")


def test_a_refused_login_is_asked_once(stack: Stack, own_clock: None) -> None:
    stack.set("/api/user", Reply(b"{}", 401))
    verify(stack, "grafana.login")
    once = asked(stack, "/api/user")
    (result,) = verify(stack, "grafana.login", timeout=5).results
    assert asked(stack, "/api/user") == 2 * once > 0
    assert (result.finding.state, result.finding.next_step) == ("failed", REFUSED)


@pytest.mark.parametrize(
    ("version", "state"),
    [("8.5.27", "skipped"), ("9.0.0", "failed"), ("10.0.0-pre", "failed"), ("main", "failed")],
)
def test_a_grafana_that_is_too_old_for_a_check_is_told(
    stack: Stack, version: str, state: str
) -> None:
    stack.set("/api/health", {"database": "ok", "version": version})
    stack.set("/api/datasources/uid/loki/health", Reply(b'{"message": "Not found"}', 404))
    (result,) = verify(stack, "grafana.datasource-health").results
    assert result.finding.state == state
    if state == "skipped":
        assert result.finding.observed == (
            f"skipped: the check requires Grafana 9.0 or newer, and this is {version}"
        )


def old(service: str, **changes: object) -> ContainerState:
    started = dt.datetime.now(dt.UTC) - dt.timedelta(minutes=5)
    return container(service, **{"started": started, **changes})


@pytest.mark.parametrize(
    ("grafana", "state", "seen"),
    [
        (old("grafana"), "failed", "HTTP 503"),
        (old("grafana", health="starting"), "still starting", "grafana is still starting ("),
        (
            old("grafana", health="unhealthy", failed_check=FailedCheck(1, "wget: refused")),
            "failed",
            "HTTP 503 Service Unavailable (grafana's health check failed, exit code 1: wget: refused)",
        ),
        (
            old("grafana", health="starting", failed_check=FailedCheck(1, "wget: refused")),
            "still starting",
            "grafana is still starting, its health check failed, exit code 1: wget: refused (",
        ),
        (old("grafana", started=None), "still starting", "grafana is still starting ("),
        (old("grafana", status="paused"), "not running", "grafana is paused ("),
        (
            old("grafana", status="exited", exit_code=137),
            "not running",
            "grafana is exited, exit code 137 (",
        ),
    ],
)
def test_a_service_that_does_not_answer_is_explained_by_its_container(
    stack: Stack, own_clock: None, grafana: ContainerState, state: str, seen: str
) -> None:
    stack.set("/api/health", Reply(b"", 503))
    if grafana.started is None:
        # Not before the test runs.
        grafana = container("grafana")
    (result,) = verify(
        stack, "grafana.health", timeout=0.25, containers=lambda: {"grafana": grafana}
    ).results
    assert result.finding.state == state
    assert seen in result.finding.observed
    # What starts or is broken may change; what is not running stays so.
    assert asked(stack, "/api/health") == (1 if state == "not running" else 3)


def test_a_target_that_is_down_is_explained_by_its_own_container(stack: Stack) -> None:
    stack.set("/api/v1/targets", targets("redis", "down", "connection refused"))
    stopped = {"redis": old("redis", status="exited"), "prometheus": old("prometheus")}
    (result,) = verify(stack, "prometheus.targets", timeout=5, containers=lambda: stopped).results
    assert result.finding.state == "not running"
    assert result.finding.observed.startswith("redis is exited, exit code 0 (redis: down")
    assert "`stackctl up`" in result.finding.next_step


def test_an_engine_that_has_gone_hides_no_result(stack: Stack) -> None:
    def gone() -> dict[str, ContainerState]:
        raise EngineError("no engine")

    stack.set("/api/health", Reply(b"", 503))
    (result,) = verify(stack, "grafana.health", containers=gone).results
    assert result.finding.state == "failed"
