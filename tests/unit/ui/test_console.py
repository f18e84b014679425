"""Tables on a terminal, which has a width, and in a pipe, which has none."""

from __future__ import annotations

import io

from rich.console import Console
from rich.table import Table

from stackctl.ui.console import print_table

LONG = f"registry.example.com:5000/a/long/path/to/loki:2.9.3@sha256:{'0' * 64}"


def test_on_a_terminal_a_table_is_as_wide_as_that_is() -> None:
    table = Table.grid()
    table.add_column(overflow="fold")
    table.add_row(LONG)
    stream = io.StringIO()
    out = Console(file=stream, force_terminal=True, width=40)
    print_table(out, table)
    assert max(map(len, stream.getvalue().splitlines())) == 40
    assert LONG not in stream.getvalue()


def test_what_is_printed_after_a_wide_table_is_wrapped_as_before() -> None:
    table = Table.grid()
    table.add_row(LONG)
    stream = io.StringIO()
    out = Console(file=stream, width=40)
    print_table(out, table)
    out.print("word " * 20)
    first, *rest = stream.getvalue().splitlines()
    assert LONG in first
    assert max(map(len, rest)) <= 40
