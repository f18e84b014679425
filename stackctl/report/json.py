"""A report as JSON, described by `schema.json` in this folder."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from stackctl.chaos.timeline import Timeline
from stackctl.verify.model import Report

SCHEMA_VERSION = 3


def dumps(report: Report) -> str:
    """Return the report as a JSON document. Times are in RFC 3339 and UTC, durations in seconds."""
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
                    "skipped": result.finding.skipped,
                    "state": result.finding.state,
                    "expected": result.finding.expected,
                    "seen": result.finding.observed,
                    "next_step": result.finding.next_step if result.finding.needs_action else "",
                    "seconds": round(result.seconds, 3),
                    "standin": result.standin,
                    "evidence": [asdict(exchange) for exchange in result.evidence],
                }
                for result in report.results
            ],
            "drills": [_drill(timeline) for timeline in report.drills],
        },
        indent=2,
        ensure_ascii=False,
    )


def _drill(timeline: Timeline) -> dict[str, Any]:
    return {
        "alert": timeline.alert,
        "service": timeline.service,
        "stages": {stage: round(at, 3) for stage, at in timeline.seconds.items()},
        "spans": [
            {
                "name": span.name,
                "seconds": round(span.seconds, 3),
                "least": span.least,
                "most": span.most,
                "slow": span.slow,
            }
            for span in timeline.spans()
        ],
    }
