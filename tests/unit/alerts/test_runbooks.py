"""The runbooks: every alert links to one, each has its sections, and the commands and series in them exist."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import click
import pytest

from botdemo.control import Control, Switches
from botdemo.switches import AnalystSwitches, EngineSwitches, GatewaySwitches, HttpSwitches
from stackctl.alerts import runbooks
from stackctl.cli import cli
from stackctl.config.env_file import parse_env
from stackctl.config.registry import GROUPS, SETTINGS
from stackctl.errors import UsageError
from stackctl.render.promql import metric_names, selected_labels
from stackctl.services.catalog import PUBLISHED_PORTS, SERVICES
from stackctl.util import yaml_text
from standins.shared.logql import parser
from standins.shared.logql.lexer import ParseError
from tests.config.contract import EXPORTED, SERIES
from tests.support.docs import DOCUMENTS, GUIDE, ROOT, RUNBOOKS, RUNBOOKS_README, blocks

MONITORING = ROOT / "infrastructure" / "monitoring"

# The plan's Runbook Requirements.
PLANNED = {
    f"{name}_RUNBOOK.md"
    for name in (
        "SERVICE_DOWN",
        "HIGH_ERROR_RATE",
        "HIGH_LATENCY",
        "DISK_SPACE_LOW",
        "TRADING_HALTED",
        "MONGODB_DOWN",
        "OPENAI_RATE_LIMIT",
        "HIGH_TRADE_FAILURE",
        "HIGH_CPU",
        "HIGH_MEMORY",
        "SLOW_QUERIES",
        "CONTAINER_RESTARTS",
        "AI_SERVICE_SLOW",
        "MODEL_LOAD_FAILURE",
        "BINANCE_API_DOWN",
        "HEALTH_CHECK_FAILED",
        "LARGE_POSITION",
        "DAILY_LOSS_LIMIT",
    )
}
SECTIONS = [
    "Impact",
    "Start here",
    "Meaning",
    "Diagnosis",
    "Stop trading",
    "Who to call",
    "Mitigation",
    "Verify recovery",
]
OPTIONAL = "Practice"
FIRST_SCREEN = 24
"""Lines of a terminal of the usual size."""

SWITCHES: dict[str, type[Switches]] = {
    "rust-core-engine": EngineSwitches,
    "python-ai-service": AnalystSwitches,
    "nextjs-ui-dashboard": HttpSwitches,
    "kong": GatewaySwitches,
}


def rules(folder: str) -> list[dict[str, Any]]:
    """Return the rules of every file in a folder of the monitoring's configuration."""
    documents = (
        yaml_text.load(path.read_text(encoding="utf-8"))
        for path in sorted((MONITORING / folder).glob("*.yml"))
    )
    return [
        rule for document in documents for group in document["groups"] for rule in group["rules"]
    ]


ALERTS: dict[str, dict[str, Any]] = {
    rule["alert"]: rule
    for folder in ("prometheus/alerts", "loki/rules/fake")
    for rule in rules(folder)
}
RECORDS = rules("prometheus/recording-rules")


def runbook_of(alert: str) -> str:
    """Return the path within the repository that the alert's runbook_url leads to."""
    path = urlsplit(str(ALERTS[alert]["annotations"]["runbook_url"])).path
    return path.partition("/blob/main/")[2]


KNOWN_SERIES = SERIES.keys() | EXPORTED | {rule["record"] for rule in RECORDS}


def section(text: str, title: str) -> str:
    """Return what stands below a heading of the second level, up to the next."""
    found = re.search(rf"^## {title}\n(.*?)(?=^## |\Z)", text, flags=re.MULTILINE | re.DOTALL)
    assert found
    return found[1].strip()


def commands(script: str) -> Iterator[list[str]]:
    """Return the words of each simple command of a shell script, which pipes and && part from the next."""
    for line in script.replace("\\\n", " ").splitlines():
        lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
        lexer.whitespace_split = True
        words: list[str] = []
        for word in lexer:
            if set(word) <= set("|&;<>()"):
                yield words
                words = []
            else:
                words.append(word)
        yield words


