"""`stackctl alerts preview`: messages rendered and routed by the real amtool."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from stackctl.alerts.examples import example
from stackctl.config.load import load
from stackctl.docker.engine import Engine
from stackctl.errors import StackctlError
from stackctl.images.sets import references
from stackctl.render.preview import preview
from stackctl.services.releases import PLAN
from stackctl.util import paths
from tests.support.cli import stackctl

pytestmark = [pytest.mark.docker, pytest.mark.usefixtures("state_dir", "clean_environment")]


def test_a_critical_trading_alert_is_shown_for_each_channel_firing_and_resolved() -> None:
    done = stackctl("alerts", "preview", "HighTradeFailureRate", "--format", "json")
    assert done.returncode == 0, done.stderr
    messages = json.loads(done.stdout)
    seen = [(one["receiver"], one["channel"], one["recipient"], one["status"]) for one in messages]
    expected = [
        ("critical-alerts", "slack", "#critical-alerts"),
        ("critical-alerts", "pagerduty", ""),
        ("critical-alerts", "email", "team@bot-core.io"),
        ("default", "slack", "#bot-core-alerts"),
        ("trading-team", "slack", "#trading-alerts"),
    ]
    assert seen == [(*one, status) for one in expected for status in ("firing", "resolved")]
    slack, ended = messages[:2]
    assert slack["fields"]["title"] == "🚨 HighTradeFailureRate on rust-core-engine"
    assert "10.1% of the trades of rust-core-engine fail." in slack["fields"]["text"]
    assert ended["fields"]["title"] == "🚨 Resolved: HighTradeFailureRate on rust-core-engine"
    mail = messages[4]["fields"]
    assert mail["headers.Subject"] == "[CRITICAL] HighTradeFailureRate on rust-core-engine"
    assert mail["html"].startswith("<!doctype html>")


def test_settings_are_in_the_messages(tmp_path: Path) -> None:
    env_file = tmp_path / "team.env"
    env_file.write_text(
        "GRAFANA_PORT=13001\nRUNBOOK_BASE_URL=https://wiki.example/runbooks\n"
        "RUNBOOK_KILL_SWITCH=botctl halt --all\nRUNBOOK_CONTACTS=Ada, +49 30 1\n"
        "ALERTMANAGER_SMTP_HOST=mail.example\nALERTMANAGER_EMAIL_FROM=bot@example.org\n"
        "ALERTMANAGER_EMAIL_TO=ops@example.org\n",
        encoding="utf-8",
    )
    done = stackctl(
        "--env-file", str(env_file), "alerts", "preview", "TradingHalted", "--channel", "email"
    )
    assert done.returncode == 0, done.stderr
    assert "critical-alerts: e-mail to ops@example.org\n" in done.stdout
    assert "Stop trading: botctl halt --all" in done.stdout
    assert "Who to call: Ada, +49 30 1" in done.stdout
    assert "https://wiki.example/runbooks/TRADING_HALTED_RUNBOOK.md" in done.stdout
    assert ":13001/d/trading-performance" in done.stdout
    assert "Slack" not in done.stdout


def test_e_mails_are_written_as_a_page_and_only_where_there_are_any(tmp_path: Path) -> None:
    page = tmp_path / "mail.html"
    done = stackctl("alerts", "preview", "TradingHalted", "--html", str(page))
    assert done.returncode == 0, done.stderr
    text = page.read_text("utf-8")
    assert text.count("<iframe sandbox") == 2
    assert "critical-alerts, resolved: [CRITICAL] Resolved: TradingHalted" in text
    assert "&lt;!doctype html&gt;" in text
    none = tmp_path / "none.html"
    done = stackctl("alerts", "preview", "NoActiveUsers", "--channel", "slack", "--html", str(none))
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "sends no e-mails" in done.stderr
    assert not none.exists()


def test_an_alert_that_notifies_nobody_says_so() -> None:
    done = stackctl("alerts", "preview", "InhibitorCause")
    assert "InhibitorCause sends no messages." in done.stdout, done.stderr


def test_the_watchdog_calls_the_dead_mans_switch() -> None:
    done = stackctl("alerts", "preview", "Watchdog")
    assert "dead-mans-switch: dead man's switch (not configured)" in done.stdout, done.stderr
    assert "firing: in Alertmanager's own format" in done.stdout
    assert "resolved" not in done.stdout


def test_a_broken_template_is_named_with_amtools_reason(tmp_path: Path) -> None:
    shutil.copytree(paths.monitoring() / "alertmanager" / "templates", tmp_path / "templates")
    template = tmp_path / "templates" / "slack.tmpl"
    text = template.read_text("utf-8")
    template.write_text(text.replace("stackctl.slack.color", "stackctl.slack.colour"), "utf-8")
    settings = load(environ={})
    image = references(settings, "local", PLAN)["alertmanager"]
    with pytest.raises(
        StackctlError, match=r'template "stackctl.slack.color" not defined'
    ) as caught:
        preview(Engine("stackctl-preview"), image, settings, tmp_path, example("TradingHalted"))
    assert "alertmanager/templates" in "".join(caught.value.lines)
