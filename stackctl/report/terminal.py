"""A report for the terminal, readable at 80 columns and without colour."""

from __future__ import annotations

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from stackctl.ui.marks import Marks, marks
from stackctl.verify.model import Report, Result


def print_report(console: Console, report: Report) -> None:
    """Print the checklist by section, with details and the next step for checks that failed or warn."""
    signs = marks(console.encoding)
    section = ""
    for result in report.results:
        if result.check.section != section:
            section = result.check.section
            console.print(Text(f"\n{section}", style="bold"))
        console.print(_result(result, signs))
    console.print(_summary(report))


def overview(console: Console, report: Report) -> RenderableType:
    """Return a view that fits on a screen: a line per section, and details of the checks that failed or warn."""
    signs = marks(console.encoding)
    sections: dict[str, list[Result]] = {}
    for result in report.results:
        sections.setdefault(result.check.section, []).append(result)
    lines = []
    for section, results in sections.items():
        asked = [result for result in results if not result.finding.skipped]
        passed = sum(result.finding.ok for result in asked)
        lines.append(
            (_mark(passed == len(asked), signs), Text(f"{section}: {passed} of {len(asked)}"))
        )
    details = (_result(result, signs) for result in (*report.failed, *report.warned))
    return Group(_rows(lines, indent=0), *details, _summary(report))


def _summary(report: Report) -> Text:
    gravest = "red" if report.states["failed"] else "yellow"
    style = "green" if report.ok and not report.states["warning"] else gravest
    return Text(f"\n{report.summary} in {report.seconds:.1f} s", style=style)


def _mark(ok: bool, signs: Marks) -> Text:
    return Text(signs.good, style="green") if ok else Text(signs.bad, style="red")


def _result(result: Result, signs: Marks) -> RenderableType:
    finding = result.finding
    if finding.skipped:
        mark = Text(signs.skipped, style="dim")
    elif finding.warning:
        mark = Text(signs.warning, style="yellow")
    elif finding.obstacle:
        mark = Text(signs.waiting, style="yellow")
    else:
        mark = _mark(finding.ok, signs)
    standin = " (stand-in)" if result.standin else ""
    head = Text.assemble(result.check.title, (standin, "dim"))
    if not finding.needs_action:
        head.append(f": {finding.observed}", style="dim")
    line = _rows([(mark, head)], indent=2)
    if not finding.needs_action:
        return line
    rows = (
        *((("state", finding.obstacle),) if finding.obstacle else ()),
        ("expected", finding.expected),
        ("seen", finding.observed),
        ("waited", f"{result.seconds:.1f} s"),
        ("next", finding.next_step),
        ("check", f"{result.check.id} ({result.check.step})"),
    )
    details = [(Text(name, style="bold"), Text(text)) for name, text in rows]
    return Group(line, _rows(details, indent=6))


def _rows(rows: list[tuple[Text, Text]], *, indent: int) -> Padding:
    """Lay out labels and texts side by side; a text of several lines stays in its column."""
    table = Table.grid(padding=(0, 1))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for row in rows:
        table.add_row(*row)
    return Padding(table, (0, 0, 0, indent), expand=False)
