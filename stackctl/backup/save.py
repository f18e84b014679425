"""Saves the stack's data: each service is stopped only while its own volume is copied.

It is stopped by the fault `stop`, which is recorded in the journal and undone on every exit path. Even after a SIGKILL
the next command reports it, and `stackctl chaos heal` starts the service.
"""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path
from typing import IO

from stackctl.backup import archive, data
from stackctl.backup.archive import Manifest
from stackctl.chaos.faults import FAULTS, injected
from stackctl.chaos.journal import Journal
from stackctl.docker import named_volumes
from stackctl.docker.models import ContainerState
from stackctl.errors import StackctlError
from stackctl.project import unfinished_restore
from stackctl.project.process_lock import exclusive
from stackctl.project.project import Project
from stackctl.readiness import wait
from stackctl.readiness.observer import Observer
from stackctl.services import catalog

_READY_SECONDS = 120.0
_STEADY = {"running", "created", "exited", "dead"}


def save(
    project: Project, target: Path | IO[bytes], *, force: bool, observer: Observer
) -> Manifest:
    """Write a backup of the project's data, and wait until the stopped services are ready again.

    `target` is a file or a stream. A service is stopped while its volume is copied to a temporary file, in the folder
    of `target` or, for a stream, the folder for temporary files. It is started again, however the copy ends, before the
    copy is compressed. Raises UsageError if the file exists and `force` is not set, StackctlError if there is no data
    or it cannot be written, or NotReady.
    """
    path = target if isinstance(target, Path) else None
    if path is not None:
        archive.refuse_existing(path, force=force)
    with exclusive(project.state, "backup"):
        engine = project.whole_engine()
        containers = engine.containers()
        journal = Journal(project.state)
        _refuse_unsteady(containers, journal)
        unfinished_restore.refuse(project.state)
        names = {volume: data.full_name(project.name, volume) for volume in data.SERVICES}
        present = named_volumes.present(names.values())
        if not present:
            raise StackctlError(f"project {project.name} has no data yet", remedy="stackctl up")
        stopped = []
        written = archive.writing(target) if isinstance(target, Path) else archive.streaming(target)
        with written as writer, named_volumes.open_transfer(project.name) as copies:
            for volume, service in data.SERVICES.items():
                if names[volume] not in present:
                    observer.note(f"volume {names[volume]} does not exist and is not in the backup")
                    continue
                container = containers.get(service)
                with tempfile.TemporaryFile(dir=path and path.parent) as spool:
                    observer.step(f"copying {volume}")
                    if container and container.running:
                        stopped.append(service)
                        with injected(engine, journal, FAULTS["stop"], service):
                            copies.read(names[volume], spool)
                    else:
                        copies.read(names[volume], spool)
                    observer.step(f"compressing {volume}")
                    image = container.image if container else data.image_of(project, service)
                    writer.add(volume, image, spool)
            manifest = writer.close(project.name)
        if stopped:
            observer.step("waiting for readiness")
            chosen = catalog.select(stopped)
            waiting = wait.wait(
                chosen, engine, project.settings, timeout=_READY_SECONDS, changed=observer.progress
            )
            asyncio.run(waiting)
        return manifest


def _refuse_unsteady(containers: dict[str, ContainerState], journal: Journal) -> None:
    """Raise StackctlError if a service may write during the copy, or cannot be stopped and started."""
    for fault in journal.open_faults():
        raise StackctlError(f"a fault is open: {fault.describe()}", remedy="stackctl chaos heal")
    for service in data.SERVICES.values():
        state = containers.get(service)
        if state is not None and state.status not in _STEADY:
            raise StackctlError(
                f"cannot copy the data of {service} while it is {state.status}",
                remedy=f"stackctl logs {service}",
            )
