"""The reports of a run of `verify`: JSON, JUnit, terminal and HTML."""

from __future__ import annotations

import dataclasses
import datetime as dt
import io
import json
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import jsonschema
import pytest
from rich.console import Console

from stackctl.chaos.timeline import Pace, Stage, Timeline
from stackctl.clients.base import Exchange
from stackctl.errors import StackctlError
from stackctl.report import html, junit, terminal
from stackctl.report import json as json_report
from stackctl.verify.model import Check, Context, Finding, Report, Result, skipped
from tests.support.http import serving
from tests.support.right_stack import Stack, verify


def report_with(seen: str) -> Report:
    async def nothing(_: Context) -> Finding:
        raise NotImplementedError

    good = Check("loki.ready", "Loki takes lines", "9.3", "loki", nothing)
    bad = Check("grafana.health", "Grafana is healthy", "9.2", "grafana", nothing)
    other = Check("end-to-end.load", "Load is answered", "9.5", "rust-core-engine", nothing)
    exchange = Exchange("GET http://x", "ok", "{}")
    return Report(
        "bot-core",
        "local",
        dt.datetime(2026, 1, 2, tzinfo=dt.UTC),
        1.5,
        (
            Result(
                good,
                Finding(True, "ready", "ready", "stackctl logs loki"),
                0.1,
                exchanges=(exchange,) * 9,
            ),
            Result(
                bad, Finding(False, "database ok", seen, "stackctl logs grafana"), 1.2, standin=True
            ),
            Result(other, skipped("an application", "none runs"), 0.0),
        ),
    )


def warned() -> Report:
    report = report_with("x")
    finding = Finding(True, "buckets past 10 s", "they end at <5> s", "add one", warning=True)
    return dataclasses.replace(report, results=(Result(report.results[0].check, finding, 0.3),))


def test_a_warning_is_no_failure_and_says_what_to_do_in_every_report() -> None:
    report = warned()
    assert (report.ok, report.passed, len(report.warned)) == (True, 1, 1)

    (check,) = json.loads(json_report.dumps(report))["checks"]
    assert (check["ok"], check["state"], check["next_step"]) == (True, "warning", "add one")

    root = ET.fromstring(junit.dumps(report))  # noqa: S314 - our own text
    assert (root.attrib["failures"], root.attrib["skipped"]) == ("0", "0")
    assert root.findtext(".//system-out") == "warning: they end at <5> s\nnext: add one"

    for encoding, mark in (("utf-8", "!"), ("ascii", "warn")):
        stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
        console = Console(file=stream, width=80, highlight=False)
        terminal.print_report(console, report)
        console.print(terminal.overview(console, report))
        stream.flush()
        stream.seek(0)
        text = stream.read()
        assert text.count(f"{mark} Loki takes lines") == 2
        assert text.count("they end at <5> s") == text.count("add one") == 2
        assert "loki: 1 of 1" in text
        assert text.count("1 of 1 checks passed, 1 with a warning") == 2

    page = html.dumps(report)
    assert "they end at &lt;5&gt; s" in page
    assert "<dt>next</dt><dd>add one</dd>" in page
    assert "1 checks passed, 1 with a warning" in page


@pytest.mark.thorough
def test_json_report_keeps_its_schema() -> None:
    schema = json.loads((terminal_folder() / "schema.json").read_text())
    documents = []
    with serving({}) as server:
        right_report = verify(Stack(server))
    for report in (drilled(), warned(), right_report):
        documents.append(json.loads(json_report.dumps(report)))
        jsonschema.validate(documents[-1], schema, format_checker=jsonschema.FormatChecker())
    failed, warning, right = documents
    assert (failed["ok"], warning["ok"], right["ok"]) == (False, True, True)
    good, bad, skipped = failed["checks"]
    assert (good["next_step"], bad["next_step"]) == ("", "stackctl logs grafana")
    assert good["evidence"] == [{"request": "GET http://x", "outcome": "ok", "answer": "{}"}] * 5
    assert [one["skipped"] for one in (good, bad, skipped)] == [False, False, True]
    assert skipped["seen"] == "skipped: none runs"
    (drill,) = failed["drills"]
    assert drill["stages"]["channel"] == 150
    (slow,) = [span for span in drill["spans"] if span["slow"]]
    assert (slow["name"], slow["seconds"], slow["most"]) == ("to the channel", 9.5, 0)
    assert right["drills"] == []


def terminal_folder() -> Any:
    return Path(terminal.__file__).parent