def parsed(words: list[str]) -> click.Context:
    """Parse a call of stackctl down to its last subcommand, without running it.

    Raises click.UsageError for a command, an option or a value that does not exist.
    """
    command: click.Command = cli
    context = click.Context(cli, info_name="stackctl")
    rest = words[1:]
    while isinstance(command, click.Group):
        _, rest, _ = command.make_parser(context).parse_args(list(rest))
        if not rest and command.invoke_without_command:
            break
        if not rest:
            raise click.UsageError(f"{command.name} needs a command")
        name, found, rest = command.resolve_command(context, rest)
        assert found is not None
        command = found
        if isinstance(command, click.Group):
            context = click.Context(command, parent=context, info_name=name)
        else:
            context = command.make_context(name, list(rest), parent=context)
    return context


def stackctl_calls(text: str) -> list[list[str]]:
    """Return every call of stackctl in the `sh` blocks and in inline code."""
    scripts = [*blocks(text, "sh"), *re.findall(r"(?<!`)`(stackctl [^`\n]+)`(?!`)", text)]
    return [
        words
        for script in scripts
        for words in commands(script)
        if words and words[0] == "stackctl"
    ]


def read_series(expr: str) -> set[str]:
    """Return the series that an expression reads: named outright, or as alternatives of `__name__`."""
    alternatives = re.findall(r'__name__=~"([^"]*)"', expr)
    return metric_names(expr) | {name for names in alternatives for name in names.split("|")}


def switch_changes(text: str) -> list[tuple[str, dict[str, object]]]:
    """Return (service, switches) for every PUT to a demo service's control."""
    ports = {str(port.default): service for service, port in PUBLISHED_PORTS.items()}
    found = re.findall(r"curl -X PUT http://127\.0\.0\.1:(\d+)/demo/control -d '([^']*)'", text)
    return [(ports[port], json.loads(body)) for port, body in found]


each_document = pytest.mark.parametrize("name", DOCUMENTS)
each_runbook = pytest.mark.parametrize("name", RUNBOOKS)


def test_the_eighteen_runbooks_of_the_plan_and_that_of_the_monitoring_itself() -> None:
    assert set(RUNBOOKS) == {*PLANNED, "MONITORING_PIPELINE_RUNBOOK.md"}
    assert len(PLANNED) == 18


@pytest.mark.parametrize("alert", ALERTS)
def test_the_alerts_runbook_url_leads_to_a_file(alert: str) -> None:
    path = runbook_of(alert)
    assert path.startswith("docs/runbooks/")
    assert (ROOT / path).is_file()


@each_runbook
def test_it_names_exactly_the_alerts_that_lead_to_it(name: str) -> None:
    leading = {alert for alert in ALERTS if runbook_of(alert) == f"docs/runbooks/{name}"}
    assert leading
    (line,) = re.findall(r"^Alerts: (.+)$", RUNBOOKS[name], flags=re.MULTILINE)
    named = line.split(", ")
    assert sorted(named) == sorted(leading)


@each_runbook
def test_meaning_has_a_row_with_the_severity_of_each_of_them(name: str) -> None:
    rows = re.findall(
        r"^\| (`.+`) \| (\w+) \| .+ \|$", section(RUNBOOKS[name], "Meaning"), re.MULTILINE
    )
    shown = {alert: severity for names, severity in rows for alert in re.findall(r"`(\w+)`", names)}
    assert shown == {
        alert: rule["labels"]["severity"]
        for alert, rule in ALERTS.items()
        if runbook_of(alert) == f"docs/runbooks/{name}"
    }


@each_runbook
def test_runbooks_lead_on_to_others_that_exist(name: str) -> None:
    others = re.findall(r"\[(\w+)\]\(\1(_RUNBOOK\.md)\)", RUNBOOKS[name])
    assert {"".join(parts) for parts in others} <= set(RUNBOOKS) - {name}
    assert len(others) == RUNBOOKS[name].count("_RUNBOOK.md")


@each_runbook
def test_title_and_sections_in_order(name: str) -> None:
    text = RUNBOOKS[name]
    outside = re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)
    assert re.match(r"# \S.*\n\nAlerts: ", text)
    titles = re.findall(r"^## (.+)$", outside, flags=re.MULTILINE)
    assert titles in (SECTIONS, [*SECTIONS, OPTIONAL])
    assert re.findall(r"^# .+$", outside, flags=re.MULTILINE) == [text.splitlines()[0]]
    assert all(section(text, title) for title in titles)
    assert 80 <= len(text.splitlines()) <= 150


