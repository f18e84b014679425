"""The rendered configuration through the real promtool and amtool, and the routing table."""

from __future__ import annotations

import calendar
import datetime as dt
import json
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import yaml

from stackctl.config.load import load as load_settings
from stackctl.project.monitored import monitored_services
from stackctl.project.secrets import Secrets
from stackctl.project.state import StateFolder, open_state
from stackctl.render.configuration import render
from stackctl.services.channels import CHANNELS, Channel
from stackctl.util import paths
from tests.support.channels import SUBSETS, environment, names
from tests.support.tools import tool

pytestmark = pytest.mark.docker


@pytest.fixture(autouse=True)
def _own_state(state_dir: Path, clean_environment: pytest.MonkeyPatch) -> None:
    """A state folder and an environment of this test's own."""


def rendered(environ: Mapping[str, str] | None = None, *, demo: bool = True) -> StateFolder:
    found = load_settings(environ=environ or {})
    state = open_state(found.project)
    render(
        found, Secrets(found, state), state, images={}, present=monitored_services(found, demo=demo)
    )
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
@pytest.mark.parametrize("channels", SUBSETS, ids=names)
def test_amtool_takes_the_configuration_with_any_channels(
    channels: tuple[Channel, ...], demo: bool
) -> None:
    done = tool(
        "amtool",
        "check-config",
        "alertmanager.yml",
        folder=rendered(environment(channels), demo=demo).config / "alertmanager",
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_file_in_the_checkout_is_valid_as_it_is() -> None:
    done = tool(
        "amtool", "check-config", "alertmanager.yml", folder=paths.monitoring() / "alertmanager"
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


@pytest.mark.parametrize("severity", BY_SEVERITY)
def test_every_alert_reaches_its_severitys_and_its_teams_channel(severity: str) -> None:
    folder = rendered().config / "alertmanager"

    def route(component: str) -> str:
        """Give what amtool says is wrong; nothing if it is right."""
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
        )
        return "" if done.returncode == 0 else f"{component}: {done.stdout}{done.stderr}"

    assert set(BY_COMPONENT) <= set(COMPONENTS)
    with ThreadPoolExecutor(2) as pool:
        assert [wrong for wrong in pool.map(route, COMPONENTS) if wrong] == []


def test_an_alert_without_a_severity_is_not_lost() -> None:
    done = tool(
        "amtool",
        "config",
        "routes",
        "test",
        "--config.file=alertmanager.yml",
        "--verify.receivers=default",
        "component=application",
        folder=rendered().config / "alertmanager",
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
    config = yaml.safe_load((rendered().config / "alertmanager" / "alertmanager.yml").read_text())
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
    """Tell whether a time interval of Alertmanager has this moment; the end of a time range is not in it.

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


def alert(number: int, severity: str, *, resolved: bool) -> dict[str, object]:
    return {
        "status": "resolved" if resolved else "firing",
        "labels": {"severity": severity, "service": "kong", "instance": f"kong:{number}"},
        "annotations": {
            "summary": f"Summary {number}",
            "description": f"{number} < 6 & more",
            **SHARED_ANNOTATIONS,
        },
        "startsAt": "2026-11-23T12:00:00Z",
        "endsAt": "2026-11-23T12:05:00Z" if resolved else "0001-01-01T00:00:00Z",
        "generatorURL": "http://localhost:9090/graph",
        "fingerprint": f"{number}",
    }


RUNBOOK = "https://example.org/RUNBOOK.md"
BOARD = "http://localhost:3001/d/api-performance"
SHARED_ANNOTATIONS = {"runbook_url": RUNBOOK, "dashboard": "/d/api-performance"}
BETWEEN = "\n=-=-=\n"


def templates(node: object, path: str = "") -> Iterator[tuple[str, str]]:
    """Give every text with a template in it, by where it is below the receivers."""
    if isinstance(node, dict):
        for key, value in node.items():
            yield from templates(value, f"{path}.{key}")
    elif isinstance(node, list):
        for value in node:
            name = value.get("name", "") if isinstance(value, dict) else ""
            yield from templates(value, f"{path}.{name}" if name else path)
    elif isinstance(node, str) and "{{" in node:
        yield path.removeprefix("."), node


@pytest.mark.parametrize("severity", ["critical", "warning"])
@pytest.mark.parametrize("resolved", [False, True], ids=["firing", "resolved"])
def test_every_text_of_a_notification_says_what_it_should(severity: str, resolved: bool) -> None:
    folder = rendered(environment(CHANNELS)).config / "alertmanager"
    config = yaml.safe_load((folder / "alertmanager.yml").read_text())
    texts = dict(templates(config["receivers"]))
    data = {
        "receiver": "default",
        "status": "resolved" if resolved else "firing",
        "alerts": [alert(number, severity, resolved=resolved) for number in (1, 2)],
        "groupLabels": {"alertname": "GatewaySlow", "service": "kong", "severity": severity},
        "commonLabels": {"severity": severity, "service": "kong"},
        "commonAnnotations": SHARED_ANNOTATIONS,
        "externalURL": "http://localhost:9093",
    }
    (folder / "data.json").write_text(json.dumps(data))

    def said(names: list[str], kind: str) -> dict[str, str]:
        done = tool(
            "amtool",
            "template",
            "render",
            "--template.glob=templates/*.tmpl",
            f"--template.text={BETWEEN.join(texts[name] for name in names)}",
            f"--template.type={kind}",
            "--template.data=data.json",
            folder=folder,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return dict(zip(names, done.stdout.rstrip("\n").split(BETWEEN), strict=True))

    # Alertmanager itself treats what it mails as HTML, and nothing else.
    html = [name for name in texts if name.endswith(".html")]
    found = said([name for name in texts if name not in html], "text") | said(html, "html")

    title = f"{'Resolved: ' if resolved else ''}GatewaySlow on kong (2)"
    color = "good" if resolved else {"critical": "danger", "warning": "warning"}[severity]
    pager = "critical-alerts.pagerduty_configs"
    exact = {
        f"{pager}.description": title,
        f"{pager}.details.firing": "0" if resolved else "2",
        f"{pager}.details.resolved": "2" if resolved else "0",
        f"{pager}.details.description": "1 < 6 & more\n2 < 6 & more\n",
        f"{pager}.details.runbook": RUNBOOK,
        f"{pager}.details.dashboard": BOARD,
        "critical-alerts.email_configs.headers.Subject": f"[CRITICAL] {title}",
        "business-hours.email_configs.headers.Subject": f"[BOT-CORE] {title}",
    }
    for name, text in found.items():
        assert "<no value>" not in text, name
        kind = name.rpartition(".")[2]
        if kind == "color":
            assert text == color, name
        elif kind == "title":
            assert text.endswith(f" {title}") or text == title, name
        elif kind == "text":
            for number in (1, 2):
                assert f"*Summary {number}*\n{number} < 6 & more\nSeverity: {severity}" in text, (
                    name
                )
            assert text.count(f"<{RUNBOOK}|Runbook>") == text.count(f"<{BOARD}|Dashboard>") == 2
        elif kind == "html":
            assert f"<h2>{title}</h2>" in text, name
            assert "<strong>Summary 2</strong><br>\n2 &lt; 6 &amp; more<br>" in text, name
            assert f'<a href="{RUNBOOK}">Runbook</a> <a href="{BOARD}">Dashboard</a>' in text, name
        else:
            assert text.strip() == exact.pop(name).strip(), name
    assert exact == {}
    assert {"color", "title", "text", "html"} <= {name.rpartition(".")[2] for name in found}


def test_inhibition_names_alerts_that_exist() -> None:
    config = yaml.safe_load((paths.monitoring() / "alertmanager" / "alertmanager.yml").read_text())
    alerts = {
        rule["alert"]: rule["labels"]["severity"]
        for path in (paths.monitoring() / "prometheus" / "alerts").glob("*.yml")
        for group in yaml.safe_load(path.read_text())["groups"]
        for rule in group["rules"]
    }
    for rule in config["inhibit_rules"]:
        (source,) = named(rule["source_matchers"])
        assert alerts[source] == "critical"
        for target in rule["target_matchers"]:
            for name in named([target]):
                assert name in alerts
                assert "!=" in target or alerts[name] == "warning"


def named(matchers: list[str]) -> list[str]:
    """Give the alerts that the matchers of an inhibition rule name."""
    values = [
        one.partition(" ")[2].lstrip("=!~ ") for one in matchers if one.startswith("alertname ")
    ]
    return [name for value in values for name in value.strip('"').split("|")]
