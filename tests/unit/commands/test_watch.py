"""`--watch`: refreshes until Ctrl-C, which exits with 130 without a message; on a terminal and in a pipe."""

from __future__ import annotations

import datetime as dt
import io
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
from rich.console import Console

from stackctl.report.terminal import overview
from stackctl.ui import watch
from stackctl.verify.model import Check, Finding, Report, Result
from tests.support.cli import run_here
from tests.support.http import Reply, Server, as_json, serving

pytestmark = pytest.mark.usefixtures("own_folders", "no_engine")


@pytest.mark.parametrize("command", ["status", "alerts"])
def test_json_is_not_watched(command: str) -> None:
    done = run_here(command, "--watch", "1", "--format", "json")
    assert done.returncode == 2
    assert done.stderr == "stackctl: --watch requires --format table; omit --watch or --format\n"


@pytest.mark.parametrize("seconds", ["0", "0.5", "x"])
@pytest.mark.parametrize("command", ["status", "alerts", "verify"])
def test_less_than_a_second_is_refused(command: str, seconds: str) -> None:
    assert run_here(command, "--watch", seconds).returncode == 2


@pytest.mark.parametrize(
    "arguments",
    [["--all"], ["--drill"], ["--report", "x.html"], ["end-to-end.load"], ["notifications"]],
)
def test_what_puts_something_on_the_stack_is_not_repeated(arguments: list[str]) -> None:
    done = run_here("verify", "--watch", "1", *arguments)
    assert done.returncode == 2
    assert done.stderr.startswith("stackctl: --watch is only for quick checks")


def test_only_the_active_alerts_are_watched() -> None:
    done = run_here("alerts", "--watch", "1", "rules")
    assert done.returncode == 2
    assert "--watch is only for active alerts" in done.stderr


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """Prometheus and Alertmanager in one, with an alert."""
    alert = {
        "labels": {"alertname": "ServiceDown", "severity": "critical", "service": "kong"},
        "annotations": {},
        "state": "pending",
        "activeAt": dt.datetime.now(dt.UTC).isoformat(),
        "value": "1",
    }
    with serving(
        {
            "/api/v1/alerts": as_json({"status": "success", "data": {"alerts": [alert]}}),
            "/api/v2/alerts": as_json([]),
        }
    ) as running:
        for name in ("PROMETHEUS_PORT", "ALERTMANAGER_PORT"):
            monkeypatch.setenv(name, str(urlsplit(running.url).port))
        yield running


def test_alerts_are_shown_anew_and_asked_again_where_one_does_not_answer(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = iter([Reply(status=503), as_json([])])

    def meanwhile(_seconds: float) -> None:
        answer = next(answers, None)
        if answer is None:
            raise KeyboardInterrupt
        server.routes["/api/v2/alerts"] = answer

    # Of this module alone: a thread that another test has left may sleep as well.
    monkeypatch.setattr(watch, "sleep", meanwhile)
    done = run_here("alerts", "--watch", "1")
    assert (done.returncode, done.stderr) == (130, "")
    found = re.findall("ServiceDown|HTTP 503", done.stdout)
    assert found == ["ServiceDown", "HTTP 503", "ServiceDown"]


@pytest.mark.thorough
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_with_a_quiet_130(server: Server, number: signal.Signals) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "stackctl", "alerts", "--watch", "1"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    ) as process:
        assert process.stdout is not None
        lines = [next(process.stdout) for _ in range(2)]
        assert "ServiceDown" in lines[1]
        process.send_signal(number)
        _, errors = process.communicate(timeout=20)
    assert process.returncode == 130
    assert errors == ""


async def _never(_context: object) -> Finding:
    raise AssertionError("a view asks nothing")


def test_the_overview_has_a_line_a_section_and_every_failure() -> None:
    checks = [Check(f"{name}.x", f"{name} works", "step", "loki", _never) for name in "abb"]
    findings = [
        Finding(True, "fine", "seen fine"),
        Finding(True, "fine", "seen fine"),
        Finding(False, "two", "only one", "do this"),
    ]
    results = tuple(map(Result, checks, findings, [1.0] * 3))
    report = Report("p", "local", dt.datetime.now(dt.UTC), 1.0, results)
    stream = io.StringIO()
    console = Console(file=stream, width=80)
    console.print(overview(console, report))
    text = stream.getvalue()
    assert "a: 1 of 1" in text
    assert "b: 1 of 2" in text
    assert "a works" not in text
    for part in ("b works", "only one", "do this", "2 of 3 checks passed"):
        assert part in text