def test_junit_report_is_xml_whatever_was_seen() -> None:
    root = ET.fromstring(junit.dumps(report_with("bad \x00 <&> \ud800 text")))  # noqa: S314 - our own text
    assert (root.attrib["tests"], root.attrib["failures"], root.attrib["skipped"]) == (
        "3",
        "1",
        "1",
    )
    (failure,) = root.findall(".//failure")
    assert "<&>" in failure.attrib["message"]
    assert failure.text == "grafana.health\nwaited: 1.2 s\nnext: stackctl logs grafana"
    (skipped,) = root.findall(".//testcase/skipped")
    assert skipped.attrib["message"] == "skipped: none runs"
    suites = {one.attrib["name"]: one.attrib["skipped"] for one in root.findall("testsuite")}
    assert suites == {"loki": "0", "grafana": "0", "end-to-end": "1"}


def young() -> Report:
    """A report in which a check cannot be judged yet, and none failed."""
    report = report_with("x")
    finding = Finding(
        False, "data", "no data yet", "wait", obstacle="too young", final=True, ready_in=90
    )
    young = dataclasses.replace(report.results[1], finding=finding)
    return dataclasses.replace(report, results=(report.results[0], young))


def test_what_cannot_be_judged_yet_is_neither_passed_nor_failed() -> None:
    report = young()
    assert (report.ok, report.exit_code) == (False, 5)
    root = ET.fromstring(junit.dumps(report))  # noqa: S314 - our own text
    assert (root.attrib["failures"], root.attrib["errors"]) == ("0", "1")
    (error,) = root.findall(".//testcase/error")
    assert error.attrib["type"] == "too young"
    console = Console(width=80, record=True)
    with console.capture() as shown:
        terminal.print_report(console, report)
    assert "… Grafana is healthy" in shown.get()
    assert "1 of 2 checks passed, 1 too young in 1.5 s" in shown.get()


@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_terminal_report_fits_80_columns_without_colour(encoding: str) -> None:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding=encoding)
    terminal.print_report(Console(file=stream, width=80, highlight=False), report_with("y" * 200))
    stream.flush()
    text = raw.getvalue().decode(encoding)
    assert all(len(line) <= 80 for line in text.splitlines())
    assert "\x1b" not in text
    assert ("✘" in text) == (encoding == "utf-8")
    for word in (
        "expected",
        "database ok",
        "seen",
        "waited",
        "next",
        "stackctl logs grafana",
        "(stand-in)",
        "1 of 2 checks passed, 1 skipped",
        "skipped: none runs",
    ):
        assert word in text


def drilled() -> Report:
    pace = Pace(
        scrape_interval=10,
        evaluation_interval=15,
        hold=120,
        keep=0,
        group_wait=0,
        group_interval=10,
    )
    seconds: dict[Stage, float] = {
        "fault": 0.5,
        "pending": 20.0,
        "firing": 140.0,
        "alertmanager": 140.5,
        "channel": 150.0,
        "healed": 151.0,
        "resolved": 160.0,
    }
    timeline = Timeline("ServiceDown", "kong", pace, seconds)
    return dataclasses.replace(report_with("<b>&"), drills=(timeline,))


def test_html_report_needs_nothing_else_and_escapes_what_it_shows(tmp_path: Path) -> None:
    exchange = Exchange("GET http://x/<q>", "HTTP 500", "</pre><script>alert(1)</script>")
    report = drilled()
    bad = dataclasses.replace(report.results[1], exchanges=(exchange,) * 9)
    file = tmp_path / "report.html"
    html.write(file, dataclasses.replace(report, results=(report.results[0], bad)))
    assert file.stat().st_mode & 0o077 == 0
    text = file.read_text()
    tags = TagCounter()
    tags.feed(text)
    tags.close()
    assert tags.open == []
    assert tags.seen["script"] == tags.seen["link"] == tags.seen["img"] == 0
    assert tags.seen["details"] == 2
    assert tags.seen["pre"] == 10
    assert "The last 5 of 9 requests." in text
    assert "&lt;script&gt;" in text
    assert "1 of 2 checks passed" in text
    assert "stackctl logs loki" not in text
    for words in (
        "19.5 s (configured 0 to 25 s)",
        "120.0 s (configured 120 to 135 s)",
        "9.5 s (configured 0 to 0 s, slow)",
    ):
        assert words in text


def test_a_report_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StackctlError, match="cannot write"):
        html.write(tmp_path / "file" / "report.html", report_with("x"))


class TagCounter(HTMLParser):
    """Counts elements, and knows which are still open."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: Counter[str] = Counter()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen[tag] += 1
        if tag not in {"meta", "br", "img", "link", "input"}:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag
