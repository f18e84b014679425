"""The configuration as the programs themselves see it: each one's own check, from the image that will run it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from stackctl.docker.engine import Engine

_AT_ONCE = 2


@dataclass(frozen=True, slots=True)
class Check:
    """A program's check of its configuration. Without an entry point the image's own gets the arguments."""

    service: str
    folder: str
    """Below the rendered configuration."""
    at: str
    """Where the program expects that folder."""
    entrypoint: str | None
    arguments: tuple[str, ...]
    files: tuple[str, ...] = ()
    """Patterns below the folder; the files that fit are further arguments."""
    subject: str = "its configuration"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a program said of its configuration; `said` is empty where it takes it."""

    service: str
    subject: str
    ok: bool
    said: str


# Prometheus' `kubernetes` fragment names files that are there only inside a cluster, hence --syntax-only.
CHECKS = (
    Check(
        "prometheus",
        "prometheus",
        "/etc/prometheus",
        "promtool",
        ("check", "config", "--syntax-only", "/etc/prometheus/prometheus.yml"),
    ),
    Check(
        "prometheus",
        "prometheus",
        "/etc/prometheus",
        "promtool",
        ("check", "rules"),
        files=("alerts/*.yml", "recording-rules/*.yml"),
        subject="its rules",
    ),
    Check(
        "alertmanager",
        "alertmanager",
        "/etc/alertmanager",
        "amtool",
        ("check-config", "/etc/alertmanager/alertmanager.yml"),
    ),
    Check(
        "loki",
        "loki",
        "/etc/loki",
        None,
        ("-config.file=/etc/loki/loki-config.yml", "-verify-config"),
    ),
    Check(
        "promtail",
        "loki",
        "/etc/promtail",
        None,
        ("-config.file=/etc/promtail/promtail-config.yml", "-check-syntax"),
    ),
    Check(
        "blackbox-exporter",
        "blackbox",
        "/etc/blackbox",
        None,
        ("--config.file=/etc/blackbox/blackbox.yml", "--config.check"),
    ),
)


def check(engine: Engine, images: Mapping[str, str], config: Path) -> Iterator[Verdict]:
    """Have every program check its part of the configuration in `config`, two at once.

    `images` are references by service. Raises EngineError where a program cannot be run.
    """

    def run(one: Check) -> Verdict:
        folder = config / one.folder
        found = sorted(path for pattern in one.files for path in folder.glob(pattern))
        files = [f"{one.at}/{path.relative_to(folder).as_posix()}" for path in found]
        code, output = engine.try_program(
            images[one.service],
            [*one.arguments, *files],
            entrypoint=one.entrypoint,
            folder=folder,
            at=one.at,
        )
        return Verdict(one.service, one.subject, code == 0, "" if code == 0 else output.strip())

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        yield from pool.map(run, CHECKS)
