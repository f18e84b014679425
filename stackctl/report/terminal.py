"""A report for a terminal: readable at 80 columns, and without colour."""

from __future__ import annotations

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from stackctl.report.marks import marks
from stackctl.verify.model import Report, Result


def print_report(console: Console, report: Report) -> None:
    """Print the checklist by section, with what was expected, seen and is to be done where a check failed."""
    signs = marks(console.encoding)
    section = ""
    for result in report.results:
        if result.check.section != section:
            section = result.check.section
            console.print(Text(f"\n{section}", style="bold"))
        console.print(_result(result, signs.good if result.finding.ok else signs.bad))
    console.print(_summary(report))


def overview(console: Console, report: Report) -> RenderableType:
    """Give what fits on a screen: a line for each section, and in full what failed."""
    signs = marks(console.encoding)
    sections: dict[str, list[Result]] = {}
    for result in report.results:
        sections.setdefault(result.check.section, []).append(result)
    lines = []
    for section, results in sections.items():
        passed = sum(result.finding.ok for result in results)
        ok = passed == len(results)
        mark = Text(signs.good if ok else signs.bad, style="green" if ok else "red")
        lines.append((mark, Text(f"{section}: {passed} of {len(results)}")))
    failed = (_result(result, signs.bad) for result in report.failed)
    return Group(_rows(lines, indent=0), *failed, _summary(report))


def _summary(report: Report) -> Text:
    passed = len(report.results) - len(report.failed)
    summary = f"\n{passed} of {len(report.results)} checks passed in {report.seconds:.1f} s"
    return Text(summary, style="green" if report.ok else "red")


def _result(result: Result, mark: str) -> RenderableType:
    finding = result.finding
    style = "green" if finding.ok else "red"
    standin = " (stand-in)" if result.standin else ""
    head = Text.assemble(result.check.title, (standin, "dim"))
    if finding.ok:
        head.append(f": {finding.seen}", style="dim")
    line = _rows([(Text(mark, style=style), head)], indent=2)
    if finding.ok:
        return line
    rows = (
        ("expected", finding.expected),
        ("seen", finding.seen),
        ("waited", f"{result.seconds:.1f} s"),
        ("next", finding.next_step),
        ("check", f"{result.check.id} ({result.check.step})"),
    )
    details = [(Text(name, style="bold"), Text(text)) for name, text in rows]
    return Group(line, _rows(details, indent=6))


def _rows(rows: list[tuple[Text, Text]], *, indent: int) -> Padding:
    """Set label and text side by side; a text of several lines stays beside its label."""
    table = Table.grid(padding=(0, 1))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for row in rows:
        table.add_row(*row)
    return Padding(table, (0, 0, 0, indent))
