"""What the shipped pipeline makes of an application's output, by the table in entries.yml."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
import yaml

from standins.promtail import relabel
from standins.promtail.stages import Entry, Pipeline

CONFIG = Path("infrastructure/monitoring/loki/promtail-config.yml")
CASES: list[dict[str, Any]] = yaml.safe_load(
    (Path(__file__).parent / "entries.yml").read_text(encoding="utf-8")
)
(SCRAPE,) = yaml.safe_load(CONFIG.read_text(encoding="utf-8"))["scrape_configs"]
TRACE = ["Traceback (most recent call last):", '  File "a.py", line 1, in f', "ValueError: x"]


class Clock:
    """Seconds, as a test sets them."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        """Return them."""
        return self.now


def pipeline(clock: Clock | None = None) -> Pipeline:
    return Pipeline(SCRAPE["pipeline_stages"], clock or Clock())


def sent(lines: Iterable[Entry]) -> list[Entry]:
    """Return all that the pipeline makes of lines after which no other comes."""
    clock = Clock()
    own = pipeline(clock)
    entries = [entry for one in lines for entry in own.run(one)]
    clock.now = 60.0
    return entries + own.flush()


def line(at: int, text: str, job: str = "python-ai-service", stream: str = "stderr") -> Entry:
    return Entry(at, text, {"job": job, "stream": stream})


def kept(entries: list[Entry]) -> list[tuple[str, str | None]]:
    """Return the texts and levels of those that no stage dropped."""
    return [(one.line, one.labels.get("level")) for one in entries if one.drop_reason is None]


def expected(case: dict[str, Any], lines: list[str]) -> list[tuple[str, str | None]]:
    found = []
    for place, level in case["entries"].items():
        first, _, last = str(place).partition("-")
        text = "\n".join(lines[int(first) - 1 : int(last or first)])
        found.append((case.get("texts", {}).get(place, text), level))
    return found


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["case"])
def test_lines_become_entries(case: dict[str, Any]) -> None:
    lines = case["lines"].replace("\\e", "\x1b").splitlines()
    job, stream = case.get("job", "other"), case.get("stream", "stderr")
    entries = sent(line(at, text, job, stream) for at, text in enumerate(lines))
    # Their order says nothing: a line of JSON waits for none, and comes out before an older entry that does.
    assert sorted(kept(entries), key=str) == sorted(expected(case, lines), key=str)


def test_a_level_is_one_of_six_or_none() -> None:
    levels = {level for case in CASES for level in case["entries"].values()}
    assert levels <= {None, "trace", "debug", "info", "warn", "error", "critical"}


def test_streams_that_take_turns_are_kept_apart() -> None:
    entries = sent(
        one
        for at, text in enumerate(TRACE)
        for one in (
            line(2 * at, text),
            line(2 * at + 1, f"print {at}", stream="stdout"),
            line(2 * at + 1, text, job="other"),
        )
    )
    assert ("\n".join(TRACE), "error") in kept(entries)
    assert [text for text, _ in kept(entries) if text.startswith("print")] == [
        "print 0",
        "print 1",
        "print 2",
    ]
    # Elsewhere than in Python the last line would begin a trace of its own.
    assert ("\n".join(TRACE[:2]), "error") in kept(entries)


def test_an_entry_waits_a_second_for_more_lines_and_then_goes() -> None:
    clock = Clock()
    own = pipeline(clock)
    assert not own.run(line(1, TRACE[0]))
    clock.now = 0.9
    assert not own.run(line(2, TRACE[1]))
    clock.now = 1.8
    assert not own.flush()
    clock.now = 2.0
    (entry,) = own.flush()
    assert (entry.time, entry.line) == (1, "\n".join(TRACE[:2]))
    assert not own.flush()
    # What follows later has the time and the level of the entry that it belongs to, as with Promtail.
    assert not own.run(line(3, TRACE[2]))
    clock.now = 4.0
    (rest,) = own.flush()
    assert (rest.time, rest.line, rest.labels["level"]) == (1, TRACE[2], "error")


def test_a_json_line_waits_for_nothing() -> None:
    own = pipeline()
    (entry,) = own.run(line(1, '{"level":"ERROR","message":"x"}'))
    assert kept([entry]) == [('{"level":"ERROR","message":"x"}', "error")]


def test_an_endless_trace_is_cut_into_entries() -> None:
    entries = sent([line(0, TRACE[0]), *(line(at, "  File") for at in range(1, 1025))])
    assert [entry.line.count("\n") + 1 for entry in entries] == [512, 512, 1]
    assert {entry.labels["level"] for entry in entries} == {"error"}


def test_the_times_that_docker_puts_into_a_long_line_are_taken_out() -> None:
    part = "x" * 16384
    long = f'{part}2026-01-02T03:04:05.000000006Z {part}2026-01-02T03:04:05.000000007Z y"'
    (entry,) = pipeline().run(line(1, '{"m":"' + long + "}"))
    assert entry.line == '{"m":"' + part + part + 'y"}'
    short = "at 2026-01-02T03:04:05.000000006Z x"
    assert kept(sent([line(1, short)])) == [(short, None)]


@pytest.mark.parametrize(
    ("job", "timestamp", "time"),
    [
        ("rust-core-engine", "1970-01-01T00:00:07Z", 7_000_000_000),
        ("rust-core-engine", "yesterday", 1),
        ("other", "1970-01-01T00:00:07Z", 1),
    ],
)
def test_an_applications_own_time(job: str, timestamp: str, time: int) -> None:
    (entry,) = pipeline().run(line(1, f'{{"timestamp":"{timestamp}"}}', job))
    assert entry.time == time


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("/bot-core-kong-1", "bot-core-kong-1"),
        ("/0f3a1b2c3d4e_bot-core-kong-1", "bot-core-kong-1"),
        ("/bot-core-python-ai-service-run-0a1b2c3d4e5f", "bot-core-python-ai-service"),
        ("/dry-run-service-1", "dry-run-service-1"),
    ],
)
def test_a_containers_label_has_no_part_that_is_new_each_time(name: str, label: str) -> None:
    rules = relabel.parse(SCRAPE["relabel_configs"])
    labels = relabel.process(rules, {"__meta_docker_container_name": name})
    assert labels is not None
    assert labels["container_name"] == label


def test_no_label_has_a_value_of_each_container_or_line() -> None:
    lines = [line(1, text) for case in CASES for text in case["lines"].splitlines()]
    labels = {name for entry in sent(lines) for name in entry.labels}
    assert labels == {"job", "stream", "level"}
    targets = {rule["target_label"] for rule in SCRAPE["relabel_configs"]}
    assert targets == {"job", "service", "container_name", "image", "stream"}
