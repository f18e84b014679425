"""Consoles on a terminal, which has a width, and in a pipe, which has none; documents are the same on both."""

from __future__ import annotations

import io

import pytest
from rich.table import Table
from rich.text import Text

from stackctl.ui import console
from tests.support.terminal import TerminalText

LONG = f"registry.example.com:5000/a/long/path/to/loki:2.9.3@sha256:{'0' * 64}"


def table() -> Table:
    found = Table.grid()
    found.add_column(overflow="fold")
    found.add_row(LONG)
    return found


def test_on_a_terminal_a_table_is_as_wide_as_that_is(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = TerminalText()
    monkeypatch.setattr("sys.stdout", stream)
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setenv("TERM", "xterm")
    out = console.stdout()
    assert console.on_screen(out)
    out.print(table())
    assert max(map(len, stream.getvalue().splitlines())) == 40
    assert LONG not in stream.getvalue()


@pytest.mark.parametrize("columns", ["40", ""])
@pytest.mark.parametrize("term", ["xterm", "dumb"])
@pytest.mark.parametrize("forced", ["1", ""])
def test_in_a_pipe_nothing_is_wrapped(
    monkeypatch: pytest.MonkeyPatch, columns: str, term: str, forced: str
) -> None:
    for name, value in (("COLUMNS", columns), ("TERM", term), ("FORCE_COLOR", forced)):
        monkeypatch.setenv(name, value)
    stream = io.StringIO()
    monkeypatch.setattr("sys.stdout", stream)
    out = console.stdout()
    assert not console.on_screen(out)
    out.print(table())
    out.print("word " * 100)
    assert stream.getvalue() == f"{LONG}\n{('word ' * 100).rstrip()}\n"


@pytest.mark.parametrize("forced", ["1", ""])
def test_in_a_pipe_no_line_is_padded(monkeypatch: pytest.MonkeyPatch, forced: str) -> None:
    monkeypatch.setenv("FORCE_COLOR", forced)
    stream = io.StringIO()
    monkeypatch.setattr("sys.stdout", stream)
    rows = Table("name", "state", box=None, pad_edge=False)
    rows.add_row("redis", "up", style="green")
    rows.add_row("a much longer name", "not up at all", style="bold red")
    rows.add_row("", "")
    console.stdout().print(rows)
    assert [Text.from_ansi(line).plain for line in stream.getvalue().split("\n")] == [
        "name                state",
        "redis               up",
        "a much longer name  not up at all",
        "",
        "",
    ]
    assert ("\x1b[" in stream.getvalue()) is bool(forced)


def test_a_document_is_utf8_whatever_the_streams_encoding(monkeypatch: pytest.MonkeyPatch) -> None:
    raw = io.BytesIO()
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(raw, encoding="ascii", errors="replace"))
    console.print_json({"name": "Grüße"})
    assert raw.getvalue().decode() == '{\n  "name": "Grüße"\n}\n'
