"""Which runbook belongs to which alert: the last part of the runbook_url in its rule."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from urllib.parse import urlsplit

from stackctl.errors import UsageError
from stackctl.util import paths, yaml_text
from stackctl.util.suggest import nearest

_RULES = ("prometheus/alerts", "loki/rules/fake")


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


def text(alert: str) -> str:
    """Return the runbook of an alert, in Markdown. Raises UsageError, with the nearest, for an unknown alert."""
    known = by_alert()
    if alert not in known:
        raise UsageError(f"no rule has the alert {alert!r}", remedy=nearest(alert, list(known)))
    return (paths.runbooks() / known[alert]).read_text(encoding="utf-8")
