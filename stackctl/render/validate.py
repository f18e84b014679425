"""The configuration as the programs themselves see it: each one's own check, from the image that will run it."""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from stackctl.docker.engine import Engine
from stackctl.services.catalog import SERVICES, ConfigCheck

_AT_ONCE = 2


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a program said of its configuration; `said` is empty where it takes it."""

    service: str
    subject: str
    ok: bool
    output: str


def images(references: Mapping[str, str]) -> set[str]:
    """Return those of the references by service whose programs check their configuration."""
    return {references[service] for service, _ in _checks(references)}


def check(engine: Engine, images: Mapping[str, str], config: Path) -> Iterator[Verdict]:
    """Run every program's own check of its part of the configuration in `config`, two at once.

    `images` are references by service. Raises EngineError where a program cannot be run.
    """

    def run(service: str, one: ConfigCheck) -> Verdict:
        folder = config / one.folder
        found = sorted(path for pattern in one.files for path in folder.glob(pattern))
        files = [f"{one.at}/{path.relative_to(folder).as_posix()}" for path in found]
        code, output = engine.try_program(
            images[service],
            [*one.arguments, *files],
            entrypoint=one.entrypoint,
            folder=folder,
            at=one.at,
        )
        return Verdict(service, one.subject, code == 0, "" if code == 0 else output.strip())

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        yield from pool.map(run, *zip(*_checks(images), strict=True))


def _checks(services: Container[str]) -> list[tuple[str, ConfigCheck]]:
    return [
        (service.name, one)
        for service in SERVICES.values()
        if service.name in services
        for one in service.checks
    ]
