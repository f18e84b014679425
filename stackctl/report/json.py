"""A report as JSON, in the shape of `schema.json` beside this file."""

from __future__ import annotations

import json

from stackctl.verify.model import Report

SCHEMA_VERSION = 1


def dumps(report: Report) -> str:
    """Give the report as a JSON document. Times are RFC 3339 in UTC, durations seconds."""
    return json.dumps(
        {
            "schema": SCHEMA_VERSION,
            "project": report.project,
            "images": report.images,
            "started": report.started.isoformat(),
            "seconds": round(report.seconds, 3),
            "ok": report.ok,
            "checks": [
                {
                    "id": result.check.id,
                    "section": result.check.section,
                    "title": result.check.title,
                    "step": result.check.step,
                    "ok": result.finding.ok,
                    "expected": result.finding.expected,
                    "seen": result.finding.seen,
                    "next_step": result.finding.next_step,
                    "seconds": round(result.seconds, 3),
                    "standin": result.standin,
                }
                for result in report.results
            ],
        },
        indent=2,
        ensure_ascii=False,
    )
