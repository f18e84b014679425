"""Restoring a backup, into fresh volumes only: all of them, or none is left."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from stackctl.backup import archive, data, transfer, unfinished
from stackctl.backup.archive import Manifest, Volume
from stackctl.errors import StackctlError
from stackctl.stack.lock import exclusive
from stackctl.stack.project import Project

Say = Callable[[str], None]
Confirm = Callable[[Manifest, list[str]], None]


def restore(project: Project, path: Path, *, confirm: Confirm, say: Say) -> Manifest:
    """Put a backup's volumes in the place of the project's, and give the backup's manifest.

    The whole file is checked before anything is touched; then `confirm` is called with the manifest and the names of
    the volumes that will be replaced, and returns or raises. `say` is told each step. If the restoring fails, the
    volumes that it made are removed. Raises StackctlError while the stack has containers, with Podman, or BadBackup.
    """
    with exclusive(project.state, "restore"):
        engine = project.whole_engine()
        # Those of a bot-core that is only watched have nothing of what is restored.
        containers = [state for state in engine.containers().values() if not state.attached]
        if containers:
            raise StackctlError(
                f"project {project.name} has {len(containers)} containers, and a restore needs it down",
                remedy="stackctl down",
            )
        info = engine.info()
        if info.podman:
            # Podman would unpack it beside the volume, and say that all is well.
            raise StackctlError(
                "Podman cannot unpack a backup into a volume",
                remedy="restore it with Docker Engine",
            )
        say(f"checking {path.name}")
        with archive.reading(path, data.SERVICES) as backup:
            volumes = backup.manifest.volumes
            names = {volume.name: data.full_name(project.name, volume.name) for volume in volumes}
            replaced = sorted(transfer.present(names.values()))
            confirm(backup.manifest, replaced)
            for volume in volumes:
                _say_other_image(project, volume, say)
            unfinished.begin(project.state, names.values())
            try:
                transfer.remove(replaced)
                with transfer.open_transfer(project.name) as copies:
                    for volume, content in backup.volumes():
                        say(f"restoring {volume.name}")
                        labels = data.labels(project.name, volume.name, info.compose)
                        transfer.create(names[volume.name], labels)
                        copies.write(names[volume.name], content)
            except BaseException:
                transfer.remove(names.values())
                unfinished.end(project.state)
                raise
            unfinished.end(project.state)
        return backup.manifest


def _say_other_image(project: Project, volume: Volume, say: Say) -> None:
    """Say where a volume was written by another program or version than the one that will open it."""
    ours = data.image_of(project, data.SERVICES[volume.name])
    if project.choices.images is not None and volume.image != ours:
        say(f"{volume.name} was written by {volume.image}; this project runs {ours}")
