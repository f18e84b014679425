"""The runbooks of alerts, with the contacts and the kill switch of this project."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from stackctl.errors import UsageError
from stackctl.util import paths, yaml_text
from stackctl.util.suggest import nearest

_RULES = ("prometheus/alerts", "loki/rules/fake")
_SUFFIX = "_RUNBOOK.md"
_SHARED = "README.md"
"""The file with the sections that all runbooks share."""


class Runbook(NamedTuple):
    """One runbook: its name, as in SERVICE_DOWN, its title, and the alerts that link to it."""

    name: str
    title: str
    alerts: tuple[str, ...]


class OnCall(NamedTuple):
    """The settings that runbooks show."""

    kill_switch: str | None
    contacts: str | None


class _Section(NamedTuple):
    title: str
    setting: str
    holds: str

    @property
    def link(self) -> str:
        """The paragraph in a runbook that the shared section replaces."""
        return f"See [{self.title}]({_SHARED}#{self.title.lower().replace(' ', '-')})."


_STOP = _Section("Stop trading", "RUNBOOK_KILL_SWITCH", "the command or page that stops trading")
_CALL = _Section("Who to call", "RUNBOOK_CONTACTS", "names, phone numbers and channels")


@cache
def by_alert() -> Mapping[str, str]:
    """Return a mapping of alert names to the file names of their runbooks."""
    found = {}
    files = [
        path for folder in _RULES for path in sorted((paths.monitoring() / folder).glob("*.yml"))
    ]
    for path in files:
        for group in yaml_text.load(path.read_text(encoding="utf-8"))["groups"]:
            for rule in group["rules"]:
                url = rule.get("annotations", {}).get("runbook_url")
                if url:
                    found[rule["alert"]] = Path(urlsplit(url).path).name
    return found


def all_runbooks() -> list[Runbook]:
    """Return every runbook, by name."""
    alerts: dict[str, list[str]] = {}
    for alert, file in by_alert().items():
        alerts.setdefault(file, []).append(alert)
    return [
        Runbook(
            file.removesuffix(_SUFFIX),
            _read(file).partition("\n")[0].removeprefix("# "),
            tuple(alerts[file]),
        )
        for file in sorted(alerts)
    ]


def text(name: str, on_call: OnCall) -> str:
    """Return a runbook as Markdown for a terminal, with the shared sections included and commands instead of links.

    `name` is the name of an alert or a runbook. Raises UsageError, with the closest known name, for any other.
    """
    known = by_alert()
    file = known.get(name, f"{name}{_SUFFIX}")
    if file not in known.values():
        raise UsageError(f"unknown alert or runbook {name!r}", remedy=nearest(name, list(known)))
    runbook = re.sub(rf"\[(\w+)\]\(\1{re.escape(_SUFFIX)}\)", r"`stackctl runbook \1`", _read(file))
    for section, value in ((_STOP, on_call.kill_switch), (_CALL, on_call.contacts)):
        runbook = runbook.replace(section.link, _shared(section, value))
    return runbook


def _shared(section: _Section, value: str | None) -> str:
    """Return a shared section without its heading, with its first paragraph replaced by the setting."""
    _, _, rest = _read(_SHARED).partition(f"\n## {section.title}\n\n")
    _, _, steps = rest.partition("\n## ")[0].partition("\n\n")
    if value is None:
        first = (
            f"**{section.setting} is not set.** Add `{section.setting}` to `.env`: {section.holds}."
            " Then run `stackctl up`."
        )
    else:
        # Use a fence that is longer than every run of backticks in the value.
        fence = "`" * max(3, 1 + max(map(len, re.findall("`+", value)), default=0))
        first = f"{fence}text\n{value}\n{fence}"
    return f"{first}\n\n{steps.strip()}"


def _read(file: str) -> str:
    return (paths.runbooks() / file).read_text(encoding="utf-8")
