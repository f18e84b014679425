"""What each channel gets, rendered by the real amtool: golden files, hostile text, and links that lead somewhere.

`UPDATE_GOLDEN=1 pytest tests/config/test_messages.py` rewrites the golden files.
"""

from __future__ import annotations

import datetime as dt
import json
import os
import re
import shutil
from collections.abc import Iterable, Mapping
from html import unescape
from html.parser import HTMLParser
from itertools import product
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import pytest
import yaml

from stackctl.config.load import load as load_settings
from stackctl.project.monitored import monitored_services
from stackctl.project.state import StateFolder
from stackctl.render.configuration import write_configuration
from stackctl.render.preview import template_texts
from stackctl.render.promql import metric_names
from stackctl.render.prune import recorded
from stackctl.services.releases import PLAN
from stackctl.util import paths
from tests.support.tools import outputs

pytestmark = pytest.mark.docker

GOLDEN = Path(__file__).parent / "golden"
ALERTMANAGER = paths.monitoring() / "alertmanager"
CONFIG: dict[str, Any] = yaml.safe_load((ALERTMANAGER / "alertmanager.yml").read_text("utf-8"))
CHANNELS = {"slack": "slack_configs", "pagerduty": "pagerduty_configs", "email": "email_configs"}
SLACK_LIMIT = 40_000
"""Characters at which Slack truncates a message (docs.slack.dev/changelog/2018-truncating-really-long-messages)."""
HTML_TAGS = {"html", "body", "h2", "h3", "p", "strong", "br", "a"}
PAGERDUTY_LIMIT = 512_000
"""Bytes of an event (developer.pagerduty.com/docs/events-api-v2/trigger-events)."""

BEGAN = dt.datetime(2026, 11, 23, 12, 0, 5, tzinfo=dt.UTC)
LASTED = dt.timedelta(hours=1, minutes=5)
RUNBOOK = "https://github.com/bot-core/bot-core/blob/main/docs/runbooks/HIGH_ERROR_RATE_RUNBOOK.md"


def alert(number: int, *, resolved: bool) -> dict[str, Any]:
    labels = {
        "alertname": "EndpointFailing",
        "cluster": "bot-core",
        "component": "application",
        "endpoint": f"/api/orders/{number}",
        "job": "rust-core-engine",
        "method": "GET",
        "service": "rust-core-engine",
        "severity": "critical",
    }
    return {
        "status": "resolved" if resolved else "firing",
        "labels": labels,
        "annotations": {
            "summary": f"GET /api/orders/{number} of rust-core-engine is broken",
            "description": f"62.5% of the requests to GET /api/orders/{number} fail, above 50 % for 5 minutes.",
            "runbook_url": RUNBOOK,
            "dashboard": "/d/api-performance",
        },
        "startsAt": BEGAN.isoformat(),
        "endsAt": (BEGAN + LASTED).isoformat() if resolved else "0001-01-01T00:00:00Z",
        "generatorURL": "http://127.0.0.1:9090/graph?g0.expr=a+%2F+b+%3E+0.5&g0.tab=1",
        "fingerprint": f"{number:016x}",
    }


def group(alerts: list[dict[str, Any]]) -> dict[str, Any]:
    """Return a notification's data as Alertmanager makes it of alerts."""
    labels = common(one["labels"] for one in alerts)
    firing = any(one["status"] == "firing" for one in alerts)
    return {
        "receiver": "critical-alerts",
        "status": "firing" if firing else "resolved",
        "alerts": alerts,
        "groupLabels": {k: v for k, v in labels.items() if k in {"alertname", "service"}},
        "commonLabels": labels,
        "commonAnnotations": common(one["annotations"] for one in alerts),
        "externalURL": "http://127.0.0.1:9093",
    }


def common(many: Iterable[Mapping[str, str]]) -> dict[str, str]:
    first, *others = many
    return {k: v for k, v in first.items() if all(one.get(k) == v for one in others)}


