"""The rendered configuration through the real promtool and amtool, and the routing table."""

from __future__ import annotations

import calendar
import datetime as dt
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import yaml

from stackctl.project.state import StateFolder
from stackctl.services.channels import Channel
from stackctl.services.releases import Releases
from stackctl.util import paths
from tests.support.channels import SUBSETS, environment, names
from tests.support.rendering import rendered_state
from tests.support.tools import RELEASES, tool

pytestmark = pytest.mark.docker


@pytest.fixture(autouse=True)
def _own_state(state_dir: Path, clean_environment: pytest.MonkeyPatch) -> None:
    """A state folder and an environment of this test's own."""


@pytest.mark.parametrize("releases", RELEASES)
@pytest.mark.parametrize(
    "environ", [{}, {"STACKCTL_KUBERNETES": "true", "BINANCE_API_URL": "https://api.example.org"}]
)
def test_promtool_takes_the_rendered_prometheus_configuration(
    environ: dict[str, str], releases: Releases
) -> None:
    # The files that the kubernetes jobs name are there only inside a cluster, so its syntax alone is checked.
    state = rendered_state(environ, releases=releases)
    done = tool(
        "promtool",
        "check",
        "config",
        "--syntax-only",
        "prometheus.yml",
        folder=state.config / "prometheus",
        releases=releases,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("demo", [True, False], ids=["demo", "no demo"])
@pytest.mark.parametrize("channels", SUBSETS, ids=names)
def test_amtool_takes_the_configuration_with_any_channels(
    channels: tuple[Channel, ...], demo: bool
) -> None:
    done = tool(
        "amtool",
        "check-config",
        "alertmanager.yml",
        folder=rendered_state(environment(channels), demo=demo).config / "alertmanager",
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("releases", RELEASES)
def test_the_file_in_the_checkout_is_valid_as_it_is(releases: Releases) -> None:
    done = tool(
        *("amtool", "check-config", "alertmanager.yml"),
        folder=paths.monitoring() / "alertmanager",
        releases=releases,
    )
    assert done.returncode == 0, done.stdout + done.stderr


BY_SEVERITY = {
    "critical": ["critical-alerts", "default"],
    "warning": ["warning-alerts", "business-hours"],
    "info": ["log-only"],
}
BY_COMPONENT = {"trading": "trading-team", "ai": "ai-team", "database": "dba-team"}
COMPONENTS = sorted(
    {
        rule["labels"]["component"]
        for folder in ("prometheus/alerts", "loki/rules/fake")
        for path in (paths.monitoring() / folder).glob("*.yml")
        for group in yaml.safe_load(path.read_text())["groups"]
        for rule in group["rules"]
    }
)
"""Every component that some alert carries."""


@pytest.mark.parametrize("releases", RELEASES)
@pytest.mark.parametrize("severity", BY_SEVERITY)
def test_every_alert_reaches_its_severitys_and_its_teams_channel(
    severity: str, releases: Releases
) -> None:
    folder = rendered_state(releases=releases).config / "alertmanager"

    def route(component: str) -> str:
        """Return what amtool says is wrong; nothing if it is right."""
        receivers = list(BY_SEVERITY[severity])
        if severity != "info" and component in BY_COMPONENT:
            receivers.append(BY_COMPONENT[component])
        done = tool(
            "amtool",
            "config",
            "routes",
            "test",
            "--config.file=alertmanager.yml",
            f"--verify.receivers={','.join(receivers)}",
            f"severity={severity}",
            f"component={component}",
            folder=folder,
            releases=releases,
        )
        return "" if done.returncode == 0 else f"{component}: {done.stdout}{done.stderr}"

    assert set(BY_COMPONENT) <= set(COMPONENTS)
    with ThreadPoolExecutor(2) as pool:
        assert [wrong for wrong in pool.map(route, COMPONENTS) if wrong] == []


@pytest.mark.parametrize(
    ("labels", "receivers"),
    [
        ("alertname=Watchdog severity=none component=pipeline", "dead-mans-switch"),
        ("alertname=ServiceGone severity=none service=rust-core-engine", "log-only"),
        (
            "alertname=ServiceDown severity=critical component=infrastructure service=rust-core-engine",
            "critical-alerts,default,trading-team",
        ),
        (
            "alertname=ServiceDown severity=critical component=infrastructure service=mongodb",
            "critical-alerts,default,dba-team",
        ),
        (
            "alertname=HighErrorRate severity=critical component=application service=python-ai-service",
            "critical-alerts,default,ai-team",
        ),
        (
            "alertname=TradingHalted severity=critical component=trading service=rust-core-engine",
            "critical-alerts,default,trading-team",
        ),
        (
            "alertname=MongoDBSlowQueries severity=warning component=database service=rust-core-engine",
            "warning-alerts,business-hours,dba-team,trading-team",
        ),
    ],
)
def test_a_service_reaches_its_team_and_the_watchdog_no_person(labels: str, receivers: str) -> None:
    done = tool(
        "amtool",
        "config",
        "routes",
        "test",
        "--config.file=alertmanager.yml",
        f"--verify.receivers={receivers}",
        *labels.split(),
        folder=rendered_state().config / "alertmanager",
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("demo", [True, False], ids=["demo", "no demo"])
def test_the_dead_mans_switch_is_called_by_its_secret_file_alone(demo: bool) -> None:
    url = "https://hc-ping.com/6d7c2b4e-secret"
    given = rendered_state({"ALERTMANAGER_DEAD_MANS_SWITCH_URL": url}, demo=demo)

    def receiver(state: StateFolder) -> dict[str, Any]:
        text = (state.config / "alertmanager" / "alertmanager.yml").read_text(encoding="utf-8")
        assert url not in text
        (found,) = (
            one for one in yaml.safe_load(text)["receivers"] if one["name"] == "dead-mans-switch"
        )
        return dict(found)

    (webhook,) = receiver(given)["webhook_configs"]
    assert webhook == {"url_file": "/run/secrets/dead_mans_switch_url", "send_resolved": False}
    assert (given.secrets / "dead_mans_switch_url").read_text(encoding="utf-8") == url
    done = tool("amtool", "check-config", "alertmanager.yml", folder=given.config / "alertmanager")
    assert done.returncode == 0, done.stdout + done.stderr
    assert receiver(rendered_state(demo=demo)) == {"name": "dead-mans-switch"}


def test_an_alert_without_a_severity_is_not_lost() -> None:
    done = tool(
        "amtool",
        "config",
        "routes",
        "test",
        "--config.file=alertmanager.yml",
        "--verify.receivers=default",
        "component=application",
        folder=rendered_state().config / "alertmanager",
    )
    assert done.returncode == 0, done.stdout + done.stderr


HOURS = {
    "2026-11-23 08:59": False,  # a Monday
    "2026-11-23 09:00": True,
    "2026-11-24 12:00": True,
    "2026-11-27 16:59": True,  # a Friday
    "2026-11-27 17:00": False,
    "2026-11-27 23:00": False,
    "2026-11-28 12:00": False,
    "2026-11-29 12:00": False,
    "2026-11-30 00:00": False,
}


@pytest.mark.parametrize("moment", HOURS)
def test_warnings_are_mailed_in_business_hours_alone(moment: str) -> None:
    config = yaml.safe_load(
        (rendered_state().config / "alertmanager" / "alertmanager.yml").read_text()
    )
    (hours,) = config["time_intervals"]
    limited = {
        route["receiver"]: route["active_time_intervals"]
        for route in config["route"]["routes"]
        if "active_time_intervals" in route or "mute_time_intervals" in route
    }
    assert limited == {"business-hours": [hours["name"]]}
    at = dt.datetime.fromisoformat(moment).replace(tzinfo=dt.UTC)
    assert any(covers(interval, at) for interval in hours["time_intervals"]) == HOURS[moment]


def covers(interval: Mapping[str, Any], moment: dt.datetime) -> bool:
    """Return whether a time interval of Alertmanager has this moment; the end of a time range is not in it.

    See prometheus.io/docs/alerting/latest/configuration, time_interval; of its fields the three that are used here.
    """
    assert set(interval) == {"weekdays", "times", "location"}
    local = moment.astimezone(ZoneInfo(interval["location"]))
    clock = f"{local:%H:%M}"
    days = [calendar.day_name[index].lower() for index in range(7)]
    ranges = [one.partition(":") for one in interval["weekdays"]]
    on = any(
        days.index(first) <= local.weekday() <= days.index(last or first)
        for first, _, last in ranges
    )
    return on and any(one["start_time"] <= clock < one["end_time"] for one in interval["times"])
