"""How a list of checks is selected and run."""

from __future__ import annotations

import pytest

from stackctl.errors import UsageError
from stackctl.verify import runner
from stackctl.verify.model import Check, Context, Finding, skipped
from tests.support.http import as_json
from tests.support.right_stack import CHECKS, RIGHT, Stack, targets, verify


def test_a_check_is_asked_again_until_it_holds(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "_PAUSE", 0.1)
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
    stack: Stack, monkeypatch: pytest.MonkeyPatch, enough: int
) -> None:
    monkeypatch.setattr(runner, "_PAUSE", 0.1)
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
