"""The rendered configuration through the real promtool and amtool, and the routing table."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from pathlib import Path

import pytest
import yaml

from stackctl import settings
from stackctl.stack import bundle
from stackctl.stack.render import CHANNELS, render
from stackctl.stack.secrets import Secrets
from stackctl.stack.state import State, open_state
from tests.support.tools import tool

pytestmark = pytest.mark.docker

CHANNEL_SETTINGS = {
    "Slack": {"ALERTMANAGER_SLACK_WEBHOOK_URL": "https://hooks.example.org/x"},
    "PagerDuty": {"ALERTMANAGER_PAGERDUTY_KEY": "0123456789abcdef0123456789abcdef"},
    "e-mail": {
        "ALERTMANAGER_SMTP_HOST": "smtp.example.org",
        "ALERTMANAGER_EMAIL_FROM": "a@example.org",
        "ALERTMANAGER_EMAIL_TO": "b@example.org",
    },
}
SUBSETS = [
    names for size in range(len(CHANNELS) + 1) for names in itertools.combinations(CHANNELS, size)
]


@pytest.fixture(autouse=True)
def _own_state(state_dir: Path, clean_environment: pytest.MonkeyPatch) -> None:
    """A state folder and an environment of this test's own."""


def rendered(environ: Mapping[str, str] | None = None, *, demo: bool = True) -> State:
    found = settings.load(environ=environ or {})
    state = open_state(found.project)
    render(found, Secrets(found, state), state, images={}, demo=demo)
    return state


@pytest.mark.parametrize(
    "environ", [{}, {"STACKCTL_KUBERNETES": "true", "BINANCE_API_URL": "https://api.example.org"}]
)
def test_promtool_takes_the_rendered_prometheus_configuration(environ: dict[str, str]) -> None:
    # The files that the kubernetes jobs name are there only inside a cluster, so its syntax alone is checked.
    state = rendered(environ)
    done = tool(
        "promtool",
        "check",
        "config",
        "--syntax-only",
        "prometheus.yml",
        folder=state.config / "prometheus",
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("demo", [True, False], ids=["demo", "no demo"])
@pytest.mark.parametrize("channels", SUBSETS, ids=lambda names: "+".join(names) or "none")
def test_amtool_takes_the_configuration_with_any_channels(
    channels: tuple[str, ...], demo: bool
) -> None:
    environ = {
        name: value for channel in channels for name, value in CHANNEL_SETTINGS[channel].items()
    }
    done = tool(
        "amtool",
        "check-config",
        "alertmanager.yml",
        folder=rendered(environ, demo=demo).config / "alertmanager",
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_file_in_the_checkout_is_valid_as_it_is() -> None:
    done = tool(
        "amtool", "check-config", "alertmanager.yml", folder=bundle.monitoring() / "alertmanager"
    )
    assert done.returncode == 0, done.stdout + done.stderr


ROUTES = [
    ({"severity": "critical", "component": "infrastructure"}, "critical-alerts,default"),
    ({"severity": "critical", "component": "trading"}, "critical-alerts,default,trading-team"),
    ({"severity": "critical", "component": "ai"}, "critical-alerts,default,ai-team"),
    ({"severity": "critical", "component": "database"}, "critical-alerts,default,dba-team"),
    ({"severity": "warning", "component": "infrastructure"}, "warning-alerts,business-hours"),
    ({"severity": "warning", "component": "trading"}, "warning-alerts,business-hours,trading-team"),
    ({"severity": "warning", "component": "ai"}, "warning-alerts,business-hours,ai-team"),
    ({"severity": "warning", "component": "database"}, "warning-alerts,business-hours,dba-team"),
    ({"severity": "info", "component": "trading"}, "log-only"),
    ({"severity": "info", "component": "application"}, "log-only"),
    ({"component": "application"}, "default"),
]


@pytest.mark.parametrize(
    ("labels", "receivers"), ROUTES, ids=lambda value: value if isinstance(value, str) else ""
)
def test_every_alert_reaches_its_severitys_and_its_teams_channel(
    labels: dict[str, str], receivers: str
) -> None:
    pairs = [f"{name}={value}" for name, value in labels.items()]
    done = tool(
        "amtool",
        "config",
        "routes",
        "test",
        "--config.file=alertmanager.yml",
        f"--verify.receivers={receivers}",
        *pairs,
        folder=rendered().config / "alertmanager",
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_inhibition_names_alerts_that_exist() -> None:
    config = yaml.safe_load((bundle.monitoring() / "alertmanager" / "alertmanager.yml").read_text())
    alerts = {
        rule["alert"]: rule["labels"]["severity"]
        for path in (bundle.monitoring() / "prometheus" / "alerts").glob("*.yml")
        for group in yaml.safe_load(path.read_text())["groups"]
        for rule in group["rules"]
    }
    for rule in config["inhibit_rules"]:
        (source,) = rule["source_matchers"]
        assert alerts[source.removeprefix("alertname = ")] == "critical"
        for target in rule["target_matchers"]:
            operator, names = target.removeprefix("alertname ").split(" ", 1)
            for name in names.strip('"').split("|"):
                assert name in alerts
                assert operator == "!=" or alerts[name] == "warning"
