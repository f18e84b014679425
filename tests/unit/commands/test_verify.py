"""`stackctl verify` as it is called: what it refuses, what it prints in which order, and what it writes."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from stackctl.project.project import Project
from stackctl.ui.progress import Waiting
from stackctl.verify import runner
from stackctl.verify.model import Check, Context, Finding
from tests.support.cli import run_here
from tests.support.engine import MemoryEngine, container

REAL = {
    "ALERTMANAGER_SLACK_WEBHOOK_URL": "https://hooks.slack.example/very-secret",
    "ALERTMANAGER_PAGERDUTY_KEY": "very-secret",
    "ALERTMANAGER_SMTP_HOST": "smtp.example.org",
    "ALERTMANAGER_EMAIL_FROM": "from@example.org",
    "ALERTMANAGER_EMAIL_TO": "team@example.org",
}
WHERE = (
    "Slack (#ai-alerts, #bot-core-alerts, #critical-alerts, #database-alerts, #trading-alerts),"
    " PagerDuty, e-mail (team@example.org)"
)


@pytest.fixture(autouse=True)
def _up(
    state_dir: Path,
    tmp_path: Path,
    clean_environment: pytest.MonkeyPatch,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    engine = MemoryEngine(container("prometheus"))
    monkeypatch.setattr(Project, "engine", lambda *_, **__: engine)
    monkeypatch.chdir(tmp_path)


class Ran:
    """Checks in the place of the real ones, and which of them were asked."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, ok: bool = True) -> None:
        self.asked: list[str] = []
        checks = (
            self._check("loki.quick", ok=ok),
            self._check("notifications.told", ok=True, slow=True, once=True),
            self._check("alertmanager.drill", ok=True, drill=True, once=True),
        )
        monkeypatch.setattr(runner, "CHECKS", checks)

    def _check(self, id_: str, *, ok: bool, **kinds: bool) -> Check:
        async def ask(context: Context) -> Finding:
            self.asked.append(id_)
            if kinds.get("drill"):
                for state in ("pending", "pending", "firing"):
                    context.drills.waiting("redis", f"ServiceDown is {state}")
            return Finding(ok, "expected", f"seen by {id_}", "look")

        return Check(id_, id_.title(), "the plan", "loki", ask, **kinds)


def verify(*words: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    return run_here("verify", *words, "--timeout", "0", env=env)


@pytest.mark.parametrize("words", [("notifications.told",), ("--all",), ("--drill",)])
def test_what_notifies_real_channels_is_refused_without_send_and_says_where(
    monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    ran = Ran(monkeypatch)
    refused = verify(*words, env=REAL)
    assert (refused.returncode, refused.stdout, ran.asked) == (2, "", [])
    assert refused.stderr == (
        f"stackctl: alerts would go to real channels: {WHERE};"
        " give --send if they may, or leave notifications and drills out\n"
    )
    done = verify(*words, "--send", env=REAL)
    assert done.returncode == 0, done.stderr
    assert f"alerts go to real channels: {WHERE}\n" in done.stderr
    assert ran.asked
    assert "secret" not in done.stdout + done.stderr + refused.stderr


def test_the_quick_checks_need_no_word_and_without_real_channels_nothing_does(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ran = Ran(monkeypatch)
    assert verify(env=REAL).returncode == 0
    assert ran.asked == ["loki.quick"]
    done = verify("--all", "--drill")
    assert done.returncode == 0
    assert "channels" not in done.stderr


def test_a_drills_states_are_told_once_each(monkeypatch: pytest.MonkeyPatch) -> None:
    Ran(monkeypatch)
    done = verify("alertmanager.drill")
    assert done.stderr == "redis: ServiceDown is pending\nredis: ServiceDown is firing\n"


def test_on_a_terminal_the_states_stand_below_what_is_waited_for() -> None:
    console = Console(force_terminal=True, width=80, record=True)
    with console.capture(), Waiting(console, ["a.b", "c.d"]) as shown:
        shown.finished("a.b")
        shown.tell("redis", "ServiceDown is pending")
        assert shown._status is not None
        assert str(shown._status.status) == "waiting for c.d\nredis: ServiceDown is pending"
        shown.finished("c.d")
        assert str(shown._status.status).startswith("done\n")


def test_a_report_that_cannot_be_written_is_refused_before_anything_is_asked(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    ran = Ran(monkeypatch)
    (tmp_path / "file").write_text("")
    done = verify("--report", str(tmp_path / "file" / "report.html"))
    assert (done.returncode, done.stdout, ran.asked) == (2, "", [])
    assert "cannot be written" in done.stderr
    assert (tmp_path / "file").read_text() == ""


def test_results_are_printed_before_the_report_is_written(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from stackctl.report import html

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    Ran(monkeypatch)
    monkeypatch.setattr(html, "write_atomic", full)
    done = verify("--format", "json", "--report", str(tmp_path / "report.html"))
    assert done.returncode == 1
    assert json.loads(done.stdout)["ok"] is True
    assert "No space left on device" in done.stderr


@pytest.mark.parametrize(("ok", "code"), [(True, 0), (False, 1)])
def test_the_report_is_written_whatever_was_found(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, ok: bool, code: int
) -> None:
    Ran(monkeypatch, ok=ok)
    report = tmp_path / "new" / "report.html"
    done = verify("--report", str(report))
    assert done.returncode == code
    assert "seen by loki.quick" in report.read_text()
    assert f"report: {report}" in done.stderr


@pytest.mark.parametrize(
    "words",
    [
        ("verify", "--timeout", "nan"),
        ("verify", "--timeout", "inf"),
        ("verify", "--watch", "nan"),
        ("status", "--watch", "nan"),
        ("up", "--timeout", "nan"),
        ("logs", "--from", "loki", "--since", "inf"),
        ("logs", "--from", "loki", "--since", "nan"),
        ("chaos", "stop", "redis", "--for", f"{10**14}h"),
    ],
)
def test_a_number_that_is_none_or_has_no_end_is_wrong_usage(words: tuple[str, ...]) -> None:
    done = run_here(*words)
    assert done.returncode == 2
    assert "invalid value" in done.stderr
