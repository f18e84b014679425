"""Which alerts fire when: the real rules, evaluated by the real promtool."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from stackctl.util import yaml_text
from stackctl.values.durations import parse_duration
from tests.incidents.incidents import WARM_UP, Incident
from tests.incidents.world import STEP, input_series
from tests.support.tools import tool

MONITORING = Path(__file__).resolve().parents[2] / "infrastructure" / "monitoring"
EXTERNAL = {"cluster": "bot-core", "environment": "laptop"}
"""The external labels of prometheus.yml, which Alertmanager sees."""

Labels = frozenset[tuple[str, str]]
"""An alert's labels, as Alertmanager gets them."""
Firing = list[frozenset[Labels]]
"""What fires at each step, the first at the start of the warm-up."""

_QUERY = 'ALERTS{alertstate="firing"}'
_NEVER = [{"labels": "never", "value": 0}]


def evaluate(incident: Incident, folder: Path) -> Firing:
    """Return what fires at each step of an incident; `folder` is for promtool's files.

    promtool's unit tests say of a query what it should have returned. Asked for something that it never returns, they
    print what it did return. Raises AssertionError where promtool says anything else.
    """
    states = incident.states()
    times = [number * STEP for number in range(len(states))]
    test = {
        "interval": f"{STEP}s",
        "input_series": input_series(states, incident.engines),
        "promql_expr_test": [
            {"expr": _QUERY, "eval_time": f"{time}s", "exp_samples": _NEVER} for time in times
        ],
    }
    files = [
        path
        for kind in ("recording-rules", "alerts")
        for path in sorted((MONITORING / "prometheus" / kind).glob("*.yml"))
    ]
    for path in files:
        (folder / f"{path.parent.name}-{path.name}").write_bytes(path.read_bytes())
    document = {
        "rule_files": [f"{path.parent.name}-{path.name}" for path in files],
        "group_eval_order": _groups(tuple(files)),
        "evaluation_interval": f"{STEP}s",
        "tests": [test],
    }
    dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
    text = yaml.dump(document, Dumper=dumper, sort_keys=False, width=10_000)
    (folder / "incident.yml").write_text(text, encoding="utf-8")
    done = tool("promtool", "test", "rules", "incident.yml", folder=folder)
    found = dict(_parsed(done.stdout + done.stderr))
    assert sorted(found) == times, (done.stdout + done.stderr)[:2000]
    firing = [found[time] for time in times]
    for name, service, start, end in incident.logs:
        _add_log_alert(firing, name, service, start * 60, end * 60)
    return firing


@functools.cache
def _groups(files: tuple[Path, ...]) -> list[str]:
    documents = (yaml_text.load(path.read_text(encoding="utf-8")) for path in files)
    return [group["name"] for document in documents for group in document["groups"]]


def _parsed(output: str) -> Iterator[tuple[int, frozenset[Labels]]]:
    parts = re.split(r'expr: ".*", time: ([\dhms.]+),', output)
    for time, text in zip(parts[1::2], parts[2::2], strict=True):
        _, _, got = text.partition("got:")
        alerts = re.findall(r'\{(__name__="ALERTS"(?:, \w+="(?:[^"\\]|\\.)*")*)\}', got)
        yield int(parse_duration(time)), frozenset(map(_labels, alerts))


def _labels(text: str) -> Labels:
    pairs = dict(re.findall(r'(\w+)="((?:[^"\\]|\\.)*)"', text))
    for name in ("__name__", "alertstate"):
        pairs.pop(name, None)
    return frozenset((pairs | EXTERNAL).items())


def _add_log_alert(firing: Firing, name: str, service: str, start: float, end: float) -> None:
    """Let a rule of Loki fire as its window and its `for` have it: a count fills its window, an absence outlasts it."""
    rule = _log_rules()[name]
    (window,) = re.findall(r"\[(\d+\w)\]", rule["expr"])
    absent = "absent" in rule["expr"]
    hold = parse_duration(rule.get("for", "0s"))
    labels = frozenset(
        (
            {"alertname": name, "job": service, "service": service} | rule["labels"] | EXTERNAL
        ).items()
    )
    first = start + hold + (parse_duration(window) if absent else 60)
    last = end if absent else end + parse_duration(window)
    for number, now in enumerate(firing):
        if first <= number * STEP - WARM_UP < last:
            firing[number] = now | {labels}


def _log_rules() -> Mapping[str, dict[str, Any]]:
    path = MONITORING / "loki" / "rules" / "fake" / "logs.yml"
    groups = yaml_text.load(path.read_text(encoding="utf-8"))["groups"]
    return {rule["alert"]: rule for group in groups for rule in group["rules"]}
