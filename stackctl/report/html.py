"""A report as one self-contained HTML page: checklist, evidence, and the drills' timelines."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import jinja2

from stackctl import __version__
from stackctl.chaos.timeline import Timeline
from stackctl.errors import StackctlError, UsageError
from stackctl.project.state import write_atomic
from stackctl.verify.model import Report


@dataclass(frozen=True, slots=True)
class Lane:
    """The bar of a span between two stages of a drill: start, width and configured maximum in percent of the whole."""

    name: str
    start: float
    width: float
    most: float
    text: str


@dataclass(frozen=True, slots=True)
class Drill:
    """A drill as bars."""

    alert: str
    service: str
    lanes: tuple[Lane, ...]


def dumps(report: Report) -> str:
    """Return the report as an HTML document. All text from services is escaped."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("stackctl.report", "."),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    sections = [
        (name, list(results))
        for name, results in groupby(report.results, key=lambda result: result.check.section)
    ]
    return environment.get_template("report.html.jinja").render(
        report=report,
        sections=sections,
        drills=[_drill(timeline) for timeline in report.drills],
        version=__version__,
    )


def require_writable(path: Path) -> None:
    """Raise UsageError if a file cannot be created there: better now than after a drill of minutes."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path.parent):
            pass
    except OSError as error:
        raise UsageError(
            f"cannot write {path}: {error.strerror}", remedy="choose another path for --report"
        ) from None


def write(path: Path, report: Report) -> None:
    """Write the document, readable by the user only, because it contains log lines. Raises StackctlError."""
    try:
        write_atomic(path, dumps(report))
    except OSError as error:
        raise StackctlError(f"cannot write {path}: {error.strerror}") from None


def _drill(timeline: Timeline) -> Drill:
    spans = timeline.spans()
    whole = max((span.end for span in spans), default=0.0) or 1.0
    lanes = tuple(
        Lane(
            span.name,
            start=100 * span.start / whole,
            width=100 * (span.end - span.start) / whole,
            most=100 * min((span.start + span.most) / whole, 1),
            text=span.describe(),
        )
        for span in spans
    )
    return Drill(timeline.alert, timeline.service, lanes)