@each_runbook
def test_the_first_command_is_on_the_first_screen(name: str) -> None:
    """The impact comes before it, in two sentences; Service Down adds a table of services."""
    text = RUNBOOKS[name]
    prose = section(text, "Impact").partition("\n\n|")[0]
    assert len(re.findall(r"[.](?=\s|$)", prose)) == 2, prose
    first = section(text, "Start here")
    assert first.startswith("```sh\n")
    assert len(blocks(first, "sh")[0].splitlines()) == 1
    assert text[: text.index("```")].count("\n") < FIRST_SCREEN
    assert first.partition("\n```\n")[2].strip(), "what the command tells"


@each_runbook
def test_shared_sections_are_linked_once_and_written_in_the_readme(name: str) -> None:
    text = RUNBOOKS[name]
    for title in ("Stop trading", "Who to call"):
        anchor = title.lower().replace(" ", "-")
        assert section(text, title).endswith(f"\n\nSee [{title}](README.md#{anchor}).")
        assert section(RUNBOOKS_README, title)


def test_the_readme_lists_the_runbooks_and_names_the_sections() -> None:
    listed = re.findall(r"\[([^]]+)\]\((\w+_RUNBOOK\.md)\)", RUNBOOKS_README)
    assert sorted((file, f"# {title}") for title, file in listed) == sorted(
        (file, text.splitlines()[0]) for file, text in RUNBOOKS.items()
    )
    shown = re.findall(r"^\| ([A-Z][a-z ]+) \| .+\? \|$", RUNBOOKS_README, re.MULTILINE)
    assert shown == [*SECTIONS, OPTIONAL]


def test_the_readmes_commands_exist_and_its_settings_are_valid() -> None:
    calls = stackctl_calls(RUNBOOKS_README)
    assert calls
    for words in calls:
        assert parsed(words).info_name, words
    (example,) = blocks(RUNBOOKS_README, "sh")
    values = {name: value for name, (value, _) in parse_env(example, ".env").items()}
    assert values.keys() == {row.name for row in GROUPS["On call"]}
    for name, value in values.items():
        assert SETTINGS[name].parse(value) == value


