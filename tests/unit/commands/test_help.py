"""`help`: topics and commands, and that what the topics say is so."""

from __future__ import annotations

import re

import click
import pytest
from click.testing import CliRunner

from stackctl import topics
from stackctl.alerts import runbooks
from stackctl.cli import cli
from stackctl.commands import COMMANDS
from stackctl.config.env_file import ENV_FILE
from stackctl.config.registry import GROUPS, OVERRIDE_FILE, SETTINGS
from stackctl.errors import EXIT_INTERRUPTED, NotRunning, StackctlError, UsageError
from stackctl.services.catalog import SERVICES
from stackctl.values.setting import Setting
from stackctl.verify.runner import CHECKS, SECTIONS
from tests.support.cli import run_here

pytestmark = pytest.mark.usefixtures("own_folders")


each_topic = pytest.mark.parametrize("name", topics.names())


def test_the_topics() -> None:
    assert set(topics.names()) >= {
        "settings",
        "exit-codes",
        "images",
        "engines",
        "chaos",
        "verify",
        "files",
        "troubleshooting",
    }


def test_help_lists_commands_and_topics() -> None:
    done = run_here("help")
    assert done.returncode == 0
    for name in COMMANDS:
        assert f"  {name} " in done.stdout
    for name in topics.names():
        assert re.search(rf"^  {name} +{re.escape(topics.title(name))}$", done.stdout, re.MULTILINE)


@each_topic
def test_each_topic_is_printed(name: str) -> None:
    done = run_here("help", name)
    assert done.returncode == 0
    assert done.stdout.endswith(topics.text(name))
    assert ("Usage: " in done.stdout) is (name in COMMANDS)


@each_topic
def test_each_topic_begins_with_a_heading_that_says_what_it_is_about(name: str) -> None:
    text = topics.text(name)
    assert re.match(r"# \S[^:\n]*: \S.*\n\n", text)
    assert topics.title(name)
    assert len(text.splitlines()) >= 10


@pytest.mark.parametrize(
    "words", [["urls"], ["chaos", "stop"], ["chaos", "fill", "memory"], ["help"]]
)
def test_a_commands_help_is_that_of_the_command(words: list[str]) -> None:
    done = CliRunner().invoke(cli, ["help", *words], prog_name="stackctl")
    assert done.exit_code == 0
    assert done.output == CliRunner().invoke(cli, [*words, "--help"], prog_name="stackctl").output


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["setings"], "did you mean settings?"),
        (["verfy"], "did you mean verify?"),
        (["chaos", "stopp"], "stackctl chaos has no command 'stopp'; did you mean stop?"),
        (["urls", "more"], "stackctl urls has no command 'more'"),
        (["settings", "more"], "unknown topic or command 'settings more'"),
    ],
)
def test_what_there_is_not(words: list[str], says: str) -> None:
    done = run_here("help", *words)
    assert done.returncode == 2
    assert says in done.stderr
    assert done.stderr.count("\n") == 1


def test_each_known_name_is_offered_once() -> None:
    known = run_here("help", "qqqq").stderr.partition("known: ")[2].strip().split(", ")
    assert sorted(set(known)) == known
    assert {"chaos", "settings", "up"} <= set(known)


def test_an_unknown_topic_is_a_usage_error() -> None:
    with pytest.raises(UsageError):
        topics.text("../settings")


def test_the_settings_come_from_the_table(monkeypatch: pytest.MonkeyPatch) -> None:
    new = Setting("STACKCTL_NEW", "7", str, "a new one")
    monkeypatch.setitem(GROUPS, "The stack", (new,))  # type: ignore[arg-type]
    monkeypatch.setitem(SETTINGS, new.name, new)  # type: ignore[arg-type]
    text = topics.text("settings")
    assert (
        "\n## The stack\n\n| setting | default | description |\n|---|---|---|\n| `STACKCTL_NEW` | 7 | a new one |\n"
        in text
    )
    assert "\n| `ALERTMANAGER_SLACK_WEBHOOK_URL` |  | " in text


def test_the_settings_topic_has_each_setting_once_below_its_heading() -> None:
    headings = "|".join(map(re.escape, GROUPS))
    _, *parts = re.split(rf"^## (?=(?:{headings})$)", topics.text("settings"), flags=re.MULTILINE)
    shown = {
        part.partition("\n")[0]: re.findall(r"^\| `(\w+)` \|", part, re.MULTILINE) for part in parts
    }
    assert shown == {heading: [row.name for row in rows] for heading, rows in GROUPS.items()}


def calls(text: str) -> list[list[str]]:
    """Return the calls of stackctl in blocks and in the running text, without what a shell takes of them."""
    blocks = re.findall(r"^    (?:.*?(?:&&|\|\|) )?(stackctl [^#\n>|&]+)", text, re.MULTILINE)
    return [found.split() for found in [*blocks, *re.findall(r"`(stackctl [^`]+)`", text)]]


@each_topic
def test_the_commands_in_a_topic_exist(name: str) -> None:
    found = calls(topics.text(name))
    assert found
    placeholders = {"SERVICE": "loki", "ALERT": "ServiceDown", "FILE": "x.tar.gz", "NAME": "x"}
    for words in found:
        ctx = click.Context(cli, info_name="stackctl")
        arguments = [placeholders.get(word, word) for word in words[1:]]
        command: click.Command = cli
        while isinstance(command, click.Group) and arguments:
            _, found_command, arguments = command.resolve_command(ctx, arguments)
            assert found_command is not None
            command = found_command
            ctx = click.Context(command, info_name=command.name, parent=ctx)
        if not isinstance(command, click.Group):
            params = command.make_context(command.name, arguments).params
            service = params.get("service")
            assert service is None or service in SERVICES, words
            assert params.get("alert") in {None, *runbooks.by_alert()}, words
            if command.name == "verify":
                assert set(params["names"]) <= {*SECTIONS, *(check.id for check in CHECKS)}


def test_the_files_topic_names_the_files_that_are_read() -> None:
    text = topics.text("files")
    for name in (ENV_FILE, OVERRIDE_FILE, "STACKCTL_STATE_DIR", "secrets.json", "chaos.json"):
        assert f"`{name}`" in text


def test_the_exit_codes_are_those_of_the_program() -> None:
    codes = re.findall(r"^\| (\d+) \| (\w+)", topics.text("exit-codes"), re.MULTILINE)
    assert dict(codes) == {
        "0": "done",
        str(StackctlError.exit_code): "the",
        str(UsageError.exit_code): "wrong",
        str(NotRunning.exit_code): "the",
        str(EXIT_INTERRUPTED): "interrupted",
    }