def sized(number: int, state: str) -> dict[str, Any]:
    """Return a group of so many alerts; of a mixed one the second half is resolved."""
    resolved = {"firing": number, "resolved": 0, "mixed": (number + 1) // 2}[state]
    return group([alert(one, resolved=one >= resolved) for one in range(number)])


CASES = {
    f"{name}-{state}": sized(number, state)
    for name, number in {"one": 1, "five": 5, "fifty": 50}.items()
    for state in ("firing", "resolved", "mixed")
    if (name, state) != ("one", "mixed")
}


def rendered(
    named: Mapping[str, str],
    data: Mapping[str, dict[str, Any]],
    folder: Path,
    templates: Path = ALERTMANAGER / "templates",
) -> dict[str, dict[str, str]]:
    """Let amtool render texts with each of the data: name of the data → name of the text → what it becomes.

    Alertmanager treats what it mails as HTML, and nothing else.
    """
    shutil.copytree(templates, folder / "templates", dirs_exist_ok=True)
    places = [(case, name) for case in data for name in named]
    for case, content in data.items():
        (folder / f"{case}.json").write_text(json.dumps(content), encoding="utf-8")
    calls = [
        [
            *("template", "render", "--template.glob=templates/*.tmpl"),
            f"--template.text={named[name]}",
            f"--template.type={'html' if name.rpartition('.')[2] == 'html' else 'text'}",
            f"--template.data={case}.json",
        ]
        for case, name in places
    ]
    found: dict[str, dict[str, str]] = {case: {} for case in data}
    for (case, name), text in zip(places, outputs("amtool", calls, folder=folder), strict=True):
        found[case][name] = text
    return found


def of_channel(channel: str) -> dict[str, str]:
    """Return the texts of a channel, as the receiver has them that has every channel."""
    (receiver,) = (one for one in CONFIG["receivers"] if one["name"] == "critical-alerts")
    return dict(template_texts(receiver[CHANNELS[channel]][0]))


@pytest.mark.parametrize("channel", CHANNELS)
def test_messages_are_those_of_the_golden_files(channel: str, tmp_path: Path) -> None:
    found = {
        f"{channel}-{case}.txt": "".join(
            f"[{name}]\n{text.rstrip()}\n\n" for name, text in said.items()
        )
        for case, said in rendered(of_channel(channel), CASES, tmp_path).items()
    }
    if os.environ.get("UPDATE_GOLDEN"):
        for name, text in found.items():
            (GOLDEN / name).write_text(text, encoding="utf-8")
    kept = {path.name: path.read_text("utf-8") for path in GOLDEN.glob(f"{channel}-*.txt")}
    assert found == kept


HOSTILE = "<!channel> <@U1> & \"quoted\" 'single' {{ .Status }} *bold* \\ %22 ü 行\n<script>alert(1)</script>|x>"


def hostile(number: int, *, resolved: bool) -> dict[str, Any]:
    """Return an alert whose texts are long and mean harm, and whose links are none."""
    made = alert(number, resolved=resolved)
    made["labels"] = {
        name: f"{HOSTILE}{number if name == 'instance' else ''}"
        for name in (*made["labels"], "instance")
    }
    made["annotations"] = {
        "summary": HOSTILE * 50,
        "description": HOSTILE * 500,
        "runbook_url": "javascript:alert(1)" if number % 2 else "https://example.org/<a|b>&c",
        "dashboard": "/d/../<!here>" if number % 2 else "//evil.example",
    }
    made["generatorURL"] = (
        "javascript:alert(1)" if number % 2 else "https://example.org/<a|b>&" + 3000 * "x"
    )
    return made


EDGES = {
    "hostile": group([hostile(one, resolved=one % 2 == 0) for one in range(50)]),
    "bare": group(
        [
            {
                **alert(1, resolved=False),
                "labels": {"alertname": "Bare"},
                "annotations": {},
                "generatorURL": "",
            },
            {**alert(2, resolved=True), "labels": {"severity": "unheard of"}, "annotations": {}},
        ]
    ),
}


def test_every_text_of_every_receiver_renders_whatever_the_alerts_are(tmp_path: Path) -> None:
    named = dict(template_texts(CONFIG["receivers"]))
    assert len(named) > 30
    for case, said in rendered(named, EDGES | {"five": CASES["five-mixed"]}, tmp_path).items():
        for name, text in said.items():
            assert "<no value>" not in text, (case, name)
            if ".slack_configs." in name:
                # What is left of <…> are links, and colons of a mention never follow.
                assert re.sub(r"<https?://[^<>|\s]+\|\w+>", "", text).count("<") == 0, (case, name)
                assert not re.search(r"&(?!amp;|lt;|gt;)", text), (case, name)
                assert len(text) < SLACK_LIMIT, (case, name, len(text))
            if name.endswith(".html"):
                assert parsed(text).tags <= HTML_TAGS
                for link in parsed(text).links:
                    assert urlsplit(link).scheme in {"", "http", "https"}, link
        pagerduty = [text for name, text in said.items() if ".pagerduty_configs." in name]
        assert pagerduty
        assert sum(len(text.encode()) for text in pagerduty) < PAGERDUTY_LIMIT


class _Page(HTMLParser):
    """The tags and links of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.links += [value or "" for name, value in attrs if name == "href"]


def parsed(html: str) -> _Page:
    page = _Page()
    page.feed(html)
    return page


def test_links_lead_to_the_panel_at_the_alerts_time_and_to_a_filled_in_silence(
    tmp_path: Path,
) -> None:
    odd = alert(1, resolved=False)
    odd["labels"] |= {"endpoint": 'a "b" & c+d, e=~f {g} 行', "instance": "[::1]:80"}
    ended = alert(2, resolved=True)
    named = of_channel("email") | {"slack": '{{ template "stackctl.slack.text" . }}'}
    said = rendered(named, {"odd": group([odd, ended])}, tmp_path)["odd"]
    in_slack = [one.replace("&amp;", "&") for one in re.findall(r"<(http[^|>]+)\|", said["slack"])]
    in_text = re.findall(r"(?:Dashboard|Silence): (\S+)", said["text"])
    for links in (in_slack, in_text, parsed(said["html"]).links):
        boards = [urlsplit(one) for one in links if "/d/api-performance" in one]
        shown = [
            {name: int(value) for name, (value,) in parse_qs(one.query).items()} for one in boards
        ]
        hour, half = 3_600_000, 1_800_000
        began = int(BEGAN.timestamp() * 1000)
        panel = panels()[odd["labels"]["alertname"]]
        ends = began + int(LASTED.total_seconds() * 1000)
        assert shown == [
            {"from": began - hour, "to": began + half, "viewPanel": panel},
            {"from": began - hour, "to": ends + half, "viewPanel": panel},
        ]
        (silence,) = (one for one in links if "/#/silences/new?filter=" in one)
        assert "+" not in silence
        matchers = unquote(silence.partition("filter=")[2])
        wanted = ",".join(
            f"{name}={go_quoted(value)}" for name, value in sorted(odd["labels"].items())
        )
        assert matchers in {f"{{{wanted}}}"}


ON_CALL_VALUES = {
    "plain": ("trading on call +1 555 0100; #trading", "curl -sf -X POST http://gw/stop"),
    "hostile": (
        """<!channel> <b>&amp; {{ .Status }} {{ "q" }} 'q' `code` \\n %22 */ ü 行 }}""",
        """x="$(cat <<<'{{ end }}')" `id` && y | z > /dev/null; echo \\"<@U1>\\" }} {{""",
    ),
    "url": ("https://wiki.example/oncall?a=1&b=2", "https://gw.example/stop?a=1&b=<2>"),
}


@pytest.mark.parametrize("case", ON_CALL_VALUES)
def test_contacts_and_kill_switch_are_shown_as_they_are(
    case: str, tmp_path: Path, state_dir: Path
) -> None:
    contacts, kill_switch = ON_CALL_VALUES[case]
    found = load_settings(
        environ={"RUNBOOK_CONTACTS": contacts, "RUNBOOK_KILL_SWITCH": kill_switch}
    )
    write_configuration(
        found,
        StateFolder(tmp_path / "none"),
        tmp_path / "config",
        PLAN,
        monitored_services(found, demo=True),
    )
    texts_of = {
        "slack": '{{ template "stackctl.slack.text" . }}',
        "mail.html": '{{ template "stackctl.email.html" . }}',
        "mail.text": '{{ template "stackctl.email.text" . }}',
        "pagerduty": '{{ template "stackctl.on_call.text" . }}',
    }
    groups = {}
    for component, severity, state in product(
        ("trading", "application"), ("critical", "warning"), ("firing", "resolved")
    ):
        one = alert(1, resolved=state == "resolved")
        one["labels"] |= {"component": component, "severity": severity}
        groups[f"{component}-{severity}-{state}"] = group([one])
    said = rendered(texts_of, groups, tmp_path, tmp_path / "config" / "alertmanager" / "templates")
    slack = {
        before: before.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
        for before in (contacts, kill_switch)
    }
    for name, message in said.items():
        call = name.endswith("critical-firing")
        stop = name == "trading-critical-firing"
        assert (f"Who to call: {slack[contacts]}\n" in message["slack"]) == call, name
        assert (f"Stop trading:\n```\n{slack[kill_switch]}\n```\n" in message["slack"]) == stop
        page = unescape(message["mail.html"])
        assert (f"<p>Who to call: {contacts}</p>" in page) == call, name
        assert (f"<p>Stop trading: <code>{kill_switch}</code></p>" in page) == stop, name
        assert parsed(message["mail.html"]).tags <= {*HTML_TAGS, "code"}
        for kind in ("mail.text", "pagerduty"):
            assert (f"Who to call: {contacts}\n" in message[kind]) == call, (name, kind)
            assert (f"Stop trading: {kill_switch}\n" in message[kind]) == stop, (name, kind)
        for text in message.values():
            assert call or "Who to call" not in text
            assert stop or "Stop trading" not in text
        # Programs follow the links in a message by themselves.
        assert not any("gw.example" in link for link in parsed(message["mail.html"]).links)


def go_quoted(text: str) -> str:
    """Quote text as Go's %q does, for text without control characters."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def panels() -> dict[str, int]:
    """Return alert → the panel that its messages link to."""
    text = (ALERTMANAGER / "templates" / "panels.tmpl").read_text("utf-8")
    found = re.findall(r'match "\^\(([^)]+)\)\$" \. \}\}(\d+)', text)
    named = [(name, int(number)) for names, number in found for name in names.split("|")]
    assert len(dict(named)) == len(named)
    return dict(named)


def test_messages_link_to_a_panel_that_shows_what_the_alert_reads() -> None:
    folder = paths.monitoring()
    files = [
        yaml.safe_load(path.read_text("utf-8"))
        for kind in ("alerts", "recording-rules")
        for path in sorted((folder / "prometheus" / kind).glob("*.yml"))
    ]
    every = [rule for file in files for one in file["groups"] for rule in one["rules"]]
    records = {rule["record"]: rule["expr"] for rule in every if "record" in rule}
    assert records.keys() == recorded(files).keys()

    def read(expr: str) -> set[str]:
        """Return the series that an expression reads, also by way of recorded ones."""
        names = metric_names(re.sub(r"\$__?\w+", "1m", expr))
        return names.union(*(read(records[name]) for name in names if name in records))

    known = panels()
    rules = {rule["alert"]: rule for rule in every if "alert" in rule}
    assert known.keys() <= rules.keys()
    wrong = {}
    for name, rule in rules.items():
        uid = rule["annotations"]["dashboard"].removeprefix("/d/")
        board = json.loads((folder / "grafana" / "dashboards" / f"{uid}.json").read_text("utf-8"))
        showing = {
            panel["id"]
            for panel in board["panels"]
            for target in panel.get("targets", ())
            if panel["type"] != "logs" and read(target["expr"]) & read(rule["expr"])
        }
        of_the_plan = rule["labels"]["component"] != "pipeline"
        if known.get(name) not in showing and (name in known or (showing and of_the_plan)):
            wrong[name] = (known.get(name), sorted(showing))
    assert wrong == {}