@each_runbook
def test_every_block_has_a_language_and_diagnosis_asks_all_three(name: str) -> None:
    fences = re.findall(r"^```(.*)$", RUNBOOKS[name], flags=re.MULTILINE)
    assert fences[1::2] == [""] * (len(fences) // 2)
    assert set(fences[::2]) <= {"sh", "promql", "logql"}
    diagnosis = section(RUNBOOKS[name], "Diagnosis")
    assert all(blocks(diagnosis, language) for language in ("sh", "promql", "logql"))


@each_document
def test_queries_read_series_and_labels_that_exist(name: str) -> None:
    for expr in blocks(DOCUMENTS[name], "promql"):
        names = read_series(expr)
        assert names or "__name__" in expr, expr
        assert names <= KNOWN_SERIES, names - KNOWN_SERIES
        for series, label in selected_labels(expr):
            assert label in SERIES.get(series, {label}), (series, label)


@each_document
def test_log_queries_are_logql(name: str) -> None:
    for expr in blocks(DOCUMENTS[name], "logql"):
        assert parser.parse(expr)


@pytest.mark.parametrize(
    "expr", ['{job="kong"', '{job="kong"} |= unquoted', 'sum by (job ({job="kong"})']
)
def test_what_is_no_logql_is_found(expr: str) -> None:
    with pytest.raises(ParseError):
        parser.parse(expr)


@each_document
def test_log_queries_choose_services_of_the_stack(name: str) -> None:
    for expr in blocks(DOCUMENTS[name], "logql"):
        chosen = re.findall(r'\b(?:job|service)\s*=~?\s*"([^"]+)"', expr)
        assert chosen, expr
        for value in chosen:
            assert value == ".+" or set(value.split("|")) <= set(SERVICES), expr


@each_runbook
def test_stackctl_commands_exist(name: str) -> None:
    calls = stackctl_calls(RUNBOOKS[name])
    assert calls
    for words in calls:
        params = parsed(words).params
        services = [params.get("service"), *(params.get("services") or ())]
        assert {service for service in services if service} <= set(SERVICES), words
        assert params.get("expect") in {None, *ALERTS}, words
        named = {word for word in params.get("matchers") or () if re.fullmatch(r"\w+", word)}
        assert named <= set(ALERTS), words


def test_the_guides_commands_and_files_exist() -> None:
    calls = stackctl_calls(GUIDE)
    assert calls
    for words in calls:
        assert parsed(words).info_name, words
    paths = re.findall(r"`((?:infrastructure|stackctl|tests|dashboards|compose)/[\w./-]+)`", GUIDE)
    assert paths
    assert [path for path in paths if not (ROOT / path).exists()] == []


@pytest.mark.parametrize(
    "words",
    [
        "stackctl nothing",
        "stackctl chaos",
        "stackctl chaos break redis",
        "stackctl chaos stop",
        "stackctl status --unknown",
        "stackctl logs --from nowhere",
        "stackctl --unknown status",
    ],
)
def test_a_command_that_does_not_exist_is_found(words: str) -> None:
    with pytest.raises(click.UsageError):
        parsed(words.split())


@each_runbook
def test_the_switches_to_practice_with_exist(name: str) -> None:
    text = RUNBOOKS[name]
    changes = switch_changes(text)
    assert len(changes) == text.count("curl -X PUT ")
    for service, switches in changes:
        assert switches
        Control(SWITCHES[service]).update(switches)
    # What is changed is changed back.
    changed = set(re.findall(r"curl -X PUT (\S+)", text))
    assert changed == set(re.findall(r"curl -X DELETE (\S+)", text))


def test_most_runbooks_can_be_practiced() -> None:
    assert sum(f"## {OPTIONAL}\n" in text for text in RUNBOOKS.values()) >= 12


NASTY = """ends` ``` {{ .Status }} ${HOME} "q" 'q' <b>&amp; [x](y) # | ü 行"""


def test_the_settings_are_shown_in_place_of_the_links_whatever_they_hold() -> None:
    text = runbooks.text("TradingHalted", runbooks.OnCall("curl -X POST gw/stop", NASTY))
    assert "README.md" not in text
    stop, call = section(text, "Stop trading"), section(text, "Who to call")
    assert "\n\n```text\ncurl -X POST gw/stop\n```\n\n1. Use the kill switch." in stop
    assert "\n\n````text\n" + NASTY + "\n````\n\nSay which alert is firing" in call
    assert "is not set" not in text


def test_settings_that_are_missing_are_named_with_the_remedy() -> None:
    text = runbooks.text("TradingHalted", runbooks.OnCall(None, None))
    for title, setting in (
        ("Stop trading", "RUNBOOK_KILL_SWITCH"),
        ("Who to call", "RUNBOOK_CONTACTS"),
    ):
        assert f"**{setting} is not set.** Add `{setting}` to `.env`" in section(text, title)
    assert "1. Use the kill switch." in text
    assert "README.md" not in text


def test_a_runbook_is_found_by_an_alert_and_by_its_name() -> None:
    nobody = runbooks.OnCall(None, None)
    assert runbooks.text("DISK_SPACE_LOW", nobody) == runbooks.text("DiskSpaceLow", nobody)
    for wrong in ("DiskSpaceLo", "README", "../../README"):
        with pytest.raises(UsageError, match="unknown alert or runbook"):
            runbooks.text(wrong, nobody)


@each_runbook
def test_links_to_other_runbooks_are_commands_in_the_terminal(name: str) -> None:
    text = runbooks.text(name.removesuffix("_RUNBOOK.md"), runbooks.OnCall(None, None))
    assert "_RUNBOOK.md" not in text
    for words in stackctl_calls(text):
        if words[:2] == ["stackctl", "runbook"]:
            assert f"{words[2]}_RUNBOOK.md" in set(RUNBOOKS) - {name}


def test_the_list_has_every_runbook_with_its_title_and_every_alert() -> None:
    listed = runbooks.all_runbooks()
    assert {f"{one.name}_RUNBOOK.md": f"# {one.title}" for one in listed} == {
        name: text.splitlines()[0] for name, text in RUNBOOKS.items()
    }
    assert sorted(alert for one in listed for alert in one.alerts) == sorted(ALERTS)
