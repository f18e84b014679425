"""A report as JUnit XML for CI systems: a suite per section, a case per check."""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import groupby
from xml.etree import ElementTree as ET

from stackctl.verify.model import Report, Result

_NOT_XML = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that XML 1.0 cannot represent (production 2, Char); a service's response may contain them."""


def dumps(report: Report) -> str:
    """Return the report as an XML document."""
    root = ET.Element(
        "testsuites",
        name=f"stackctl verify {report.project}",
        tests=str(len(report.results)),
        failures=str(report.states["failed"]),
        errors=str(_errors(report.results)),
        skipped=str(len(report.skipped)),
        time=f"{report.seconds:.3f}",
    )
    for section, group in groupby(report.results, key=lambda result: result.check.section):
        results = list(group)
        suite = ET.SubElement(
            root,
            "testsuite",
            name=section,
            tests=str(len(results)),
            failures=str(sum(result.finding.state == "failed" for result in results)),
            errors=str(_errors(results)),
            skipped=str(sum(result.finding.skipped for result in results)),
            timestamp=report.started.isoformat(timespec="seconds"),
        )
        for result in results:
            case = ET.SubElement(
                suite,
                "testcase",
                classname=f"stackctl.verify.{section}",
                name=result.check.title,
                time=f"{result.seconds:.3f}",
            )
            finding = result.finding
            if finding.skipped:
                ET.SubElement(case, "skipped", message=_clean(finding.observed))
            if finding.warning:
                # JUnit has no warnings; CI systems show a case's output next to a test that passed.
                output = ET.SubElement(case, "system-out")
                output.text = _clean(f"warning: {finding.observed}\nnext: {finding.next_step}")
            if not finding.ok:
                message = _clean(f"expected {finding.expected}; seen {finding.observed}")
                # In JUnit, an error is a case that could not be judged.
                kind = "error" if finding.obstacle else "failure"
                failure = ET.SubElement(case, kind, message=message, type=finding.state)
                failure.text = _clean(
                    f"{result.check.id}\nwaited: {result.seconds:.1f} s\nnext: {finding.next_step}"
                )
    ET.indent(root)
    # With "unicode" it would declare the locale's encoding.
    document: bytes = ET.tostring(root, encoding="utf-8", xml_declaration=True)
    return document.decode()


def _errors(results: Iterable[Result]) -> int:
    return sum(result.finding.obstacle is not None for result in results)


def _clean(text: str) -> str:
    return _NOT_XML.sub("�", text)
