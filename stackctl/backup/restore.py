"""Restores a backup into new volumes; the old ones are removed once the new data is known to fit."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from pathlib import Path

from stackctl.backup import archive, data
from stackctl.backup.archive import Manifest, Reader, Volume
from stackctl.docker import named_volumes
from stackctl.docker.run import scratch_labels
from stackctl.errors import StackctlError
from stackctl.images import writers
from stackctl.project import unfinished_restore
from stackctl.project.process_lock import exclusive
from stackctl.project.project import Project

Say = Callable[[str], None]
Confirm = Callable[[Manifest, list[str]], None]


def restore(project: Project, path: Path, *, confirm: Confirm, say: Say) -> Manifest:
    """Replace the project's volumes with those of a backup, and return the backup's manifest.

    The whole file is verified before anything changes; then `confirm` is called with the manifest and the names of the
    volumes to replace, and returns or raises. `say` is called with each step. The old data is kept until the engine has
    unpacked all of the new data, so it needs disk space for both. A restore that fails before then changes nothing; one
    that fails later stays recorded as unfinished.

    Raises BadBackup, or StackctlError if the stack has containers, a volume belongs to another project or is used by
    another container, or the engine is Podman.
    """
    with exclusive(project.state, "restore"):
        engine = project.whole_engine()
        # Containers of an attached bot-core do not use the restored volumes.
        containers = [state for state in engine.containers().values() if not state.attached]
        if containers:
            raise StackctlError(
                f"project {project.name} has {len(containers)} containers, but must be stopped for a restore",
                remedy="stackctl down",
            )
        info = engine.info()
        if info.podman:
            # Podman would unpack the data next to the volume and report success.
            raise StackctlError(
                "Podman cannot unpack a backup into a volume",
                remedy="restore it with Docker Engine",
            )
        engine.remove_scratch(engine.inventory())
        say(f"verifying {path.name}")
        with archive.reading(path, data.SERVICES) as backup:
            volumes = backup.manifest.volumes
            names = {volume.name: data.full_name(project.name, volume.name) for volume in volumes}
            replaced = sorted(named_volumes.present(names.values()))
            _refuse_others(project, replaced)
            confirm(backup.manifest, replaced)
            for volume in volumes:
                _say_other_image(project, volume, say)
            _put(project, backup, names, replaced, compose=info.compose, say=say)
        return backup.manifest


def _put(
    project: Project,
    backup: Reader,
    names: Mapping[str, str],
    replaced: Collection[str],
    *,
    compose: str,
    say: Say,
) -> None:
    """Unpack all volumes: first new ones and trial copies of those to replace, then the replacements.

    Docker can neither rename nor swap volumes. The trial copy shows that the engine accepts the data and has enough
    space; it is removed before its volume is replaced, so the second unpacking needs no additional space.
    """
    labels = {volume: data.labels(project.name, volume, compose) for volume in names}
    trials = {
        volume: data.trial_name(project.name, volume)
        for volume, name in names.items()
        if name in replaced
    }
    fresh = [name for name in names.values() if name not in replaced]
    named_volumes.remove(trials.values())
    earlier = unfinished_restore.pending(project.state)
    unfinished_restore.begin(project.state, {*earlier, *fresh})
    try:
        with named_volumes.open_transfer(project.name) as copies:
            for volume, content in backup.volumes():
                trial = trials.get(volume.name)
                say(f"testing {volume.name}" if trial else f"restoring {volume.name}")
                target = trial or names[volume.name]
                named_volumes.create(
                    target, scratch_labels(project.name) if trial else labels[volume.name]
                )
                copies.write(target, content)
    except BaseException:
        named_volumes.remove([*trials.values(), *fresh])
        unfinished_restore.begin(project.state, earlier)
        raise
    if trials:
        # From here on, part of the old data is gone, so an interruption leaves the record.
        unfinished_restore.begin(project.state, names.values())
        with named_volumes.open_transfer(project.name) as copies:
            for volume, content in backup.volumes():
                if volume.name in trials:
                    say(f"restoring {volume.name}")
                    name = names[volume.name]
                    named_volumes.remove([trials[volume.name], name])
                    named_volumes.create(name, labels[volume.name])
                    copies.write(name, content)
                    writers.record(project.state, {volume.name: writers.writer(volume.image)})
    unfinished_restore.end(project.state)


def _refuse_others(project: Project, volumes: Collection[str]) -> None:
    """Raise StackctlError if a volume to replace is not the project's or is in use."""
    for volume in sorted(named_volumes.foreign(volumes, project.name)):
        raise StackctlError(
            f"volume {volume} does not belong to project {project.name}: it lacks the project's label",
            remedy="restore into another project with -p, or remove the volume yourself",
        )
    for volume in volumes:
        if users := named_volumes.users(volume):
            raise StackctlError(
                f"volume {volume} is in use by {', '.join(users)}",
                remedy=f"docker rm {users[0]}",
            )


def _say_other_image(project: Project, volume: Volume, say: Say) -> None:
    """Report a volume that was written by a different image than the one that will open it."""
    ours = data.image_of(project, data.SERVICES[volume.name])
    if project.choices.images is not None and volume.image != ours:
        say(f"{volume.name} was written by {volume.image}, but this project uses {ours}")
