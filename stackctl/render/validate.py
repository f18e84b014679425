"""Validates the rendered configuration with the programs themselves, run from their images."""

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
    """The result of a program's validation; `output` is its output if it rejected the configuration."""

    service: str
    subject: str
    ok: bool
    output: str


def images(references: Mapping[str, str]) -> set[str]:
    """Return the image references of the services whose programs can validate their configuration."""
    return {references[service] for service, _ in _checks(references)}


def check(engine: Engine, images: Mapping[str, str], config: Path) -> Iterator[Verdict]:
    """Let every program validate its part of the configuration in `config`, two at a time.

    `images` maps a service to its image reference. Raises EngineError if a program cannot be run.
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
