"""README and docs/: links lead somewhere, and the commands and settings that they name exist."""

from __future__ import annotations

import re
import shlex

import click
import pytest

from stackctl.alerts import runbooks
from stackctl.cli import cli
from stackctl.commands import COMMANDS
from stackctl.config.registry import SETTINGS
from tests.support.docs import PAGES, ROOT, blocks

README = PAGES["README.md"]
REFERENCE = PAGES["docs/REFERENCE.md"]
TEXTS = [
    "README.md",
    "docs/BOT_CORE.md",
    "docs/ENGINES.md",
    "docs/IMAGES.md",
    "docs/REFERENCE.md",
]
"""Documents for users outside of the guide and the runbooks, which have tests of their own."""

SETTING = re.compile(r"`((?:[A-Z0-9]+_)+(?:TARGET|HEALTH|PORT|IMAGE|URL|KEY|PASSWORD|HOST|TO))`")


def anchors(text: str) -> set[str]:
    """Return the anchors that GitHub gives the headings of a text."""
    outside = re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)
    titles = re.findall(r"^#+ (.+)$", outside, flags=re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}


def links(text: str) -> list[str]:
    return [link for link in re.findall(r"\]\(([^)]+)\)", text) if "://" not in link]


@pytest.mark.parametrize("page", [page for page, text in PAGES.items() if links(text)])
def test_links_lead_to_files_and_headings_that_exist(page: str) -> None:
    file = ROOT / page
    for link in links(PAGES[page]):
        target, _, anchor = link.partition("#")
        found = (file.parent / target).resolve() if target else file
        assert found.exists(), link
        assert not anchor or anchor in anchors(found.read_text(encoding="utf-8")), link


def test_the_readme_is_short_and_links_every_document() -> None:
    assert len(README.splitlines()) < 200
    documents = {page for page in PAGES if re.fullmatch(r"(?:docs/)?[A-Z_]+\.md", page)}
    assert documents - {"README.md"} <= set(links(README))


def test_the_reference_lists_every_command() -> None:
    listed = {
        name
        for row in re.findall(r"^\| (`stackctl .+?) \|", REFERENCE, flags=re.MULTILINE)
        for name in re.findall(r"(?:`stackctl |, `)([a-z]+)", row)
    }
    assert listed == set(COMMANDS)


def calls(text: str) -> list[list[str]]:
    """Return the calls of stackctl in a document's shell blocks."""
    found = []
    for block in blocks(text, "sh"):
        for line in block.splitlines():
            words = shlex.split(line, comments=True)
            if "stackctl" in words:
                words = words[words.index("stackctl") + 1 :]
                found.append(words[: words.index(">")] if ">" in words else words)
    return found


@pytest.mark.parametrize("page", TEXTS)
def test_the_commands_in_a_document_exist(page: str) -> None:
    for words in calls(PAGES[page]):
        command: click.Command = cli
        ctx = click.Context(cli, info_name="stackctl")
        while isinstance(command, click.Group) and words:
            name, found, words = command.resolve_command(ctx, words)
            assert found is not None, name
            command, ctx = found, click.Context(found, info_name=name, parent=ctx)
        params = command.make_context(command.name, words).params
        assert params.get("alert") in {None, *runbooks.by_alert()}, words


def test_the_readme_shows_commands() -> None:
    assert len(calls(README)) > 20


@pytest.mark.parametrize("page", TEXTS)
def test_the_settings_in_a_document_exist(page: str) -> None:
    named = {name.removesuffix("_FILE") for name in SETTING.findall(PAGES[page])}
    assert named <= SETTINGS.keys() | {"DOCKER_HOST"}
