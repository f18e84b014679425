"""What `stackctl alerts` and `reload` make of the programs' answers."""

from __future__ import annotations

import datetime as dt

import pytest

from stackctl.alerts import active
from stackctl.clients.alertmanager import Alert as Received
from stackctl.clients.prometheus import Alert as Held
from stackctl.clients.prometheus import Rule, RuleGroup
from stackctl.lifecycle import reload
from tests.support.cli import run_here

NOW = dt.datetime(2026, 11, 23, 12, tzinfo=dt.UTC)


def held(name: str, state: str = "firing", **labels: str) -> Held:
    return Held.model_validate(
        {"labels": {"alertname": name, **labels}, "state": state, "activeAt": NOW}
    )


def received(
    name: str, *, silenced: bool = False, inhibited: bool = False, **labels: str
) -> Received:
    return Received.model_validate(
        {
            "labels": {"alertname": name, "cluster": "bot-core", **labels},
            "startsAt": NOW,
            "endsAt": NOW,
            "status": {
                "state": "active",
                "silencedBy": ["s"] if silenced else [],
                "inhibitedBy": ["a"] if inhibited else [],
            },
            "receivers": [{"name": "default"}],
        }
    )


def test_an_alert_is_found_in_alertmanager_by_its_labels() -> None:
    rows = active.active(
        [
            held("A", service="x"),
            held("A", service="y"),
            held("B", "pending"),
            held("C", "inactive"),
        ],
        [received("A", service="x"), received("A", service="z")],
    )
    assert [(row.name, row.service, row.state, row.receivers) for row in rows] == [
        ("A", "x", "firing", ("default",)),
        ("A", "y", "firing", ()),
        ("A", "z", "firing", ("default",)),
        ("B", "", "pending", ()),
    ]


def test_what_others_send_to_alertmanager_is_there_with_its_state() -> None:
    rows = active.active(
        [held("A", service="x")],
        [
            received("A", service="x"),
            received("PanicLogged", severity="critical", service="rust-core-engine"),
            received("ErrorLogBurst", silenced=True),
            received("LogsMissing", inhibited=True),
        ],
    )
    assert [(row.name, row.severity, row.state, row.since, row.receivers) for row in rows] == [
        ("A", "", "firing", NOW, ("default",)),
        ("PanicLogged", "critical", "firing", NOW, ("default",)),
        ("ErrorLogBurst", "", "silenced", NOW, ("default",)),
        ("LogsMissing", "", "inhibited", NOW, ("default",)),
    ]


def test_an_alert_that_prometheus_holds_is_not_there_twice() -> None:
    (row,) = active.active([held("A", "pending")], [received("A")])
    assert (row.state, row.receivers) == ("pending", ("default",))


def test_what_notifies_nobody_is_said_and_comes_last() -> None:
    rows = active.active(
        [held("A"), held("B"), held("C", "pending"), held("D")],
        [received("A", silenced=True), received("B", inhibited=True), received("D")],
    )
    assert [(row.name, row.state) for row in rows] == [
        ("D", "firing"),
        ("C", "pending"),
        ("A", "silenced"),
        ("B", "inhibited"),
    ]


def test_rules_are_counted_by_group() -> None:
    def rule(kind: str, severity: str, state: str) -> Rule:
        return Rule.model_validate(
            {
                "name": "R",
                "query": "up",
                "type": kind,
                "health": "ok",
                "state": state,
                "labels": {"severity": severity},
            }
        )

    group = RuleGroup(
        name="g",
        file="f",
        interval=15,
        rules=[
            rule("alerting", "critical", "firing"),
            rule("alerting", "critical", "inactive"),
            rule("alerting", "info", "pending"),
            rule("recording", "", ""),
        ],
    )
    records = RuleGroup(name="r", file="f", interval=15, rules=[rule("recording", "", "")])
    (row,) = active.count([group, records])
    assert row.group == "g"
    assert row.severities == {"critical": 2, "info": 1}
    assert row.states == {"firing": 1, "inactive": 1, "pending": 1}


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["silence", "add", "A", "--for", "87601h"], "is longer than 10y"),
        (["silence", "add", "A", "--for", f"{'9' * 18}h"], "at most 292 years is expected"),
        (["silence", "add", "A", "--for", f"{'9' * 5000}h"], "at most 292 years is expected"),
        (["silence", "A", "--for", "1h"], "has no command 'A'"),
        (["--format", "json", "rules"], "--format before 'rules' applies to active alerts"),
    ],
)
def test_wrong_usage_is_told_before_anybody_is_asked(arguments: list[str], says: str) -> None:
    done = run_here("alerts", *arguments)
    assert done.returncode == 2
    assert says in done.stderr
    assert "Traceback" not in done.stderr


def test_which_service_reads_which_file() -> None:
    changed = ("prometheus/alerts/ai.yml", "blackbox/blackbox.yml", "grafana/dashboards/a.json")
    assert reload.reloadable(changed) == ["prometheus", "blackbox-exporter"]
    assert reload.waiting(changed) == []
    targets = ["prometheus/targets/binance.yml"]
    assert reload.reloadable(targets) == []
    assert reload.unattended(targets) == targets
    assert reload.waiting(["loki/loki-config.yml"]) == ["loki/loki-config.yml"]
