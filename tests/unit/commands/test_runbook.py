"""`stackctl runbook`: the settings reach what is printed, and a runbook needs no stack."""

from __future__ import annotations

from pathlib import Path

import pytest

from stackctl.alerts import runbooks
from tests.support.cli import run_here


@pytest.fixture(autouse=True)
def _own_state(state_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_it_shows_the_kill_switch_and_the_contacts(state_dir: Path) -> None:
    settings = {"RUNBOOK_KILL_SWITCH": "ssh gw trading off", "RUNBOOK_CONTACTS": "+1 555 0100"}
    done = run_here("runbook", "TradingHalted", "--raw", env=settings)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == runbooks.text(
        "TradingHalted", runbooks.OnCall("ssh gw trading off", "+1 555 0100")
    )
    assert not state_dir.exists()


def test_without_an_alert_it_lists_the_runbooks() -> None:
    done = run_here("runbook")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        line
        for one in runbooks.all_runbooks()
        for line in (f"{one.name}: {one.title}", f"  {', '.join(one.alerts)}")
    ]


@pytest.mark.parametrize(
    ("arguments", "settings", "says"),
    [
        (
            ["TradingHaltd"],
            {},
            "unknown alert or runbook 'TradingHaltd'; did you mean TradingHalted",
        ),
        (["TradingHalted"], {"RUNBOOK_CONTACTS": "a\nb"}, "RUNBOOK_CONTACTS 'a\\nb' (environment)"),
    ],
)
def test_wrong_input_is_one_line_with_the_remedy(
    arguments: list[str], settings: dict[str, str], says: str
) -> None:
    done = run_here("runbook", *arguments, env=settings)
    assert done.returncode == 2
    assert says in done.stderr
    assert done.stderr.count("\n") == 1
