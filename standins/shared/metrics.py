"""A stand-in's own metrics: one registry per program, so that tests can run several in one process."""

from __future__ import annotations

import re

from prometheus_client import (
    CollectorRegistry,
    Gauge,
    Info,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_WHOLE = re.compile(rb"^([^#\n]* -?\d+)\.0( \d+)?$", re.MULTILINE)

disable_created_metrics()  # type: ignore[no-untyped-call]


def registry(program: str, version: str | None) -> CollectorRegistry:
    """Return a registry with process_*, and stackctl_standin_info with the name of the original program.

    `version` is None for a program that has no build_info.
    """
    new = CollectorRegistry()
    ProcessCollector(registry=new)
    Info("stackctl_standin", "A stand-in runs instead of this program.", registry=new).info(
        {"program": program}
    )
    if version is not None:
        build = Gauge(
            f"{program}_build_info",
            "Version of the program; its edition says that it is a stand-in.",
            ["version", "edition"],
            registry=new,
        )
        build.labels(version, "stackctl stand-in").set(1)
    return new


def render(metrics: CollectorRegistry) -> bytes:
    """Return the exposition text, with integers as Go programs write them: `mongodb_up 1`, not `1.0`."""
    return _WHOLE.sub(rb"\1\2", generate_latest(metrics))
