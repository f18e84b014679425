"""The differences between the two log collectors, apart from their configuration files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Program:
    """A log collector: its name and version, the names of its metrics, and how it continues a log."""

    name: str
    version: str
    sending: str
    """Prefix of the metrics of sending."""
    reading: str
    """Prefix of the metrics of reading."""
    resumes: bool
    """Whether a log whose stream ended is continued after its last line, and a removed container is forgotten.

    Promtail reads it again from where its process started with it.
    """
    blank_lines: bool
    """Whether an empty line is read; Alloy skips it, even within a traceback."""
    sending_labels: Mapping[str, str] = field(default_factory=dict)
    reading_labels: Mapping[str, str] = field(default_factory=dict)


PROMTAIL = Program(
    "promtail",
    "2.9.3+standin",
    "promtail",
    "promtail_docker_target",
    resumes=False,
    blank_lines=True,
)


def alloy(write: str, source: str) -> Program:
    """Return Alloy, whose series carry the components of its configuration that send and read."""
    return Program(
        "alloy",
        "1.18.1+standin",
        "loki_write",
        "loki_source_docker_target",
        resumes=True,
        blank_lines=False,
        sending_labels={"component_id": f"loki.write.{write}", "component_path": "/"},
        reading_labels={"component_id": f"loki.source.docker.{source}", "component_path": "/"},
    )
